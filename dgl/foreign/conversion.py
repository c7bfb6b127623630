"""Read a Keras model in a process of its own, and write it as a frozen graph.

:mod:`dgl.foreign.open_model` runs it. TensorFlow computes eagerly here and has the Keras that the model
needs, while the process that makes maps is in graph mode. Python that a model carries along (layers of
class Lambda) is refused and not run.
"""

import json
import os
import sys
import zipfile
from typing import Any, List, Optional

from dgl.errors import UserError, first_line, quote
from dgl.tf_compat import eager_tensorflow

_MESSAGE_CHARACTERS = 300
_MOST_CONFIG_BYTES = 2**28


def main(argv: Optional[List[str]] = None) -> int:
    """Convert; the arguments are the model, the folder to write to, the output, the image size."""
    path, folder, output, image_size = (sys.argv[1:] if argv is None else argv)[:4]
    from dgl.foreign.keras_model import load_keras
    from dgl.foreign.open_model import FACTS, GRAPH

    model = _from_keras(path)
    try:
        loaded = load_keras(model, int(image_size) or None, output or None)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    with open(os.path.join(folder, GRAPH), "wb") as stream:
        stream.write(loaded.graph.as_graph_def().SerializeToString())
    facts = {
        "image": loaded.image.name,
        "output": loaded.output.name,
        "inputs": {key: tensor.name for key, tensor in loaded.inputs.items()},
        "layers": {key: tensor.name for key, tensor in loaded.layers.items()},
    }
    with open(os.path.join(folder, FACTS), "w", encoding="utf-8") as stream:
        json.dump(facts, stream)
    return 0


def _from_keras(path: str) -> Any:
    """A model of Keras 3, or of tf-keras where that reads it."""
    _refuse_code(path)
    reasons = []
    for loader in (eager_tensorflow().keras.models.load_model, _legacy_loader()):
        if loader is None:
            continue
        try:
            return loader(path, compile=False)
        except Exception as error:  # whatever Keras raises for what it does not know
            reasons.append(quote(first_line(error), _MESSAGE_CHARACTERS))
    raise UserError(
        f"{path}: Keras cannot load it ({reasons[0]}); a model with classes of its own is loaded where "
        "they are known, and saved for other programs by model.export('folder')"
    )


def _legacy_loader() -> Any:
    try:
        import tf_keras
    except ImportError:
        return None
    return tf_keras.models.load_model


def _refuse_code(path: str) -> None:
    """Refuse a model with Python in it, which loading would run."""
    try:
        config = _config_of(path)
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        reason = quote(first_line(error), _MESSAGE_CHARACTERS)
        raise UserError(f"{path}: damaged or no Keras model ({reason})") from None
    for text in ('"class_name": "Lambda"', '"class_name": "__lambda__"'):
        if text in config or text.replace(": ", ":") in config:
            raise UserError(
                f"{path}: has a Lambda layer, whose Python is not run; load the model where you trust it "
                "and save it by model.export('folder')"
            )


def _config_of(path: str) -> str:
    """The description of a model's layers, as JSON."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive, archive.open("config.json") as stream:
            return stream.read(_MOST_CONFIG_BYTES).decode("utf-8", "replace")
    import h5py

    with h5py.File(path, "r") as stored:
        config = stored.attrs["model_config"]
    return config.decode("utf-8", "replace") if isinstance(config, bytes) else str(config)
