"""Load classifiers that were not built by this project and find the tensors that attribution needs.

A graph read from a file is a program; :mod:`dgl.foreign.operations` decides which operations may run.
"""

from dgl.foreign.frozen import LoadedGraph, load_frozen
from dgl.foreign.heads import head_of, logits_of
from dgl.foreign.keras_model import KerasGraph, load_keras
from dgl.foreign.saved_model import load_saved_model
from dgl.foreign.tensors import input_of, layers_of, pooled_layer

__all__ = [
    "KerasGraph",
    "LoadedGraph",
    "head_of",
    "input_of",
    "layers_of",
    "load_frozen",
    "load_keras",
    "load_saved_model",
    "logits_of",
    "pooled_layer",
]
