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
_PROGRAMS = set(
    (
        "cd curl dgl git horovodrun job=$(sbatch make mkdir pip python python3.11 ray sbatch sh "
        "./ . tensorboard"
    ).split()
)
_CODE_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
# Code spans that name a command for a reader to give, with a flag or an argument.
_INLINE = re.compile(
    r"(make [a-z]|python -m [a-z_.]+ |python [a-z_]+/|sh run_train|dgl [a-z]+ [\w-])"
)


class Block(NamedTuple):
    """One block of a page.

    Attributes:
        path: str, relative to the project.
        line: int, of the block's first line, counted from 1.
        kind: ``"shell"``, ``"python"`` or ``"text"``.
        text: str, without the indentation.
        mark: (``"needs"`` or ``"run"``, what), or ``None``.
    """

    path: str
    line: int
    kind: str
    text: str
    mark: Optional[tuple]


class Command(NamedTuple):
    """One command.

    Attributes:
        path, line: where it is.
        text: str, on one line, without a comment.
        environment: variable -> value, the assignments before the program.
        words: list of str, the program and its arguments.
        mark: as of its block.
        is_inline: whether it is named in a sentence rather than set in a block.
    """

    path: str
    line: int
    text: str
    environment: Dict[str, str]
    words: List[str]
    mark: Optional[tuple]
    is_inline: bool

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
    if language in ("sh", "bash", "shell", "console"):
        return SHELL
    if language == "python":
        return PYTHON
    if language:
        return TEXT
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("# ")]
    first = lines[0].strip() if lines else ""
    if first.startswith("#!/bin/"):
        return SHELL
    if re.match(r"(from \w[\w.]* import|import \w)", first):
        return PYTHON
    words = first.split()
    while words and _ASSIGNMENT.match(words[0]) and not words[0].startswith("job=$("):
        words = words[1:]
    program = words[0] if words else ""
    is_command = program in _PROGRAMS or program.endswith("/bin/python")
    # A word alone, or a sentence that begins like a command, is not one.
    return SHELL if is_command and len(words) > 1 else TEXT


def blocks(path: str, text: Optional[str] = None) -> List[Block]:
    """The blocks of a page, in order."""
    lines = (read(path) if text is None else text).split("\n")
    found, index, in_list = [], 0, False
    while index < len(lines):
        line = lines[index]
        fence = _FENCE.match(line)
        if fence:
            end = index + 1
            while end < len(lines) and not lines[end].startswith(fence.group(1)):
                end += 1
            found.append(
                _block(path, lines, index, lines[index + 1 : end], fence.group(2), index + 2)
            )
            index = end + 1
            continue
        if line.startswith("    ") and line.strip() and not in_list and _is_apart(lines, index):
            end = index
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            body = [part[4:] for part in lines[index:end]]
            found.append(_block(path, lines, index, body, "", index + 1))
            index = end
            continue
        if line.strip():
            in_list = bool(_LIST_ITEM.match(line)) or (in_list and line.startswith(" "))
        index += 1
    return found


def _is_apart(lines, index):
    return index == 0 or not lines[index - 1].strip()


def _block(path, lines, start, body, language, line):
    while body and not body[-1].strip():
        body = body[:-1]
    text = "\n".join(body)
    above = start - 1
    while above >= 0 and not lines[above].strip():
        above -= 1
    mark = _MARK.match(lines[above]) if above >= 0 else None
    return Block(path, line, _kind(language, text), text, mark.groups() if mark else None)


def _without_comment(line):
    quote = None
    for place, letter in enumerate(line):
        if quote:
            quote = None if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "#" and (place == 0 or line[place - 1] in " \t"):
            return line[:place].rstrip()
    return line.rstrip()


def logical_lines(block: Block) -> List[tuple]:
    """(line number, text) of every command of a shell block, continued lines joined."""
    found, parts, first = [], [], None
    for offset, line in enumerate(block.text.split("\n")):
        line = _without_comment(line)
        if first is None:
            first = block.line + offset
        if line.endswith("\\"):
            parts.append(line[:-1].strip())
            continue
        text = " ".join(part for part in parts + [line.strip()] if part)
        if text:
            found.append((first, text))
        parts, first = [], None
    return found


def _command(path, line, text, mark, is_inline=False):
    words = shlex.split(text)
    environment = {}
    while words and _ASSIGNMENT.match(words[0]):
        name, value = words.pop(0).split("=", 1)
        environment[name] = value
    return Command(path, line, text, environment, words, mark, is_inline)


def is_script(block: Block) -> bool:
    """Whether a block is a whole shell script rather than a list of commands."""
    return block.text.startswith("#!") or bool(re.search(r"\$\(", block.text))


def _own_part(line):
    """The command of this project in a line of a script, without what the script puts around it."""
    start = re.search(r"\b(horovodrun|python) .*\.py .*", line)
    if start is None:
        return None
    text = re.sub(r" &$", "", start.group(0))
    # The end of a command that is an argument itself.
    return text[:-1] if text.count('"') % 2 else text


def commands(path: str, text: Optional[str] = None) -> List[Command]:
    """The commands of a page: of its blocks, then those named in its sentences.

    A script gives the commands in it that are this project's.
    """
    text = read(path) if text is None else text
    found = []
    for block in blocks(path, text):
        if block.kind != SHELL:
            continue
        for line, command in logical_lines(block):
            if is_script(block):
                command = _own_part(command)
                if command is None:
                    continue
            found.append(_command(path, line, command, block.mark))
    inside = {line for block in blocks(path, text) for line in _lines_of(block)}
    for number, line in enumerate(text.split("\n"), 1):
        if number in inside:
            continue
        for span in _CODE_SPAN.findall(line):
            if _INLINE.match(span) and "..." not in span and "<" not in span:
                found.append(_command(path, number, span, None, is_inline=True))
    return found


def _lines_of(block):
    return range(block.line - 1, block.line + block.text.count("\n") + 2)
