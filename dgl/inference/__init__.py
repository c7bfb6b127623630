"""The frozen classifier: a trained network as a graph of constants, arranged for speed, gradients included.

Nothing is left to initialise, BatchNorm is gone from both directions, and the way back runs on the kernels
of the way forth. docs/speed.md tells what each brings.
"""

from dgl.inference.build import build_inference
from dgl.inference.session import open_session

__all__ = ["build_inference", "open_session"]
