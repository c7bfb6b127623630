"""The reference of the `dgl` command as Markdown, from its parsers: see `generated.py`."""

import argparse
import re

# Commands whose examples wait for `make test-docs`: others of their kind, on other pages, do not.
_SLOW = ("evaluate",)
_HIDDEN = (argparse._HelpAction, argparse._VersionAction)


def _cell(text):
    return " ".join(str(text).split()).replace("|", "\\|")


def _values(action):
    """What is to be given after a flag."""
    if action.nargs == 0:
        return ""
    if action.choices is not None:
        choices = [f"`{choice}`" for choice in action.choices]
        text = ", ".join(choices)
    elif action.metavar is not None:
        text = action.metavar
    else:
        kind = getattr(action.type, "__name__", "")
        kind = {"int": "whole number", "float": "number"}.get(kind, kind)
        text = "a " + kind if "number" in kind else ""
    if action.nargs in ("+", "*"):
        text = "one or more" + (": " + text if text else "")
    return text


def _default(action):
    value = action.default
    if value in (None, False, argparse.SUPPRESS) or value == [] or action.nargs == 0:
        return ""
    if isinstance(value, (list, tuple)):
        return "`{}`".format(" ".join(map(str, value)))
    # A place on the disk of whoever writes this page, or a number of cores, is nobody else's.
    return "" if re.search(r"[/\\]", str(value)) or action.dest == "workers" else f"`{value}`"


def _help(action):
    text = re.sub(r",? *\(?default:? %\(default\)s\)?", "", action.help or "")
    return text.replace("%%", "%").strip()


def _table(actions):
    rows = ["| flag | values | default | meaning |", "| --- | --- | --- | --- |"]
    for action in actions:
        names = action.option_strings or [action.metavar or action.dest]
        flags = ", ".join(f"`{name}`" for name in names)
        if action.required and action.option_strings:
            flags += " (required)"
        cells = [flags, _values(action), _default(action), _help(action)]
        rows.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(rows)


def _groups(parser):
    for group in parser._action_groups:
        actions = [
            action
            for action in group._group_actions
            if not isinstance(action, _HIDDEN + (argparse._SubParsersAction,))
            and action.help != argparse.SUPPRESS
        ]
        if actions:
            title = re.sub(r"[;(].*", "", group.title or "").strip()
            is_plain = title in ("positional arguments", "optional arguments", "options")
            yield ("" if is_plain else title), actions


def _flags(parser, level):
    parts = []
    for title, actions in _groups(parser):
        if title:
            parts.append("{} {}".format("#" * level, title[:1].upper() + title[1:]))
        parts.append(_table(actions))
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help for choice in action._choices_actions}
            for name, own in action.choices.items():
                parts.append("{} `{} {}`".format("#" * level, parser.prog, name))
                parts.append(helps.get(name, "")[:1].upper() + helps.get(name, "")[1:] + ".")
                parts += _flags(own, level + 1)
    return parts


def reference():
    """Markdown: a section a command, with its examples and its flags."""
    from dgl.cli.parser import COMMANDS, make_parser

    parser = make_parser()
    added = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    parts = ["| command | for |\n| --- | --- |"]
    lines = [
        f"| [`dgl {command.name}`](#dgl-{command.name}) | {_cell(command.help)} |"
        for command in COMMANDS
    ]
    parts[0] += "\n" + "\n".join(lines)
    for command in COMMANDS:
        parts.append(f"## `dgl {command.name}`")
        parts.append(command.help[:1].upper() + command.help[1:] + ".")
        if command.name in _SLOW:
            parts.append("<!-- run: slow -->")
        parts.append("\n".join("    " + example for example in command.examples))
        parts += _flags(added.choices[command.name], 3)
    return "\n\n".join(parts)
