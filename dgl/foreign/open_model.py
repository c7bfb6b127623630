"""Open a classifier from a file or folder, in any of the supported formats: `open_model`.

Keras models are read in a process of its own, which writes them as frozen graphs: TensorFlow computes
eagerly there and has the Keras that the model needs, while the process that makes maps is in graph
mode. Python that a model carries along (layers of class Lambda) is refused and not run.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from typing import Any, Dict, List, NamedTuple, Optional

from dgl.errors import ArgumentError, UserError, quote, reason_of
from dgl.foreign.frozen import LoadedGraph, load_frozen
from dgl.foreign.heads import logits_of
from dgl.foreign.keras_model import load_keras
from dgl.foreign.onnx_graph import load_onnx
from dgl.foreign.saved_model import load_saved_model
from dgl.foreign.tensors import input_of, layers_of
from dgl.tf_compat import eager_tensorflow
from dgl.weights.foreign_model import FROZEN, KERAS, ONNX, model_kind

_EXPECTED = (
    "a Keras model (.keras, .h5), a SavedModel's folder, a frozen graph (.pb) or an ONNX file"
)
# TensorFlow is loaded before this package, which then leaves it in its eager mode.
_COMMAND = (
    "import tensorflow; from dgl.errors import run_script; "
    "from dgl.foreign.open_model import convert_keras; run_script(convert_keras)"
)
_GRAPH, _FACTS = "model.pb", "model.json"  # what the process that reads Keras writes
_MOST_CONFIG_BYTES = 2**28


class Opened(NamedTuple):
    """A classifier's tensors."""

    logits: Any  # (N, classes) float tensor
    image: Any  # the tensor to feed
    layers: Dict[str, Any]  # as layers_of gives them, but those of Keras by the layers' names
    inputs: Dict[str, Any]  # name -> placeholder of every input


def open_model(path: str, output: Optional[str] = None, image_size: Optional[int] = None) -> Opened:
    """Open a classifier.

    Args:
        path: a ``.keras`` or ``.h5`` file with a model, a SavedModel's folder, a frozen graph, or an ONNX
            file.
        output: name of the output with the scores, where there are several.
        image_size: side of the input in pixels where the model takes any.

    Raises:
        UserError: no such file, another format, a damaged one, or one that is refused; several outputs and
            no name.
    """
    kind = model_kind(path)
    if kind is None or not os.path.exists(path):
        raise UserError(f"{path}: no such model; expected {_EXPECTED}")
    if kind == KERAS:
        return _by_another_process(path, output, image_size)
    if kind == ONNX:
        loaded = load_onnx(path, image_size)
    elif kind == FROZEN:
        loaded = load_frozen(path)
    else:
        folder = os.path.dirname(path) if os.path.isfile(path) else path
        loaded = load_saved_model(folder or ".")
    scores = _output(loaded, output, path)
    try:
        logits = logits_of(scores)
        image = input_of(logits)
    except ArgumentError as error:
        raise UserError(f"{path}: {error}") from None
    return Opened(logits, image, layers_of(logits), dict(loaded.inputs))


def _output(loaded: LoadedGraph, name: Optional[str], path: str) -> Any:
    """The output with the scores, by a name of an output or of any tensor."""
    if name is not None and name not in loaded.outputs:
        with contextlib.suppress(KeyError, ValueError):
            return loaded.graph.get_tensor_by_name(name if ":" in name else name + ":0")
    try:
        return loaded.output(name)
    except ArgumentError as error:
        raise UserError(f"{path}: {error} (--output)") from None


def _by_another_process(path: str, output: Optional[str], image_size: Optional[int]) -> Opened:
    with tempfile.TemporaryDirectory() as folder:
        arguments = [path, folder, output or "", str(image_size or 0)]
        # The other process computes eagerly, with the newest Keras that there is.
        environment = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
        environment.update(CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3")
        package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        paths = [package, environment.get("PYTHONPATH")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        done = subprocess.run(
            [sys.executable, "-c", _COMMAND, *arguments], env=environment, capture_output=True
        )
        if done.returncode:
            raise UserError(_reason(done.stderr.decode("utf-8", "replace"), path))
        with open(os.path.join(folder, _FACTS), encoding="utf-8") as stream:
            facts = json.load(stream)
        loaded = load_frozen(os.path.join(folder, _GRAPH), [facts["output"]])
    logits = logits_of(loaded.output())
    tensors = {tensor.name: tensor for tensor in loaded.inputs.values()}
    inputs = {key: tensors[name] for key, name in facts["inputs"].items() if name in tensors}
    # Of several layers with one output the first one names it.
    known = {name: key for key, name in reversed(list(facts["layers"].items()))}
    layers = {known.get(tensor.name, key): tensor for key, tensor in layers_of(logits).items()}
    return Opened(logits, loaded.graph.get_tensor_by_name(facts["image"]), layers, inputs)


def _reason(text: str, path: str) -> str:
    """The line in which the other process says what is wrong, or the last one that it wrote."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in reversed(lines):
        if line.startswith("error: "):
            return line[len("error: ") :]
    last = lines[-1] if lines else "the process that reads it ended without a word"
    return f"{path}: cannot be read ({quote(last, 200)}); expected {_EXPECTED}"


def convert_keras(argv: Optional[List[str]] = None) -> None:
    """Write a Keras model as a frozen graph, in the other process.

    The arguments are the model, the folder to write to, the output (``""``: the only one) and the image
    size (0: the model's own).
    """
    path, folder, output, image_size = sys.argv[1:] if argv is None else argv
    model = _from_keras(path)
    try:
        loaded = load_keras(model, int(image_size) or None, output or None)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    with open(os.path.join(folder, _GRAPH), "wb") as stream:
        stream.write(loaded.graph.as_graph_def().SerializeToString())
    facts = {
        "image": loaded.image.name,
        "output": loaded.output.name,
        "inputs": {key: tensor.name for key, tensor in loaded.inputs.items()},
        "layers": {key: tensor.name for key, tensor in loaded.layers.items()},
    }
    with open(os.path.join(folder, _FACTS), "w", encoding="utf-8") as stream:
        json.dump(facts, stream)


def _from_keras(path: str) -> Any:
    """A model of Keras 3, or of tf-keras where that reads it."""
    _refuse_code(path)
    loaders, reasons = [eager_tensorflow().keras.models.load_model], []
    with contextlib.suppress(ImportError):
        import tf_keras

        loaders.append(tf_keras.models.load_model)
    for loader in loaders:
        try:
            return loader(path, compile=False)
        except Exception as error:  # whatever Keras raises for what it does not know
            reasons.append(reason_of(error, 300))
    raise UserError(
        f"{path}: Keras cannot load it ({reasons[0]}); a model with classes of its own is loaded where "
        "they are known, and saved for other programs by model.export('folder')"
    )


def _refuse_code(path: str) -> None:
    """Refuse a model with Python in it, which loading would run."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive, archive.open("config.json") as stream:
                config = stream.read(_MOST_CONFIG_BYTES)
        else:
            import h5py

            with h5py.File(path, "r") as stored:
                config = stored.attrs["model_config"]
        text = config.decode("utf-8", "replace") if isinstance(config, bytes) else str(config)
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: damaged or no Keras model ({reason_of(error)})") from None
    if re.search(r'"class_name"\s*:\s*"(Lambda|__lambda__)"', text):
        raise UserError(
            f"{path}: has a Lambda layer, whose Python is not run; load the model where you trust it "
            "and save it by model.export('folder')"
        )
