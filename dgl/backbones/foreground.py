"""The foreground head: from a network's activations to the probability of any object at each place.

``p = sigmoid(w . relu(b + sum over layers of resize(W_l * S_l)) + c)``, a perceptron with one hidden
layer at each place of the finest layer; resizing after the first product is the same, and takes fewer
channels. `dgl refine` teaches it (:mod:`dgl.training.refine`). A checkpoint has it as the variables
``refine/LAYER/W``, (1, 1, C, units), ``refine/hidden/b``, ``refine/score/W`` and ``refine/score/b``,
with the standardization of the activations folded into the first two.
"""

import re
from typing import Dict, Iterable, List, Mapping

from dgl.backbones.published import Shapes
from dgl.backbones.registry import Network
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor

SCOPE = "refine"
HIDDEN_BIAS, SCORE, SCORE_BIAS = (f"{SCOPE}/{name}" for name in ("hidden/b", "score/W", "score/b"))


def layer_weights(layer: str) -> str:
    """Name of the variable with the weights on one layer."""
    return f"{SCOPE}/{layer}/W"


def head_layers(names: Iterable[str]) -> List[str]:
    """The layers that a foreground head reads, by its checkpoint's variables; empty without a head."""
    found = (re.fullmatch(layer_weights("(.+)"), name) for name in names if name != SCORE)
    return [match.group(1) for match in found if match]


def foreground_logits(activations: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Tensor:
    """The head's logits from its weights.

    Args:
        activations: layer -> (N, H, W, C) float tensor of a known size.
        weights: variable name -> float32 tensor, as the module's docstring lists them.

    Returns:
        (N, H, W) float32, of the size of the largest activation.
    """
    side = max(tensor.shape.as_list()[1:3] for tensor in activations.values())
    hidden = weights[HIDDEN_BIAS]
    for layer, activation in activations.items():
        part = tf.nn.conv2d(activation, weights[layer_weights(layer)], [1, 1, 1, 1], "SAME")
        if part.shape.as_list()[1:3] != side:
            part = tf.image.resize_bilinear(part, side, half_pixel_centers=True)
        hidden = hidden + part
    score = tf.nn.conv2d(tf.nn.relu(hidden), weights[SCORE], [1, 1, 1, 1], "SAME")
    return tf.squeeze(score, [3]) + weights[SCORE_BIAS]


def add_foreground(network: Network, shapes: Shapes) -> Tensor:
    """Add the head that a checkpoint has to its network, channels last; creates the head's variables.

    Returns:
        (N, H, W) float32 in (0, 1).

    Raises:
        KeyError: the network lacks a layer of the head, or the checkpoint a variable of it.
    """
    activations = {layer: network.endpoints[layer] for layer in head_layers(shapes)}
    names = [*map(layer_weights, activations), HIDDEN_BIAS, SCORE, SCORE_BIAS]
    variables: Dict[str, Tensor] = {
        name: tf.get_variable(name, shapes[name], tf.float32) for name in names
    }
    return tf.sigmoid(foreground_logits(activations, variables))
