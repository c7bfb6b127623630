"""Compute attention maps of a trained classifier, and boxes and overlays from maps."""

from typing import Any


def __getattr__(name: str) -> Any:
    """Import ``build_inference`` and ``open_session``, which load TensorFlow, at their first use."""
    if name == "build_inference":
        from dgl.predict.frozen import build_inference

        return build_inference
    if name == "open_session":
        from dgl.predict.session import open_session

        return open_session
    raise AttributeError(f"module {__name__} has no attribute {name}")
