"""Export a trained checkpoint: one `.npz` without optimizer state, and its model card.

``dgl export --load train_log/vgg_birds --out birds_vgg.npz``
"""

import os
import runpy
import sys

from dgl.backbones import get_backbone
from dgl.backbones.foreground import SCOPE
from dgl.errors import UserError
from dgl.weights.checkpoint import open_checkpoint
from dgl.weights.formats.npz import save_npz
from dgl.weights.model_card import read_card, write_card
from dgl.weights.restore import check_fit, network_variables, options_from


def export(load: str, out: str) -> int:
    """Write the network's variables and its foreground head's alone, with a card; returns their number.

    ``load`` is a checkpoint with a model card, such as a folder in ``train_log/``.

    Raises:
        UserError: no card, or the checkpoint does not fit the backbone that the card names.
    """
    if not out.endswith(".npz"):
        raise UserError(f"--out {out}: expected a name ending in .npz")
    card = read_card(load)
    if card is None:
        raise UserError(f"--load {load}: no model.json beside it; expected a training log")
    backbone = get_backbone(card.mode)
    checkpoint = open_checkpoint(load)
    options = options_from(backbone, checkpoint, card=card)
    wanted = network_variables(backbone, options)
    check_fit(wanted, checkpoint)
    names = [*wanted, *(name for name in checkpoint.shapes if name.startswith(SCOPE + "/"))]
    save_npz(out, {name: checkpoint.read(name) for name in names})
    write_card(os.path.splitext(out)[0] + ".json", card)
    return len(names)


if __name__ == "__main__":  # how `dgl export` was called before there was `dgl`
    sys.argv.insert(1, "export")
    runpy.run_module("dgl.cli", run_name="__main__")
