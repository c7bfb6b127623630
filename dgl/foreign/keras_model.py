"""Take the graph of a Keras model in memory, without saving the model first.

An eager model (tf-keras, Keras 2 and Keras 3) is traced once at inference, its variables become
constants, and the result is an ordinary graph. A model that was built in graph mode has a graph already,
of which a frozen copy is made. The model itself is left as it is.
"""

import re
import sys
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

from dgl.errors import UserError, first_few, first_line, quote
from dgl.foreign.frozen import import_graph, named_tensors, prune, remove_placement
from dgl.foreign.functions import inline_functions, resolve
from dgl.foreign.tensors import layers_of
from dgl.tf_compat import frozen_function, tf
from dgl.utils.graph_walk import is_placeholder, upstream, without_identities

_KERAS = ("keras", "tf_keras", "tensorflow")
_MESSAGE_CHARACTERS = 200
_DEFAULT_SIZE = 224
_IMAGE, _OUTPUT = "image of the model", "output of the model"


class KerasGraph(NamedTuple):
    """A Keras model's graph for inference, with its weights as constants.

    Attributes:
        graph: ``tf.Graph``.
        image: placeholder (N, H, W, C).
        output: the model's output.
        layers: name of a Keras layer -> its output of rank 4, in the order of the model; empty for a
            subclassed model, whose layers are known by the names of their operations only.
        name: the model's name, for messages.
        is_numbered: whether names of operations are those of layers with a number appended, as by Keras 3.
    """

    graph: Any
    image: Any
    output: Any
    layers: Dict[str, Any]
    name: str
    is_numbered: bool

    def activation(self, logits: Any, layer: Union[int, str, None] = None) -> Any:
        """A tensor that a map can be made of.

        Args:
            logits: of this graph, see :func:`~dgl.foreign.logits_of`.
            layer: index into :func:`~dgl.foreign.layers_of`; name of a Keras layer or of an operation;
                ``None`` for the last activation with height and width.

        Raises:
            UserError: there is no such layer; the message lists some.
        """
        found = layers_of(logits)
        names = list(found)
        if layer is None and not names:
            raise UserError(f"{self.name}: no activation with height and width, which a map needs")
        text = "0" if layer is None else str(layer)
        if text in self.layers:
            return self.layers[text]
        if text in found:
            return found[text]
        if re.match(r"\d+$", text) and int(text) < len(names):
            return found[names[int(text)]]
        # Layers inside other layers, and those of subclassed models.
        pattern = re.compile(re.escape(text) + (r"(_\d+)+$" if self.is_numbered else "$"))
        scopes = {
            part: name for name in names[::-1] for part in name.split("/") if pattern.match(part)
        }
        if len(scopes) == 1:
            return found[next(iter(scopes.values()))]
        known = list(self.layers)[::-1] or names
        raise UserError(
            f"layer {quote(text)}: not one activation of {self.name}; choose an index below {len(names)} "
            f"or a name of: {first_few(known, limit=10)}"
        )


def load_keras(model: Any, image_size: Optional[int] = None) -> KerasGraph:
    """The graph of a Keras model for inference, with its weights as constants.

    Args:
        model: functional, sequential or subclassed, with one input of images, channels last, and one
            output. Later changes of its weights do not change the graph.
        image_size: side of the input in pixels where the model takes any; by default 224.

    Raises:
        UserError: no Keras model, one of another backend than TensorFlow or without weights yet, or with
            several inputs or outputs, or an input of another size.
    """
    root = _keras_of(model)
    if root is None:
        raise UserError(f"model: expected a tf.keras model, got {type(model).__name__}")
    name = f"model {quote(str(model.name))}"
    package = sys.modules[root]
    backend = getattr(getattr(package, "backend", None), "backend", None)
    if root != "tensorflow" and callable(backend) and backend() != "tensorflow":
        raise UserError(f"{name}: Keras computes with {backend()}, expected TensorFlow")
    outputs = _tensors(model, "outputs")
    if outputs and isinstance(outputs[0], tf.Tensor):
        graph_def, names = _of_session(model, name)
    else:
        graph_def, names = _traced(model, name, image_size)
    flat, replaced = inline_functions(graph_def, name)
    names = {key: resolve(tensor, replaced) for key, tensor in names.items()}
    flat = prune(flat, names.values())
    remove_placement(flat)
    graph = import_graph(flat, name)
    found = named_tensors(graph, names, name)
    image, output = found.pop(_IMAGE), found.pop(_OUTPUT)
    before = {op for op in upstream(output) if not is_placeholder(op)}
    layers = {key: without_identities(tensor) for key, tensor in found.items()}
    layers = {key: tensor for key, tensor in layers.items() if tensor.op in before}
    is_numbered = root == "keras" and getattr(package, "__version__", "2")[0] >= "3"
    return KerasGraph(graph, image, output, layers, name, is_numbered)


