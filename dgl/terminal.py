"""Text from outside (names of files, of classes) as it may be shown on a terminal."""


def printable(text: str) -> str:
    """One line without anything that a terminal obeys.

    Args:
        text: str, possibly with the surrogates that stand for bytes of a file name which are no UTF-8.

    Returns:
        str: line ends are spaces; control characters, marks that turn the direction of writing, and
        surrogates are escaped as Python writes them (``\\x1b``).
    """
    text = " ".join(text.splitlines())
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
