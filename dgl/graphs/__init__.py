"""Classifiers that this project did not build: reading their graphs, and finding the tensors to ask about.

A graph read from a file is a program; :mod:`dgl.graphs.operations` says which ones are run.
"""

from dgl.graphs.frozen import load_frozen
from dgl.graphs.loaded import LoadedGraph
from dgl.graphs.pooled import pooled_layer
from dgl.graphs.saved_model import load_saved_model
from dgl.graphs.tensors import input_of, layers_of, logits_of

__all__ = [
    "LoadedGraph",
    "input_of",
    "layers_of",
    "load_frozen",
    "load_saved_model",
    "logits_of",
    "pooled_layer",
]
