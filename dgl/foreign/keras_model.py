"""Take the graph of a Keras model in memory, without saving or changing the model.

An eager model (tf-keras, Keras 2 and Keras 3) is traced once at inference, and its variables become
constants. Of a model that was built in graph mode, a frozen copy is made.
"""

import re
import sys
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import numpy as np

from dgl.errors import UserError, first_few, quote, reason_of
from dgl.foreign.frozen import variable_values, without_functions
from dgl.foreign.tensors import layers_of
from dgl.tf_compat import tf
from dgl.utils.graph_walk import is_placeholder, node_name, upstream, without_identities

_Graph = Tuple[Any, Dict[str, str], Dict[str, np.ndarray]]  # graph, names of tensors, values
_KERAS = ("keras", "tf_keras", "tensorflow")
_DEFAULT_SIZE = 224
_IMAGE, _OUTPUT, _INPUT = "image of the model", "output of the model", "input of the model: "


class KerasGraph(NamedTuple):
    """A Keras model's graph for inference, with its weights as constants.

    Attributes:
        graph: ``tf.Graph``.
        image: placeholder (N, H, W, C).
        output: the model's output, or the one that was asked for.
        inputs: name -> placeholder of every input, the image among them.
        layers: name of a Keras layer -> its output of rank 4, in the order of the model; empty for a
            subclassed model, whose layers are known by the names of their operations only.
        name: the model's name, for messages.
        is_numbered: whether names of operations are those of layers with a number appended, as by Keras 3.
    """

    graph: Any
    image: Any
    output: Any
    inputs: Dict[str, Any]
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


