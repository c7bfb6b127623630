"""Weights: reading checkpoints of every kind and filling networks from them."""

from dgl.weights.checkpoint import Checkpoint, open_checkpoint, read_weights
from dgl.weights.formats.npz import save_npz
from dgl.weights.model_card import CARD_FILE, ModelCard, class_names_of, read_card, write_card
from dgl.weights.restore import (
    choose_head,
    disagreements,
    find_weights,
    open_weights,
    options_from,
    read_all,
)

__all__ = [
    "CARD_FILE",
    "Checkpoint",
    "ModelCard",
    "choose_head",
    "class_names_of",
    "disagreements",
    "find_weights",
    "open_checkpoint",
    "open_weights",
    "options_from",
    "read_all",
    "read_card",
    "read_weights",
    "save_npz",
    "write_card",
]
