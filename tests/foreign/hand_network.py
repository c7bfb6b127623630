"""A classifier of images in NumPy, its maps by the chain rule written out, and the files it can be in.

Image (N, H, W, 3) -> 3 x 3 convolution -> ReLU ("first") -> 1 x 1 convolution -> ReLU ("second") ->
global average pooling -> linear -> softmax. From "first" on it is ``tiny_network.py`` of the tests.
"""

import numpy as np
from map_formulas import formulas
from tiny_network import CLASS_INDEX, C, H, N, TinyNetwork, W, one_hot

from dgl.tf_compat import tf

ALPHA = 10.0
METHODS = ("dgl", "gradcam", "layercam")
SHAPE = (H, W, 3)


class HandNetwork(TinyNetwork):
    """Weights and images from a seed, and every map in closed form."""

    def __init__(self, seed=0):
        super().__init__(seed)
        rng = np.random.RandomState(seed + 100)
        self.images = rng.uniform(0, 1, (N,) + SHAPE)
        self.filters = rng.standard_normal((3, 3, 3, C))
        self.filter_bias = 0.1 * rng.standard_normal(C)
        padded = np.pad(self.images, [(0, 0), (1, 1), (1, 1), (0, 0)])
        before = sum(
            padded[:, y : y + H, x : x + W] @ self.filters[y, x] for y in range(3) for x in range(3)
        )
        self.activation = np.maximum(before + self.filter_bias, 0)

    def weights(self):
        """float32 arrays in the order of the layers: kernel and bias each, as Keras has them."""
        arrays = self.filters, self.filter_bias, self.kernel[None, None], self.bias
        return [array.astype("f4") for array in (*arrays, self.linear, self.linear_bias)]

    def expected(self):
        """(method, layer) -> map, of :data:`CLASS_INDEX`."""
        target, hidden = one_hot(CLASS_INDEX), self.hidden()
        signals = target, self.probability() - ALPHA * target
        spread = np.ones_like(hidden) / (H * W)
        arrays = {
            "first": (self.activation, *(self.back(s) for s in signals)),
            "second": (hidden, *((s @ self.linear.T)[:, None, None] * spread for s in signals)),
        }
        made = {layer: formulas(*parts) for layer, parts in arrays.items()}
        maps = {(method, layer): made[layer][method] for layer in made for method in METHODS}
        return {("cam", "second"): self.cam(), **maps}


def build(network, use_resource=False):
    """The network in the present graph, of variables; (image placeholder, probabilities)."""
    image = tf.placeholder(tf.float32, (None,) + SHAPE, "image")
    names = "first/W first/b second/W second/b linear/W linear/b".split()
    first_w, first_b, second_w, second_b, linear_w, linear_b = (
        tf.get_variable(name, initializer=value, use_resource=use_resource)
        for name, value in zip(names, network.weights())
    )
    first = tf.nn.conv2d(image, first_w, strides=[1] * 4, padding="SAME")
    first = tf.nn.relu(tf.nn.bias_add(first, first_b), name="first/Relu")
    second = tf.nn.conv2d(first, second_w, strides=[1] * 4, padding="VALID")
    second = tf.nn.relu(tf.nn.bias_add(second, second_b), name="second/Relu")
    pooled = tf.reduce_mean(second, [1, 2])
    logits = tf.nn.bias_add(tf.matmul(pooled, linear_w), linear_b, name="logits")
    return image, tf.nn.softmax(logits, name="probability")


def freeze(network):
    """The message of a frozen graph."""
    with tf.Graph().as_default() as graph, tf.Session() as session:
        build(network)
        session.run(tf.global_variables_initializer())
        message = graph.as_graph_def()
        return tf.graph_util.convert_variables_to_constants(session, message, ["probability"])


def write_saved_model(network, path, use_resource=False):
    """A SavedModel as TF 1 writes it."""
    with tf.Graph().as_default(), tf.Session() as session:
        image, probability = build(network, use_resource)
        session.run(tf.global_variables_initializer())
        tf.saved_model.simple_save(session, path, {"image": image}, {"probability": probability})
    return path
