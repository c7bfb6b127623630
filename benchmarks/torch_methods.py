#!/usr/bin/env python
"""Compare boxes and time with pytorch-grad-cam's on the same photographs, weights and target classes.

EfficientNet-Lite in PyTorch and in TensorFlow, one photograph at a time. Score-CAM and Ablation-CAM run the
network once for every channel of the layer, so `--limit` takes evenly spaced photographs of the split.
pytorch-grad-cam installs as requirements/peers.txt says.

    python benchmarks/torch_methods.py --data ilsvrc --split test --limit 100 --layer block14 \
        --out benchmarks/results/torch_methods_ilsvrc.json
"""

import argparse
import json
import os
import sys
import time
from unittest import mock

import numpy as np
from tqdm import tqdm

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "tests")]

from benchmarks.recorded import markdown
from benchmarks.replicates import Replicates
from dgl.data.image_io import read_image
from dgl.data.layouts import load_data
from dgl.data.views import GEOMETRIES, rgb_to_bgr
from dgl.errors import run_script
from dgl.evaluation.plan import WSOL
from dgl.metrics.bootstrap import compare, intervals
from dgl.metrics.max_box_acc import MaxBoxAccEvaluator
from dgl.predict.postprocess import score_map
from dgl.utils.files import write_atomically

THEIRS = {
    "Grad-CAM": "GradCAM",
    "Grad-CAM++": "GradCAMPlusPlus",
    "XGrad-CAM": "XGradCAM",
    "LayerCAM": "LayerCAM",
    "HiResCAM": "HiResCAM",
    "Eigen-CAM": "EigenCAM",
    "Score-CAM": "ScoreCAM",
    "Ablation-CAM": "AblationCAM",
}
OURS = ("dgl", "layercam", "normgrad")
FIGURE = "max_box_acc_v2"