def load_keras(
    model: Any, image_size: Optional[int] = None, output: Union[int, str, None] = None
) -> KerasGraph:
    """The graph of a Keras model for inference, with its weights as constants.

    Args:
        model: functional, sequential or subclassed, with one input of images among its inputs. Later
            changes of its weights do not change the graph.
        image_size: side of the input in pixels where the model takes any; by default 224.
        output: name or index of the output with the scores, where there are several.

    Raises:
        UserError: no Keras model, one of another backend than TensorFlow or without weights yet, with
            several inputs of images or outputs to choose of, an input of another size, or a layer that is
            random at inference.
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
        graph_def, names, values = _of_session(model, name, output)
    else:
        graph_def, names, values = _traced(model, name, image_size, output)
    found = without_functions(graph_def, names, values, name)
    image, scores = found.pop(_IMAGE), found.pop(_OUTPUT)
    inputs = {key[len(_INPUT) :]: found.pop(key) for key in list(found) if key.startswith(_INPUT)}
    before = {op for op in upstream(scores) if not is_placeholder(op)}
    layers = {key: without_identities(tensor) for key, tensor in found.items()}
    layers = {key: tensor for key, tensor in layers.items() if tensor.op in before}
    is_numbered = root == "keras" and getattr(package, "__version__", "2")[0] >= "3"
    return KerasGraph(scores.graph, image, scores, inputs, layers, name, is_numbered)


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


def _image_index(name: str, shapes: List[Any]) -> int:
    """Which of several inputs has the images: the one of four dimensions with 1, 3 or 4 channels."""
    is_image = [len(one) == 4 and {one[1], one[3]} & {None, 1, 3, 4} for one in shapes]
    found = [index for index, is_one in enumerate(is_image) if is_one]
    if len(found) != 1:
        listed = ", ".join(str(tuple(shape)) for shape in shapes)
        raise UserError(
            f"{name}: expected one input of images (N, H, W, 3), got {listed or 'none'}"
        )
    return found[0]


def _chosen_output(name: str, model: Any, tensors: List[Any], output: Union[int, str, None]) -> Any:
    """The output with the scores, by its place or by its name in a dictionary or of a layer."""
    try:
        named = model.output if isinstance(model.output, dict) else None
    except (AttributeError, ValueError):
        named = None
    places = [str(index) for index in range(len(tensors))]
    keys = [str(key) for key in named or getattr(model, "output_names", None) or ()]
    keys = keys if len(keys) == len(tensors) else places
    if output is None and len(tensors) == 1:
        return tensors[0]
    for known in (keys, places):
        if output is not None and str(output) in known:
            return tensors[known.index(str(output))]
    told = f"{len(tensors)} of them" if output is None else f"no {quote(str(output))}"
    listed = ", ".join(f"{key} {tuple(t.shape)}" for key, t in zip(keys, tensors))
    raise UserError(f"{name}: outputs: {told}; choose one with output=: {listed}")


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


def _of_session(model: Any, name: str, output: Union[int, str, None]) -> _Graph:
    """Frozen graph and names of tensors of a model that was built in graph mode."""
    tensors = {key: value for key, value in _layer_outputs(model).items() if value.op.inputs}
    inputs, outputs = _tensors(model, "inputs"), _tensors(model, "outputs")
    tensors.update({_INPUT + tensor.op.name: tensor for tensor in inputs})
    tensors[_IMAGE] = inputs[_image_index(name, [tensor.shape.as_list() for tensor in inputs])]
    tensors[_OUTPUT] = _chosen_output(name, model, outputs, output)
    with outputs[0].graph.as_default():
        session = tf.keras.backend.get_session()
    names = {key: tensor.name for key, tensor in tensors.items()}
    return session.graph.as_graph_def(), names, variable_values(tensors.values(), session)


def _traced(
    model: Any, name: str, image_size: Optional[int], output: Union[int, str, None]
) -> _Graph:
    """Graph, names of tensors and values of variables of an eager model."""
    specs, index = _input_specs(model, name, image_size)
    with tf.init_scope():  # the caller may be building another graph
        if not tf.executing_eagerly():
            raise UserError(
                f"{name}: was built eagerly, but this process has switched to graph mode; import "
                "tensorflow before the first localizer is made"
            )
        inner = _layer_outputs(model) if _tensors(model, "inputs") else {}
        outputs = list(inner.values()) + _tensors(model, "outputs")
        try:
            maker = sys.modules[str(_keras_of(model))].Model
            called = maker(model.inputs, outputs, name=model.name) if inner else model
        except (ValueError, TypeError, KeyError, AttributeError):
            called, inner = model, {}  # layers that are shared with other models
        try:
            function = tf.function(
                lambda *fed: called(list(fed) if len(fed) > 1 else fed[0], training=False)
            )
            traced = function.get_concrete_function(*specs)
        except (ValueError, TypeError, RuntimeError, tf.errors.OpError) as error:
            what = f"cannot be called on {specs[index].shape} images"
            raise UserError(f"{name}: {what} ({reason_of(error)})") from None
        values = _captured(traced.graph)
    inputs = traced.inputs[: len(traced.inputs) - len(traced.graph.captures)]
    if len(inputs) != len(specs):
        raise UserError(f"{name}: expected {len(specs)} inputs, got {len(inputs)}")
    scores = _chosen_output(name, model, traced.outputs[len(inner) :], output)
    names = {key: tensor.name for key, tensor in zip(inner, traced.outputs)}
    names.update({_INPUT + spec.name: fed.name for spec, fed in zip(specs, inputs)})
    names.update({_IMAGE: inputs[index].name, _OUTPUT: scores.name})
    return traced.graph.as_graph_def(), names, values


def _captured(graph: Any) -> Dict[str, np.ndarray]:
    """Placeholder -> value of what a traced function takes from outside: variables and constants."""
    variables = {id(variable.handle): variable for variable in graph.variables}
    values = {}
    for outer, inner in graph.captures:
        if id(outer) in variables:
            values[inner.op.name] = variables[id(outer)].numpy()
        elif outer.dtype != tf.resource and hasattr(outer, "numpy"):
            values[inner.op.name] = outer.numpy()
    return values


def _input_specs(model: Any, name: str, image_size: Optional[int]) -> Tuple[List[Any], int]:
    """What a model is traced with, and the place of the images among it."""
    inputs = _tensors(model, "inputs")
    if not inputs and not _tensors(model, "weights"):
        raise UserError(f"{name}: has no weights yet; call it on an image first")
    shapes: List[Any] = [list(fed.shape) for fed in inputs] or [[None, None, None, 3]]
    index = _image_index(name, shapes)
    shape = shapes[index]
    is_first = shape[1] in (1, 3, 4) and shape[3] not in (1, 3, 4)
    places = (2, 3) if is_first else (1, 2)
    for place in places:
        if image_size and shape[place] not in (None, image_size):
            sides = " x ".join(str(shape[place]) for place in places)
            raise UserError(f"{name}: takes images of {sides}, not of {image_size}")
        shape[place] = shape[place] or image_size or _DEFAULT_SIZE
    dtypes = [tf.as_dtype(fed.dtype) for fed in inputs] or [tf.float32]
    names = [node_name(fed.name) for fed in inputs] or [""]
    names[index] = "image"
    return [tf.TensorSpec(*spec) for spec in zip(shapes, dtypes, names)], index
