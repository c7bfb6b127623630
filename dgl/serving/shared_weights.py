"""A predictor whose sets of maps share one copy of the weights.

TensorFlow plans a run anew for every set of maps that is asked for, and copies the constants of the graph
into each plan, several times on the way. :class:`~dgl.predict.predictor.Predictor` keeps its weights in constants,
which is best where one set is run on many images. A page asks for many sets: here the weights are
variables, of which a session has one copy whatever is asked of it.
"""

from typing import Any, Dict, Tuple

import numpy as np

from dgl.predict.map_session import Prediction
from dgl.predict.predictor import Predictor
from dgl.predict.session import open_session
from dgl.tf_compat import tf
from dgl.utils.devices import select_gpus

_SMALL = 1 << 15
_MOST_BYTES = 2**31 - 2**26  # of a message that holds a graph with its constants: it ends at 2 GiB
_SCOPE = "shared"


class SharedPredictor(Predictor):
    """As :class:`~dgl.predict.predictor.Predictor`, with an adjustable alpha, for many sets of maps."""

    def __init__(self, mode: str, load: str, **settings: Any):
        """Build the graph and fill it; arguments as of ``Predictor``."""
        super().__init__(mode, load, adjustable_alpha=True, **settings)
        if _constant_bytes(self._session.graph) < _MOST_BYTES:
            self._share(select_gpus(settings.get("gpu")))

    def _share(self, gpus):
        """Put variables in place of the large constants, in a graph and a session of their own."""
        built = self._session
        try:
            structure, values = _without_values(built.graph)
        finally:
            built.close()
        old = self._fetches
        tensors = [old.class_index, old.probability, old.logits, self._image, self._target]
        tensors += [self._alpha] + list(old.maps.values())
        with tf.Graph().as_default():
            variables, feeds = _variables(values)
            found = tf.import_graph_def(
                structure,
                {name + ":0": variable.read_value() for name, variable in variables.items()},
                [tensor.name for tensor in tensors],
                name="",
            )
            self._session = open_session(gpus)
            for name, variable in variables.items():
                self._session.run(variable.initializer, {feeds[name]: values[name]})
        class_index, probability, logits, self._image, self._target, self._alpha = found[:6]
        maps = type(old.maps)(zip(old.maps, found[6:]))
        self._fetches = Prediction(class_index, probability, logits, maps)


def _constant_bytes(graph: Any) -> int:
    outputs = [op.outputs[0] for op in graph.get_operations() if op.type == "Const"]
    return sum((tensor.shape.num_elements() or 0) * tensor.dtype.size for tensor in outputs)


def _without_values(graph: Any) -> Tuple[Any, Dict[str, np.ndarray]]:
    """A ``tf.GraphDef`` without its large constants, and those by name."""
    structure, values = tf.GraphDef(), {}
    whole = graph.as_graph_def()
    structure.versions.CopyFrom(whole.versions)
    for node in whole.node:
        if node.op == "Const" and len(node.attr["value"].tensor.tensor_content) >= _SMALL:
            values[node.name] = tf.make_ndarray(node.attr["value"].tensor)
        else:
            structure.node.add().CopyFrom(node)
    return structure, values


def _variables(values: Dict[str, np.ndarray]) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    """Variables for arrays, and the placeholders that they are filled from; both by name."""
    variables, feeds = {}, {}
    with tf.variable_scope(_SCOPE, use_resource=True):
        for index, (name, array) in enumerate(values.items()):
            # Fed, for a graph with these values in constants may be as large as 2 GiB.
            feeds[name] = tf.placeholder(array.dtype, array.shape)
            variables[name] = tf.get_variable(
                f"array{index}", initializer=feeds[name], trainable=False
            )
    return variables, feeds
