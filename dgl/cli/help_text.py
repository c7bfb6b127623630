"""How the help of the `dgl` command looks: defaults where there are any, examples at the end."""

import argparse
from typing import Iterable


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Adds the default of a flag to its help, where there is one and the text does not say it."""

    def _get_help_string(self, action):
        default = action.default
        if not action.help or not action.option_strings or "%(default)" in action.help:
            return action.help
        if default in (None, True, False, argparse.SUPPRESS) or default == []:
            return action.help
        shown = " ".join(default) if isinstance(default, (list, tuple)) else str(default)
        return "{} (default: {})".format(action.help, shown.replace("%", "%%"))


def sentence(text: str) -> str:
    """A phrase as a sentence."""
    return text[:1].upper() + text[1:] + "."


def epilog(examples: Iterable[str]) -> str:
    """What a subcommand's help ends with."""
    return "examples:\n" + "".join(f"  {example}\n" for example in examples)
