"""The one line in which a call refuses its input."""

import re

import pytest

from dgl.errors import UserError


def refusal(call, *arguments, **settings):
    """Call a function, which raises :class:`UserError`; returns its message, which is one line."""
    with pytest.raises(UserError) as caught:
        call(*arguments, **settings)
    message = str(caught.value)
    assert "\n" not in message
    return message


def check_refusal(words, call, *arguments, **settings):
    """The line with which a call refuses its input has what a regular expression says."""
    message = refusal(call, *arguments, **settings)
    assert re.search(words, message), message
