"""The one line in which a call refuses its input."""

import pytest

from dgl.errors import UserError


def refusal(call, *arguments, **settings):
    """Call a function, which raises :class:`UserError`; returns its message, which is one line."""
    with pytest.raises(UserError) as caught:
        call(*arguments, **settings)
    message = str(caught.value)
    assert "\n" not in message
    return message
