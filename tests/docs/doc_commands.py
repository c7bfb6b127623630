"""The commands and the code in README and docs, one by one, with the mark before their block.

A block is indented by four spaces or fenced. A comment line right before it marks what its commands need
that a test does not have, ``<!-- needs: full data -->``, or that they take long, ``<!-- run: slow -->``.
"""

import glob
import os
import re
import shlex
from typing import Dict, List, NamedTuple, Optional

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

SHELL, PYTHON, TEXT = "shell", "python", "text"

_MARK = re.compile(r"<!-- (needs|run): ([^>]+?) -->$")
_FENCE = re.compile(r"(```+|~~~+) *([\w+-]*) *$")
_LIST_ITEM = re.compile(r"([-*+]|\d+\.) ")
_ASSIGNMENT = re.compile(r"[A-Z_][A-Z0-9_]*=")
_PROGRAMS = (
    "cd curl dgl git horovodrun job=$(sbatch make mkdir pip python python3.11 ray sbatch sh ./ . "
    "tensorboard"
).split()
_CODE_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
# Code spans that name a command for a reader to give, with a flag or an argument.
_INLINE = re.compile(
    r"(make [a-z]|python -m [a-z_.]+ |python [a-z_]+/|sh run_train|dgl [a-z]+ [\w-])"
)


class Block(NamedTuple):
    """One block of a page."""

    line: int  # of its first line, counted from 1
    kind: str  # "shell", "python" or "text"
    text: str  # without the indentation
    mark: Optional[tuple]  # ("needs" or "run", what)


class Command(NamedTuple):
    """One command."""

    path: str  # of its page, relative to the project
    line: int
    text: str  # on one line
    environment: Dict[str, str]  # the assignments before the program
    words: List[str]  # the program and its arguments
    mark: Optional[tuple]  # of its block
    is_inline: bool  # named in a sentence rather than set in a block

    @property
    def place(self):
        return f"{self.path}:{self.line}"


def pages() -> List[str]:
    """Paths of README and all pages, relative to the project."""
    found = glob.glob(os.path.join(ROOT, "docs", "**", "*.md"), recursive=True)
    names = [os.path.join(ROOT, name) for name in ("README.md", "CONTRIBUTING.md")]
    return [os.path.relpath(path, ROOT) for path in names + sorted(found) if os.path.exists(path)]


def read(path: str) -> str:
    with open(os.path.join(ROOT, path), encoding="utf-8") as stream:
        return stream.read()


def _kind(language, text):
    if language:
        shells = dict.fromkeys(("sh", "bash", "shell", "console"), SHELL)
        return dict(shells, python=PYTHON).get(language, TEXT)
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("# ")]
    first = lines[0].strip() if lines else ""
    if first.startswith("#!/bin/"):
        return SHELL
    if re.match(r"(from \w[\w.]* import|import \w)", first):
        return PYTHON
    words = first.split()
    while words and _ASSIGNMENT.match(words[0]):
        words = words[1:]
    # A word alone, or a sentence that begins like a command, is not one.
    is_command = len(words) > 1 and (words[0] in _PROGRAMS or words[0].endswith("/bin/python"))
    return SHELL if is_command else TEXT


def blocks(text: str) -> List[Block]:
    """The blocks of a page's text, in order."""
    lines = text.split("\n")
    found, index, in_list, before = [], 0, False, ""
    while index < len(lines):
        line, start = lines[index], index
        is_apart = index == 0 or not lines[index - 1].strip()
        fence = _FENCE.match(line)
        if fence:
            start, end = index + 1, index + 1
            while end < len(lines) and not lines[end].startswith(fence.group(1)):
                end += 1
            body, index = "\n".join(lines[start:end]), end + 1
        elif line.startswith("    ") and line.strip() and not in_list and is_apart:
            while index < len(lines) and (
                lines[index].startswith("    ") or not lines[index].strip()
            ):
                index += 1
            body = "\n".join(part[4:] for part in lines[start:index])
        else:
            if line.strip():
                in_list = bool(_LIST_ITEM.match(line)) or (in_list and line.startswith(" "))
                before = line
            index += 1
            continue
        mark = _MARK.match(before)
        kind = _kind(fence.group(2) if fence else "", body)
        found.append(Block(start + 1, kind, body.rstrip(), mark and mark.groups()))
        before = ""
    return found


def _logical_lines(block):
    """(line number, text) of the lines of a shell block, continued lines joined."""
    number = block.line
    for line in re.split(r"(?<!\\)\n", block.text):
        yield number, " ".join(part.strip() for part in line.split("\\\n"))
        number += line.count("\n") + 1


def _own_part(line):
    """The command of this project in a line of a script, without what the script puts around it."""
    start = re.search(r"\b(horovodrun|python) .*\.py .*", line)
    text = re.sub(r" &$", "", start.group(0)) if start else ""
    # The end of a command that is an argument itself.
    return text[:-1] if text.count('"') % 2 else text


def commands(path: str, text: Optional[str] = None) -> List[Command]:
    """The commands of a page: of its blocks, then those named in its sentences.

    A script gives the commands in it that are this project's.
    """
    text = read(path) if text is None else text
    given, inside = [], set()
    for block in blocks(text):
        inside.update(range(block.line - 1, block.line + block.text.count("\n") + 2))
        is_script = block.text.startswith("#!") or "$(" in block.text
        for line, command in _logical_lines(block) if block.kind == SHELL else ():
            given.append((line, _own_part(command) if is_script else command, block.mark, False))
    for number, line in enumerate(text.split("\n"), 1):
        for span in _CODE_SPAN.findall(line) if number not in inside else ():
            if _INLINE.match(span) and "..." not in span and "<" not in span:
                given.append((number, span, None, True))
    found = []
    for line, command, mark, is_inline in given:
        words, environment = shlex.split(command, comments=True), {}
        while words and _ASSIGNMENT.match(words[0]):
            name, value = words.pop(0).split("=", 1)
            environment[name] = value
        if words:
            found.append(Command(path, line, command, environment, words, mark, is_inline))
    return found