def _keras_of(model: Any) -> Optional[str]:
    """The package that a Keras model's class comes from; ``None`` for anything else."""
    for base in type(model).__mro__:
        root = base.__module__.split(".")[0]
        if base.__name__ == "Model" and root in _KERAS and hasattr(model, "get_weights"):
            return root
    return None


def _tensors(model: Any, attribute: str) -> List[Any]:
    """Symbolic inputs or outputs; empty for a model that was not called yet, which Keras 3 raises for."""
    try:
        found = getattr(model, attribute)
    except (AttributeError, ValueError):
        return []
    return list(found.values()) if isinstance(found, dict) else list(found or [])


def _one(name: str, tensors: List[Any], what: str) -> Any:
    if len(tensors) != 1:
        raise UserError(f"{name}: expected one {what}, got {len(tensors)}")
    return tensors[0]


def _layer_outputs(model: Any) -> Dict[str, Any]:
    """Name of a layer -> symbolic output, without layers that have none of their own, or several."""
    found = {}
    for layer in getattr(model, "layers", []):
        try:
            output = None if hasattr(layer, "layers") else layer.output
        except (AttributeError, ValueError, RuntimeError):
            continue
        if len(getattr(output, "shape", ())) == 4:
            found[layer.name] = output
    return found


def _of_session(model: Any, name: str) -> Tuple[Any, Dict[str, str]]:
    """Frozen graph and names of tensors of a model that was built in graph mode."""
    tensors = {key: value for key, value in _layer_outputs(model).items() if value.op.inputs}
    tensors[_IMAGE] = _one(name, _tensors(model, "inputs"), "input of images")
    tensors[_OUTPUT] = output = _one(name, _tensors(model, "outputs"), "output")
    with output.graph.as_default():
        session = tf.keras.backend.get_session()
    frozen = tf.graph_util.convert_variables_to_constants(
        session, output.graph.as_graph_def(), [tensor.op.name for tensor in tensors.values()]
    )
    return frozen, {key: tensor.name for key, tensor in tensors.items()}


def _traced(model: Any, name: str, image_size: Optional[int]) -> Tuple[Any, Dict[str, str]]:
    """Frozen graph and names of tensors of an eager model."""
    spec = _input_spec(model, name, image_size)
    with tf.init_scope():  # the caller may be building another graph
        if not tf.executing_eagerly():
            raise UserError(
                f"{name}: was built eagerly, but this process has switched to graph mode; import "
                "tensorflow before the first localizer is made"
            )
        inner = _layer_outputs(model) if _tensors(model, "inputs") else {}
        outputs = list(inner.values()) + _tensors(model, "outputs")
        try:
            called = _functional(model, outputs) if inner else model
        except (ValueError, TypeError, KeyError, AttributeError):
            called, inner = model, {}  # layers that are shared with other models
        try:
            function = tf.function(lambda image: called(image, training=False))
            frozen = frozen_function(function.get_concrete_function(spec))
        except (ValueError, TypeError, RuntimeError, tf.errors.OpError) as error:
            reason = quote(first_line(error), _MESSAGE_CHARACTERS)
            raise UserError(f"{name}: cannot be called on {spec.shape} images ({reason})") from None
    image = _one(name, frozen.inputs, "input of images")
    output = _one(name, frozen.outputs[len(inner) :], "output")
    names = {key: tensor.name for key, tensor in zip(inner, frozen.outputs)}
    return frozen.graph.as_graph_def(), dict(names, **{_IMAGE: image.name, _OUTPUT: output.name})


def _functional(model: Any, outputs: List[Any]) -> Any:
    """A model with the same layers and further outputs."""
    return sys.modules[str(_keras_of(model))].Model(model.inputs, outputs, name=model.name)


def _input_spec(model: Any, name: str, image_size: Optional[int]) -> Any:
    inputs = _tensors(model, "inputs")
    if inputs:
        fed = _one(name, inputs, "input of images")
        shape, dtype = list(fed.shape), fed.dtype
    elif _tensors(model, "weights"):
        shape, dtype = [None, None, None, 3], tf.float32
    else:
        raise UserError(f"{name}: has no weights yet; call it on an image first")
    if len(shape) != 4:
        raise UserError(f"{name}: expected an input (N, H, W, 3) of images, got {tuple(shape)}")
    sides = [side or image_size or _DEFAULT_SIZE for side in shape[1:3]]
    if image_size and sides != [image_size, image_size]:
        raise UserError(f"{name}: takes images of {sides[0]} x {sides[1]}, not of {image_size}")
    return tf.TensorSpec([None, *sides, shape[3]], tf.as_dtype(dtype), name="image")
