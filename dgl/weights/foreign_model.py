"""Classifiers that others built, as flags name them: the kind of file in --load, and how to read it."""

import os
from typing import Any, Dict, NamedTuple, Optional, Tuple

from dgl.errors import UserError

KERAS, SAVED_MODEL, FROZEN, ONNX = "keras", "saved_model", "frozen", "onnx"
MODE = "model"  # in the place of a backbone's name

_EXTENSIONS = {".keras": KERAS, ".pb": FROZEN, ".pbtxt": FROZEN, ".onnx": ONNX}
_HDF5 = (".h5", ".hdf5")
# What has a graph but no gradients, or another framework's; and how to get one of the kinds above.
EXPORT = "torch.onnx.export(model.eval(), (images,), 'model.onnx')"
_OTHERS = {
    "LiteRT's files have no gradients; load the Keras model or SavedModel that it was made of":
        ".tflite .lite .tfl",
    "Core ML's files are not read; load the model that it was made of":
        ".mlmodel .mlpackage .mlmodelc",
    "TensorRT's engines are not read; load the ONNX file that it was made of": ".engine .plan .trt",
    EXPORT + " makes a file for --load of the module": ".torchscript .pt2 .ptl .mar",
    "files of this framework are not read; load an ONNX file of the network":
        ".pdmodel .pdparams .params .caffemodel .prototxt .ort .xml .pkl .pickle .joblib .gguf .msgpack",
    "an archive; unpack it first": ".zip .tar .gz .tgz .7z",
    "a graph of TensorFlow 1 is loaded as a SavedModel: tf.saved_model.simple_save writes one": ".meta",
}  # fmt: skip


class ForeignModel(NamedTuple):
    """How to read a classifier that others built; values that can be pickled."""

    preprocess: Optional[str] = None  # name in dgl.foreign.preprocessing.PREPROCESSINGS
    output: Optional[str] = None  # name of the output with the scores, where there are several
    feeds: Tuple[Tuple[str, Any], ...] = ()  # name of a further input -> its value
    class_names: Tuple[str, ...] = ()  # one name per class, or empty


def model_kind(load: Optional[str]) -> Optional[str]:
    """The kind of a file or folder with a classifier's graph; ``None`` for anything else.

    Args:
        load: value of ``--load``.

    Raises:
        UserError: a format that is not read; the message says what to do.
    """
    if load is None:
        return None
    extension = os.path.splitext(load.rstrip("/\\"))[1].lower()
    for reason, extensions in _OTHERS.items():
        if extension in extensions.split() and os.path.exists(load):
            raise UserError(f"{load}: {reason}")
    if os.path.isdir(load):
        names = (os.path.join(load, "saved_model" + end) for end in (".pb", ".pbtxt"))
        return SAVED_MODEL if any(map(os.path.isfile, names)) else None
    if os.path.basename(load) == "saved_model.pb":
        return SAVED_MODEL
    if extension in _HDF5:
        return KERAS if _has_layers(load) else None
    return _EXTENSIONS.get(extension)


def _has_layers(path: str) -> bool:
    """Whether a file of HDF5 holds a Keras model with its layers, not weights alone."""
    try:
        import h5py

        with h5py.File(path, "r") as stored:
            return "model_config" in stored.attrs
    except (ImportError, OSError, ValueError, KeyError, RuntimeError):
        return False


def parse_feeds(texts: Optional[Any]) -> Dict[str, Any]:
    """``NAME=VALUE`` of ``--feed``, values as numbers, truth values or lists of them.

    Raises:
        UserError: another form.
    """
    found: Dict[str, Any] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise UserError(f"--feed {text}: expected NAME=VALUE, such as keep_prob=1.0")
        parts = [_value(part, text) for part in value.strip("[]() ").split(",")]
        found[name] = parts if "," in value or value.startswith("[") else parts[0]
    return found


def _value(text: str, whole: str) -> Any:
    text = text.strip()
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return float(text) if any(c in text.lower() for c in ".enai") else int(text)
    except ValueError:
        raise UserError(
            f"--feed {whole}: expected a number, true, false, or numbers separated by commas"
        ) from None
