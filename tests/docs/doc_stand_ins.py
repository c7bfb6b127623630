"""A working folder for the commands of the documentation: links to the project, and small stand-ins."""

import os
import shutil

import numpy as np
from doc_commands import ROOT
from networks import write_tensorflow
from PIL import Image
from sample_images import rectangle_image

from dgl.datasets import SHIPPED_CHECKPOINT
from dgl.datasets.birds import write_data_set

_LINKS = ("dgl", "images", "train_code", "test_code", "benchmarks", "tests", "run_train.sh")
_LINKS += ("requirements", "requirements.txt", "pyproject.toml", "Makefile", "examples")
_LOGS = ("vgg_birds", "vgg_scratch")


def make_stand_ins(folder):
    """Make in an empty folder everything that is not a link: done once, and copied for each page."""
    # As the shortened command makes it.
    sizes = {"train_per_class": 2, "test_per_class": 1, "longest_side": 64}
    write_data_set(os.path.join(folder, "data", "birds"), workers=1, **sizes)
    for name in _LOGS:
        _write_log(os.path.join(folder, "train_log", name))
    random = np.random.RandomState(0)
    for label in ("apple", "banana"):
        for split in ("train", "val"):
            place = os.path.join(folder, "my_images", split, label)
            os.makedirs(place)
            for number in range(4):
                _write_image(os.path.join(place, f"{number}.png"), random)
    os.mkdir(os.path.join(folder, "photos"))
    for name in ("photo.jpg", "photos/one.jpg", "photos/two.png"):
        _write_image(os.path.join(folder, name), random)
    _write_maps(os.path.join(folder, "maps"), random)
    return folder


def make_folder(folder, stand_ins):
    """Make a working folder: links to the project, copies of the stand-ins."""
    for name in _LINKS:
        if os.path.exists(os.path.join(ROOT, name)):
            os.symlink(os.path.join(ROOT, name), os.path.join(folder, name))
    for name in os.listdir(stand_ins):
        source, target = os.path.join(stand_ins, name), os.path.join(folder, name)
        (shutil.copytree if os.path.isdir(source) else shutil.copy)(source, target)


def _write_image(path, random):
    Image.fromarray(rectangle_image(random.randint(1000), 40, 50)).save(path)


def _write_maps(folder, random):
    """Score maps and their metadata, as `--maps maps/dgl --metadata maps/metadata` reads them."""
    tables = {"image_ids": [], "class_labels": [], "image_sizes": [], "localization": []}
    for name in ("dgl", "cam", "metadata"):
        os.makedirs(os.path.join(folder, name))
    for key in ("a", "b"):
        for method in ("dgl", "cam"):
            score_map = np.kron(random.rand(7, 7), np.ones((32, 32))).astype(np.float32)
            np.save(os.path.join(folder, method, key + ".npy"), score_map)
        for name, rest in zip(sorted(tables), (",0", "", ",50,40", ",5,5,30,30")):
            tables[name].append(key + rest + "\n")
    for name, lines in tables.items():
        with open(os.path.join(folder, "metadata", name + ".txt"), "w") as stream:
            stream.writelines(lines)


def _write_log(folder):
    """What a training leaves: the shipped weights as TensorFlow's checkpoint, and the model card."""
    os.makedirs(folder)
    with np.load(SHIPPED_CHECKPOINT) as stored:
        values = {name.rsplit(":", 1)[0]: stored[name] for name in stored.files}
    write_tensorflow(os.path.join(folder, "model-1"), values)
    card = os.path.splitext(SHIPPED_CHECKPOINT)[0] + ".json"
    shutil.copy(card, os.path.join(folder, "model.json"))