def torch_network(mode, layer):
    """The PyTorch network with its published weights, and a module at the layer for the library to hook."""
    import torch
    from torch_networks import lite_logits

    from dgl.backbones import get_backbone
    from dgl.weights.restore import find_weights

    path = find_weights(get_backbone(mode), mode)
    state = torch.load(path, map_location="cpu", weights_only=True)

    class Lite(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.taps = torch.nn.ModuleDict({layer: torch.nn.Identity()})
            self.unused = torch.nn.Parameter(torch.zeros(1))  # the library asks it for the device

        def forward(self, images):
            def keep(name, x):
                return self.taps[name](x) if name in self.taps else x

            # The library differentiates only what depends on something that wants a gradient.
            return lite_logits(state, images + 0 * self.unused, keep)

    return Lite().eval()


def their_maps(model, layer, names):
    """Function of an RGB image and a class that yields (name, map in [0, 1] or None, seconds)."""
    import torch

    # torchvision is imported by the library and not needed here.
    parts = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
    with mock.patch.dict(sys.modules, {name: mock.MagicMock() for name in parts}):
        import pytorch_grad_cam as library
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    def run(image, class_index):
        inputs = torch.tensor((image.astype("float32").transpose(2, 0, 1)[None] - 127) / 128)
        start = time.perf_counter()
        with torch.no_grad():
            model(inputs)
        yield "forward", None, time.perf_counter() - start
        for name in names:
            # A tap that Ablation-CAM has replaced is put back, but a new one is never in doubt.
            model.taps[layer] = torch.nn.Identity()
            cam = getattr(library, THEIRS[name])(model, [model.taps[layer]])
            cam.batch_size = 32
            start = time.perf_counter()
            with mock.patch("tqdm.tqdm", lambda steps: steps):
                found = cam(inputs, [ClassifierOutputTarget(class_index)])[0]
            yield name, found, time.perf_counter() - start
            cam.activations_and_grads.release()

    return run


def measure(args):
    """(evaluators, seconds) by name of tool and method."""
    from dgl.predict.predictor import Predictor

    data = load_data(args.data, args.split)
    samples = data.samples[:: max(1, len(data) // args.limit)][: args.limit]
    run = their_maps(torch_network(args.mode, args.layer), args.layer, args.method)
    evaluators, seconds = {}, {}

    def add(name, found, view, sample):
        if name not in evaluators:
            evaluators[name] = MaxBoxAccEvaluator()
        found = score_map(found, view.map_size, view.map_size)
        evaluators[name].add([found], [view.boxes], [sample.id])

    with Predictor(args.mode, args.mode, [args.layer], OURS, gpu="-1") as predictor:
        entries = {"forward": [], **{entry[0]: [entry] for entry in predictor.entries}}
        for sample in tqdm(samples, unit="images"):
            view = GEOMETRIES[WSOL].view(
                read_image(sample.path), sample.boxes, predictor.image_size
            )
            bgr = rgb_to_bgr(view.image[None])
            for name, wanted in entries.items():
                start = time.perf_counter()
                found = predictor(bgr, [sample.class_index], wanted).maps
                seconds.setdefault(("ours", name), []).append(time.perf_counter() - start)
                for (method, _), maps in found.items():
                    add(("ours", method), maps[0], view, sample)
            for name, found, taken in run(view.image, sample.class_index):
                seconds.setdefault(("pytorch-grad-cam", name), []).append(taken)
                if found is not None:
                    add(("pytorch-grad-cam", name), found, view, sample)
    return data.name, len(samples), evaluators, seconds


def main(argv=None):
    """Measure; writes the record."""
    args = make_parser().parse_args(argv)
    name, images, evaluators, seconds = measure(args)
    dgl = Replicates([evaluators["ours", "dgl"]])
    rows = []
    for (tool, method), evaluator in evaluators.items():
        own = Replicates([evaluator])
        result = evaluator.result()
        row = {
            "tool": tool,
            "method": method,
            "v2": result[FIGURE],
            "interval": list(intervals(own, args.resamples)[FIGURE]),
            "per_iou": result["max_box_acc_v2_per_iou"],
            "milliseconds": 1000 * float(np.median(seconds[tool, method])),
        }
        if (tool, method) != ("ours", "dgl"):
            test = compare(dgl, own, FIGURE, args.resamples)
            row["dgl_minus_it"] = test.record("dgl", method, FIGURE)
        rows.append(row)
    forward = {tool: 1000 * float(np.median(seconds[tool, "forward"])) for tool, _ in evaluators}
    record = {
        "data": name,
        "split": args.split,
        "images": images,
        "mode": args.mode,
        "layer": args.layer,
        "forward_milliseconds": forward,
        "rows": rows,
    }
    write_atomically(args.out, (json.dumps(record, indent=1) + "\n").encode("utf-8"))
    print(table(record))
    return 0


def table(record):
    """A row a tool and method, best first; times as multiples of our forward pass."""
    unit = record["forward_milliseconds"]["ours"]
    lines = [["method", "by", "IoU 0.3", "0.5", "0.7", "MaxBoxAccV2", "DGL - it", "p", "time"]]
    for row in sorted(record["rows"], key=lambda row: -row["v2"]):
        cells = [row["method"], row["tool"]]
        cells += [f"{row['per_iou'][iou]:.1f}" for iou in ("30", "50", "70")]
        cells.append("{:.1f} ({:.1f} to {:.1f})".format(row["v2"], *row["interval"]))
        test = row.get("dgl_minus_it")
        cells += [f"{test['difference']:+.1f}", f"{test['p_value']:.3f}"] if test else ["", ""]
        cells.append(f"{row['milliseconds'] / unit:.1f}")
        lines.append(cells)
    return markdown(lines)


def make_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mode", default="efficientnet_lite0", help="an EfficientNet-Lite")
    parser.add_argument("--layer", required=True, help="layer of all maps")
    parser.add_argument("--data", required=True, help="data set with boxes")
    parser.add_argument("--split", default="test")
    parser.add_argument("--limit", type=int, default=100, help="photographs, evenly spaced")
    parser.add_argument("--method", nargs="+", choices=THEIRS, default=list(THEIRS))
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--out", required=True, help="record to write")
    return parser


if __name__ == "__main__":
    run_script(main)
