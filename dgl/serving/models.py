"""Checkpoints behind the page: their description, and a predictor for many sets of maps.

TensorFlow plans a run for every set of maps that is requested, and copies the constants of the graph
into each plan. :class:`~dgl.predict.predictor.Predictor` keeps weights in constants, which is best for
one set on many images. The page requests many sets, so :class:`SharedPredictor` keeps them in
variables, of which a session has one copy.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from dgl.attribution import METHODS
from dgl.attribution.build import IMAGE_LAYER
from dgl.attribution.registry import FOREGROUND, IMAGE, LAST
from dgl.backbones import get_backbone
from dgl.backbones.foreground import head_layers
from dgl.backbones.registry import Backbone
from dgl.data.class_names import ClassNames
from dgl.errors import UserError
from dgl.predict.predictor import ModelPredictor, Predictor
from dgl.predict.session import Entry, Prediction, open_session
from dgl.serving.sessions import shown_name
from dgl.tf_compat import tf
from dgl.utils.devices import select_gpus
from dgl.weights import class_names_of, open_weights, options_from, read_card
from dgl.weights.foreign_model import ForeignModel, model_kind
from dgl.weights.identify import mode_for
from dgl.weights.model_card import default_image_size

_MOST_LAYERS = 16  # of a model of others: every map of a request is of one graph
_SMALL = 1 << 15
_MOST_BYTES = 2**31 - 2**26  # a message with a graph and its constants is limited to 2 GiB
_SCOPE = "shared"


class Model(NamedTuple):
    """Description of a checkpoint, known before its network is built."""

    path: str  # file or prefix of the checkpoint
    label: str  # on the page: the last two parts of the path, or what an installed package holds
    mode: str
    # By index, without those inside the blocks of an EfficientNet; 0 feeds global average pooling.
    layers: Tuple[str, ...]
    classes: int  # number of logits
    class_names: ClassNames  # empty where names are not known
    image_size: int  # side of the square input in pixels
    head: str  # scope of the classification layer
    default_layer: int  # index; it and the threshold are the backbone's defaults
    threshold: float
    has_foreground: bool = False  # whether it has a head from `dgl refine`
    lacking: Tuple[str, ...] = ()  # methods that a model of others has no part for
    foreign: Optional[ForeignModel] = None  # how a model of others is read

    def entry(self, method: str, layer: int) -> Entry:
        """The (method, layer) of a map; the index of the layer counts where a method has no fixed layer.

        Raises:
            UserError: no such method or layer, or the checkpoint lacks the head that it needs.
        """
        if method not in METHODS or not 0 <= layer < len(self.layers):
            raise UserError(f"no map of {shown_name(str(method))} at layer {layer}")
        if FOREGROUND in METHODS[method].needs and not self.has_foreground:
            raise UserError(
                f"{METHODS[method].title}: {self.label} has no foreground head; `dgl refine` teaches one"
            )
        if method in self.lacking:
            raise UserError(
                f"{METHODS[method].title}: {self.label} does not end in global average pooling and one "
                "layer of weights, which it needs"
            )
        own = {LAST: self.layers[0], IMAGE: IMAGE_LAYER}
        return method, own.get(METHODS[method].layers, self.layers[layer])

    def entries(self, method: str) -> List[Entry]:
        """All (method, layer) of a method, from the last layer to the first."""
        every = [self.entry(method, layer) for layer in range(len(self.layers))]
        return list(dict.fromkeys(every))


def describe(
    load: str, data_set: Optional[str] = None, foreign: Optional[ForeignModel] = None
) -> Model:
    """Describe a checkpoint without building its network.

    Args:
        load: path of a checkpoint, or a short name of ImageNet weights.
        data_set: selects one of several heads of a checkpoint.
        foreign: how models of others are read, whose graphs are read here already.

    Raises:
        UserError: neither a checkpoint of a known backbone nor a model of others.
    """
    if model_kind(load) is not None:
        return _describe_foreign(load, foreign or ForeignModel())
    backbone = get_backbone(mode_for(load))
    checkpoint = open_weights(backbone, load)
    path = checkpoint.path
    card = read_card(path)
    options = options_from(backbone, checkpoint, data_set, card=card)
    # Without the layers inside blocks (block3_expand), which come after all others.
    layers = tuple(n for n in backbone.layers if n.rpartition("_")[0] not in backbone.layers)
    return Model(
        path=path,
        label=_label(path, backbone),
        mode=backbone.mode,
        layers=layers,
        classes=options.classes,
        class_names=class_names_of(card, backbone, options.head, options.classes),
        image_size=default_image_size(backbone, card),
        head=options.head,
        default_layer=layers.index(backbone.layer_name(backbone.localize.layer)),
        threshold=backbone.localize.threshold,
        has_foreground=bool(head_layers(checkpoint.shapes)),
    )


def _describe_foreign(load: str, foreign: ForeignModel) -> Model:
    """Describe a model of others, whose first layers from the end are offered."""
    with ModelPredictor(None, load, methods=["center"], foreign=foreign) as predictor:
        backbone = predictor.backbone
        return Model(
            path=load,
            label=_label(load, backbone),
            mode=backbone.mode,
            layers=backbone.layers[:_MOST_LAYERS],
            classes=predictor.classes,
            class_names=predictor.class_names,
            image_size=predictor.image_size,
            head=predictor.head,
            default_layer=0,
            threshold=backbone.localize.threshold,
            lacking=predictor.lacking,
            foreign=foreign,
        )


def shared_predictor(mode: str, load: str, **settings: Any) -> Any:
    """A :class:`SharedPredictor`, or the predictor of a model of others, with adjustable alpha."""
    if model_kind(load) is not None:
        return ModelPredictor(None, load, adjustable_alpha=True, **settings)
    return SharedPredictor(mode, load, **settings)


def _label(path: str, backbone: Backbone) -> str:
    if backbone.package is not None and path.endswith(backbone.package.file):
        return "ImageNet weights"
    parts = path.replace("\\", "/").rstrip("/").split("/")
    # Training names checkpoints by step, so the folder says more.
    return shown_name(parts[-1]) if len(parts) < 2 else "/".join(map(shown_name, parts[-2:]))


class SharedPredictor(Predictor):
    """A :class:`~dgl.predict.predictor.Predictor` with adjustable alpha for many sets of maps."""

    def __init__(self, mode: str, load: str, **settings: Any):
        """Build the graph and load the weights; arguments as for ``Predictor``."""
        super().__init__(mode, load, adjustable_alpha=True, **settings)
        if _constant_bytes(self._session.graph) < _MOST_BYTES:
            self._share(select_gpus(settings.get("gpu")))

    def _share(self, gpus: Any) -> None:
        """Replace large constants by variables, in a new graph and session."""
        built = self._session
        try:
            structure, values = _without_values(built.graph)
        finally:
            built.close()
        old = self._fetches
        tensors = [self._image, self._target, self._alpha]
        tensors += [old.class_index, old.probability, old.logits, *old.maps.values()]
        with tf.Graph().as_default():
            variables, feeds = _variables(values)
            self._image, self._target, self._alpha, *fetches = tf.import_graph_def(
                structure,
                {name + ":0": variable.read_value() for name, variable in variables.items()},
                [tensor.name for tensor in tensors],
                name="",
            )
            self._session = open_session(gpus)
            for name, variable in variables.items():
                self._session.run(variable.initializer, {feeds[name]: values[name]})
        class_index, probability, logits, *maps = fetches
        self._fetches = Prediction(class_index, probability, logits, dict(zip(old.maps, maps)))


def _constant_bytes(graph: Any) -> int:
    outputs = [op.outputs[0] for op in graph.get_operations() if op.type == "Const"]
    return sum((tensor.shape.num_elements() or 0) * tensor.dtype.size for tensor in outputs)


def _without_values(graph: Any) -> Tuple[Any, Dict[str, np.ndarray]]:
    """A ``tf.GraphDef`` without its large constants, and their values by name."""
    structure = tf.GraphDef()
    values: Dict[str, np.ndarray] = {}
    whole = graph.as_graph_def()
    structure.versions.CopyFrom(whole.versions)
    for node in whole.node:
        if node.op == "Const" and len(node.attr["value"].tensor.tensor_content) >= _SMALL:
            values[node.name] = tf.make_ndarray(node.attr["value"].tensor)
        else:
            structure.node.add().CopyFrom(node)
    return structure, values


def _variables(values: Dict[str, np.ndarray]) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    """Variables for arrays and the placeholders of their initial values, both by name."""
    variables, feeds = {}, {}
    with tf.variable_scope(_SCOPE, use_resource=True):
        for index, (name, array) in enumerate(values.items()):
            # Fed, because a graph with these values as constants could exceed 2 GiB.
            feeds[name] = tf.placeholder(array.dtype, array.shape)
            variables[name] = tf.get_variable(
                f"array{index}", initializer=feeds[name], trainable=False
            )
    return variables, feeds
