"""A network small enough to differentiate by hand, in NumPy and in a TensorFlow graph.

Activation S (N, H, W, C) -> 1 x 1 convolution -> ReLU -> global average pooling -> linear: ``z``.
"""

from collections import namedtuple

import numpy as np
from map_formulas import softmax, unit

from dgl.attribution import build_maps
from dgl.backbones import Network
from dgl.tf_compat import tf

LAYERS, LAST = ("activation", "hidden"), "hidden"

N, H, W, C, HIDDEN, CLASSES = 3, 4, 5, 6, 7, 8
CLASS_INDEX = np.array([2, 0, 7], "int32")

# Graph tensors of a tiny network: S, the hidden layer after its ReLU, z, linear weights.
Tensors = namedtuple("Tensors", "activation hidden logits weights")


class TinyNetwork:
    """Float64 weights and activations from a seed; every result in closed form."""

    def __init__(self, seed=0):
        rng = np.random.RandomState(seed)
        self.activation = np.maximum(rng.standard_normal((N, H, W, C)), 0)
        self.kernel = rng.standard_normal((C, HIDDEN))
        self.bias = 0.1 * rng.standard_normal(HIDDEN)
        self.linear = rng.standard_normal((HIDDEN, CLASSES))
        self.linear_bias = 0.1 * rng.standard_normal(CLASSES)

    def before_relu(self, activation=None):
        activation = self.activation if activation is None else activation
        return activation @ self.kernel + self.bias

    def hidden(self, activation=None):
        """The last layer, (N, H, W, HIDDEN)."""
        return np.maximum(self.before_relu(activation), 0)

    def logits(self, activation=None):
        return self.hidden(activation).mean((1, 2)) @ self.linear + self.linear_bias

    def probability(self):
        return softmax(self.logits())

    def foreground(self):
        """The foreground head's probability, (N, H, W)."""
        return 1 / (1 + np.exp(2 - self.activation.sum(3)))

    def cam(self):
        return np.einsum("nhwc,cn->nhw", self.hidden(), self.linear[:, CLASS_INDEX])

    def back(self, logit_gradient):
        """dS from dz, the chain rule written out."""
        pooled = logit_gradient @ self.linear.T / (H * W)
        return ((self.before_relu() > 0) * pooled[:, None, None, :]) @ self.kernel.T

    def class_gradient(self):
        return self.back(one_hot(CLASS_INDEX))

    def loss_gradient(self, alpha, semantics="kernel"):
        probability, target = self.probability(), one_hot(CLASS_INDEX)
        if semantics == "exact":  # alpha is a factor, which infinity leaves out
            return self.back((1 if np.isinf(alpha) else alpha) * (probability - target))
        return self.back(-target if np.isinf(alpha) else probability - alpha * target)

    def dgl(self, alpha=10.0, semantics="kernel"):
        """DGL's map at the activation."""
        enhanced = unit(self.activation) - unit(self.loss_gradient(alpha, semantics))
        return (self.class_gradient() * enhanced).sum(3)

    def tensors(self, dtype="float64"):
        """Placeholder S and its logits in the current graph, with the weights as constants."""
        activation = tf.placeholder(dtype, [None, H, W, C], "activation")
        kernel = tf.constant(self.kernel[None, None], dtype)
        hidden = tf.nn.conv2d(activation, kernel, [1] * 4, "VALID")
        hidden = tf.nn.relu(hidden + self.bias.astype(dtype))
        weights = tf.constant(self.linear, dtype)
        logits = tf.matmul(tf.reduce_mean(hidden, axis=[1, 2]), weights)
        return Tensors(activation, hidden, logits + self.linear_bias.astype(dtype), weights)

    def run(self, make, dtype="float64"):
        """Evaluate what ``make(tensors)`` returns."""
        with tf.Graph().as_default(), tf.Session() as session:
            tensors = self.tensors(dtype)
            return session.run(make(tensors), {tensors.activation: self.activation})

    def maps(self, methods, layers=LAYERS, dtype="float64", **settings):
        """(method, layer) -> array, as :func:`dgl.attribution.build_maps` makes them."""
        return self.run(lambda t: maps_of(t, methods, layers, **settings), dtype)


def maps_of(tensors, methods, layers=LAYERS, class_index=CLASS_INDEX, **settings):
    """(method, layer) -> map of the tensors as a built backbone."""
    endpoints = {"activation": tensors.activation, "hidden": tensors.hidden}
    foreground = tf.sigmoid(tf.reduce_sum(tensors.activation, axis=3) - 2)
    network = Network(tensors.logits, endpoints, tensors.weights, foreground)
    return build_maps(network, methods, layers, LAST, class_index, **settings)


def one_hot(class_index, classes=CLASSES):
    return np.eye(classes)[class_index]


def normalize(maps):
    """Min-max over the last two axes."""
    low = maps.min((-2, -1), keepdims=True)
    return (maps - low) / (maps.max((-2, -1), keepdims=True) - low)


def central_differences(function, point, step=1e-6):
    """Gradient of the scalar ``function`` at ``point``, one entry at a time."""
    gradient = np.zeros_like(point)
    for index in np.ndindex(*point.shape):
        up, down = point.copy(), point.copy()
        up[index] += step
        down[index] -= step
        gradient[index] = (function(up) - function(down)) / (2 * step)
    return gradient
