"""Classifiers that this project did not build: reading their graphs, and finding the tensors to ask about.

A graph read from a file is a program; :mod:`dgl.foreign.operations` says which ones are run.
"""

from dgl.foreign.frozen import LoadedGraph, load_frozen
from dgl.foreign.saved_model import load_saved_model
from dgl.foreign.tensors import input_of, layers_of, logits_of, pooled_layer

__all__ = [
    "LoadedGraph",
    "input_of",
    "layers_of",
    "load_frozen",
    "load_saved_model",
    "logits_of",
    "pooled_layer",
]
