"""A network small enough to differentiate by hand, in NumPy and in a TensorFlow graph.

Activation S (N, H, W, C) -> 1 x 1 convolution -> ReLU -> global average pooling -> linear: ``z``.
"""

import numpy as np

from dgl.attribution import build_maps
from dgl.backbones import Network
from dgl.tf_compat import tf

LAYERS, LAST = ("activation", "hidden"), "hidden"

N, H, W, C, HIDDEN, CLASSES = 3, 4, 5, 6, 7, 8
CLASS_INDEX = np.array([2, 0, 7], "int32")


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

    def logits(self, activation=None):
        pooled = np.maximum(self.before_relu(activation), 0).mean((1, 2))
        return pooled @ self.linear + self.linear_bias

    def probability(self):
        return softmax(self.logits())

    def hidden(self):
        """The last layer, (N, H, W, HIDDEN)."""
        return np.maximum(self.before_relu(), 0)

    def foreground(self):
        """The foreground head's probability, (N, H, W)."""
        return 1 / (1 + np.exp(2 - self.activation.sum(3)))

    def cam(self, class_index=CLASS_INDEX):
        return np.einsum("nhwc,cn->nhw", self.hidden(), self.linear[:, class_index])

    def dgl(self, alpha=10.0, semantics="kernel"):
        """DGL's map at the activation."""
        enhanced = unit(self.activation) - unit(self.loss_gradient(alpha, semantics))
        return (self.class_gradient() * enhanced).sum(3)

    def maps(self, methods, layers=LAYERS, dtype="float64", **settings):
        """(method, layer) -> array, as :func:`dgl.attribution.build_maps` makes them."""
        with tf.Graph().as_default(), tf.Session() as session:
            tensors = self.tensors(dtype)
            maps = build_maps(network_of(tensors), methods, layers, LAST, CLASS_INDEX, **settings)
            return session.run(maps, {tensors.activation: self.activation})

    def back(self, logit_gradient):
        """dS from dz, the chain rule written out."""
        pooled = logit_gradient @ self.linear.T / (H * W)
        return ((self.before_relu() > 0) * pooled[:, None, None, :]) @ self.kernel.T

    def class_gradient(self, class_index=CLASS_INDEX):
        return self.back(one_hot(class_index))

    def loss_gradient(self, alpha, semantics="kernel", class_index=CLASS_INDEX):
        probability, target = self.probability(), one_hot(class_index)
        if semantics == "kernel":
            if np.isinf(alpha):
                return self.back(-target)
            return self.back(probability - alpha * target)
        return self.back(alpha * (probability - target))

    def tensors(self, dtype="float64"):
        """Placeholder S and its logits in the current graph, with the weights as constants."""
        activation = tf.placeholder(dtype, [None, H, W, C], "activation")
        hidden = tf.nn.relu(self._dot(activation, self.kernel, dtype) + self.bias.astype(dtype))
        weights = tf.constant(self.linear, dtype)
        logits = tf.matmul(tf.reduce_mean(hidden, axis=[1, 2]), weights)
        return Tensors(activation, hidden, logits + self.linear_bias.astype(dtype), weights)

    @staticmethod
    def _dot(activation, kernel, dtype):
        return tf.nn.conv2d(
            activation,
            tf.constant(kernel[None, None], dtype),
            strides=[1, 1, 1, 1],
            padding="VALID",
        )


class Tensors:
    """Graph tensors of a tiny network: S, the hidden layer after its ReLU, z, linear weights."""

    def __init__(self, activation, hidden, logits, weights):
        self.activation = activation
        self.hidden = hidden
        self.logits = logits
        self.weights = weights


def network_of(tensors):
    """The tensors as a built backbone."""
    endpoints = {"activation": tensors.activation, "hidden": tensors.hidden}
    foreground = tf.sigmoid(tf.reduce_sum(tensors.activation, axis=3) - 2)
    return Network(tensors.logits, endpoints, tensors.weights, foreground)


def softmax(logits):
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def one_hot(class_index, classes=CLASSES):
    return np.eye(classes)[class_index]


def unit(tensor):
    """Divided by its norm over H, W and C, per image; 1e-12 bounds the squared norm from below."""
    squared = (tensor**2).sum((1, 2, 3), keepdims=True)
    return tensor / np.sqrt(np.maximum(squared, 1e-12))


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
