"""The per-image demo: pictures in; attention maps, boxes and a JSON record out."""

import argparse
import io
import json
import math
import os
from collections import OrderedDict

import numpy as np

from dgl import boxes as box_ops
from dgl.arithmetic import use_reference_kernels
from dgl.backbones import BACKBONES
from dgl.data.image_io import list_images, read_image
from dgl.data.views import demo_input
from dgl.errors import UserError
from dgl.files import write_atomically
from dgl.rendering.overlay import draw_boxes, overlay, write_image

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHIPPED_CHECKPOINT = os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "pretrained", "birds_vgg.npz"
)
SHIPPED_PICTURES = os.path.join(_ROOT, "images")


def make_parser(description):
    """The parser of `dome_image_DGL.py`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    published = parser.add_argument_group("published flags")
    published.add_argument("--load", default=SHIPPED_CHECKPOINT, help="checkpoint")
    published.add_argument("--data_path", default=SHIPPED_PICTURES, help="a picture, or a folder")
    published.add_argument(
        "--image_size", type=int, help="side of the input (the checkpoint's, 224)"
    )
    published.add_argument("--mode", choices=sorted(BACKBONES), default="vgg", help="backbone")
    published.add_argument("--clayer", default="2", help="layer of the DGL map: index or name")
    published.add_argument("--dataset", choices=("imagenet", "cub"), help="which head, if several")
    published.add_argument("--pa", type=float, default=10.0, help="alpha of the loss gradient")
    published.add_argument("--gpu", help="GPU to use (-1: the CPU)")
    ours = parser.add_argument_group("beyond the published flags")
    ours.add_argument("--outdir", default=".", help="where to write")
    ours.add_argument("--class", dest="class_index", type=int, help="class to locate (arg-max)")
    ours.add_argument("--threshold", type=float, default=0.2, help="fraction of the map's maximum")
    ours.add_argument(
        "--method", choices=("dgl", "cam"), default="dgl", help="which map gives the box"
    )
    ours.add_argument("--save-maps", action="store_true", help="also write the raw maps as .npy")
    ours.add_argument(
        "--fast", action="store_true", help="oneDNN's kernels on a CPU, not TensorFlow 1.15's"
    )
    return parser


def _check(args):
    if not 0 <= args.threshold <= 1:
        raise UserError("--threshold {}: expected a value in [0, 1]".format(args.threshold))
    if args.image_size is not None and not 32 <= args.image_size <= 4096:
        raise UserError("--image_size {}: expected 32 to 4096".format(args.image_size))


def _save_map(path, raw):
    buffer = io.BytesIO()
    np.save(buffer, raw)
    write_atomically(path, buffer.getvalue())


def _write(args, localizer, path, outdir):
    """Locate one picture and write everything about it; returns the record."""
    image = read_image(path)
    height, width = image.shape[:2]
    target = None if args.class_index is None else [args.class_index]
    prediction = localizer(demo_input(image, localizer.image_size)[np.newaxis], target)
    names = {}
    for method, layer in localizer.entries:
        flat = layer.replace("/", "_")
        stem = (
            "{}_cam".format(args.mode) if method == "cam" else "{}_{}_dgl".format(args.mode, flat)
        )
        raw = prediction.maps[method, layer][0]
        # The two maps may differ in resolution: each goes to the picture's size by itself.
        score_map = box_ops.resize_map(box_ops.normalise(raw), height, width)
        names[method] = stem, layer, score_map
        write_image(os.path.join(outdir, stem + ".png"), overlay(image, score_map))
        if args.save_maps:
            _save_map(os.path.join(outdir, stem + ".npy"), raw)
    stem, layer, score_map = names[args.method]
    box = [int(v) for v in box_ops.largest_box(score_map, args.threshold)]
    write_image(os.path.join(outdir, stem + "_box.png"), draw_boxes(image, predicted=box))
    class_index = int(prediction.class_index[0])
    record = OrderedDict(
        image=path,
        width=width,
        height=height,
        mode=args.mode,
        method=args.method,
        layer=layer,
        class_index=class_index,
        class_name=localizer.class_name(class_index),
        probability=float(prediction.probability[0, class_index]),
        box=box,
        threshold=args.threshold,
        alpha=args.pa if math.isfinite(args.pa) else "inf",  # JSON has no infinity
    )
    text = json.dumps(record, indent=1) + "\n"
    write_atomically(os.path.join(outdir, stem + ".json"), text.encode("utf-8"))
    return record


def _folder_name(path, paths):
    """Folder for one of several pictures: its name, with the extension where two would share it."""
    stems = [os.path.splitext(os.path.basename(other))[0] for other in paths]
    name = os.path.basename(path)
    stem = os.path.splitext(name)[0]
    return stem if stems.count(stem) == 1 else name


def run(args):
    """Carry out parsed flags; returns the exit code."""
    _check(args)
    paths = list_images(args.data_path)
    if not args.fast:
        use_reference_kernels()
    from dgl.localizer import Localizer  # TensorFlow takes seconds to load; bad flags should not

    with Localizer(
        args.mode,
        args.load,
        layers=[args.clayer],
        methods=("dgl", "cam"),
        alpha=args.pa,
        image_size=args.image_size,
        data_set=args.dataset,
        gpu=args.gpu,
    ) as localizer:
        for path in paths:
            outdir = args.outdir
            if os.path.isdir(args.data_path):
                outdir = os.path.join(outdir, _folder_name(path, paths))
            record = _write(args, localizer, path, outdir)
            print(
                "{image}: class {class_index} {class_name} ({probability:.3f}), box {box} -> {}".format(
                    outdir, **record
                )
            )
    return 0
