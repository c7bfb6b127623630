"""Fixtures of all tests of training."""

import contextlib
import functools
from unittest import mock

import pytest

from dgl.backbones import get_backbone
from dgl.training import checkpointing, probe, refine, resolve
from dgl.weights.restore import network_variables


@functools.lru_cache(maxsize=None)
def _variables(mode, *settings):
    return network_variables(get_backbone(mode), *settings)


def _remembered(backbone, options, image_size, trained=False):
    return dict(_variables(backbone.mode, options, image_size, trained))


@pytest.fixture(autouse=True, scope="module")
def networks_that_are_built_once():
    """A network's variables are found by building it once in a process, and not at every use."""
    with contextlib.ExitStack() as patches:
        for module in (checkpointing, probe, refine, resolve):
            patches.enter_context(mock.patch.object(module, "network_variables", _remembered))
        yield
