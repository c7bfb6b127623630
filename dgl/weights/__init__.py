"""Weights: reading checkpoints of every kind and filling networks from them."""

from dgl.weights.checkpoint import Checkpoint, open_checkpoint
from dgl.weights.model_card import CARD_FILE, ModelCard, read_card, write_card
from dgl.weights.npz_file import save_npz
from dgl.weights.restore import (
    choose_head,
    disagreements,
    find_weights,
    options_from,
    read_all,
)
from dgl.weights.values import read_weights

__all__ = [
    "CARD_FILE",
    "Checkpoint",
    "ModelCard",
    "choose_head",
    "disagreements",
    "find_weights",
    "open_checkpoint",
    "options_from",
    "read_all",
    "read_card",
    "read_weights",
    "save_npz",
    "write_card",
]
