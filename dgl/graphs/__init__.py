"""Classifiers that this project did not build: reading their graphs, and finding the tensors to ask about.

A graph read from a file is a program; :mod:`dgl.graphs.operations` says which ones are run.
"""

from dgl.graphs.pooled import pooled_layer
from dgl.graphs.tensors import input_of, layers_of, logits_of

__all__ = ["input_of", "layers_of", "logits_of", "pooled_layer"]
