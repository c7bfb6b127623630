"""The flags of the demo: those of `dome_image_DGL.py`, and what `dgl localize` has beyond them."""

import argparse

from dgl.backbones import BACKBONES
from dgl.data.bundled import SHIPPED_CHECKPOINT, SHIPPED_IMAGES
from dgl.predict.postprocess import DEFAULT_THRESHOLD
from dgl.utils.cpu import FLOAT32, PRECISIONS

# What `dome_image_DGL.py` has; both maps are written, and the method says which gives the box.
PUBLISHED_METHODS = ("dgl", "cam")
# The names in dgl.attribution.METHODS: that registry loads TensorFlow, for which --help should not wait.
METHOD_NAMES = (
    "cam",
    "gradcam",
    "gradcam++",
    "layercam",
    "hirescam",
    "eigencam",
    "dgl",
    "dgl-pcs",
    "dgl-no-loss",
    "dgl-no-class",
    "center",
)


def make_parser(description: str) -> argparse.ArgumentParser:
    """The parser of `dome_image_DGL.py`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add_flags(parser)
    return parser


def add_flags(parser: argparse.ArgumentParser, of_command: bool = False) -> None:
    """Give a parser the flags of the demo.

    Args:
        parser: to be extended.
        of_command: as `dgl localize` has them: with short names beside the published ones, every method,
            and the backbone told from the checkpoint. The caller adds the images themselves.
    """

    def names(published, *short):
        return (published,) + (short if of_command else ())

    published = parser.add_argument_group("published flags")
    published.add_argument("--load", default=SHIPPED_CHECKPOINT, help="checkpoint")
    published.add_argument(
        "--data_path",
        default=None if of_command else SHIPPED_IMAGES,
        help="an image, or a folder",
    )
    published.add_argument(
        "--image_size", type=int, help="side of the input (the checkpoint's, 224)"
    )
    published.add_argument(
        "--mode",
        choices=sorted(BACKBONES),
        default=None if of_command else "vgg",
        help="backbone" + (" (what the checkpoint is)" if of_command else ""),
    )
    published.add_argument(
        *names("--clayer", "--layer"), default="2", help="layer of the DGL map: index or name"
    )
    published.add_argument("--dataset", choices=("imagenet", "cub"), help="which head, if several")
    published.add_argument(
        *names("--pa", "--alpha"), type=float, default=10.0, help="alpha of the loss gradient"
    )
    published.add_argument("--gpu", help="GPU to use (-1: the CPU)")
    ours = parser.add_argument_group("beyond the published flags")
    ours.add_argument(*names("--outdir", "--out"), default=".", help="where to write")
    ours.add_argument("--class", dest="class_index", type=int, help="class to locate (arg-max)")
    ours.add_argument(
        "--threshold", type=float, default=DEFAULT_THRESHOLD, help="fraction of the map's maximum"
    )
    ours.add_argument(
        "--method",
        choices=METHOD_NAMES if of_command else PUBLISHED_METHODS,
        default="dgl",
        help="which map gives the box",
    )
    ours.add_argument("--save-maps", action="store_true", help="also write the raw maps as .npy")
    ours.add_argument(
        "--fast", action="store_true", help="oneDNN's kernels on a CPU, not TensorFlow 1.15's"
    )
    ours.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=FLOAT32,
        help="bf16 (implies --fast) needs a CPU or GPU that computes in it, "
        "bf16-anywhere rounds the same on any CPU, slowly",
    )
    folders = parser.add_argument_group("for folders")
    folders.add_argument("--batch", type=int, default=8, help="images a run of the network")
    folders.add_argument(
        "--workers", type=int, help="threads that decode, and that draw and write (one a core)"
    )
    folders.add_argument(
        "--resume", action="store_true", help="leave out what is there, made with the same flags"
    )
