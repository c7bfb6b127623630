"""From images to a built network: normalization in the graph, memory layout, tower."""

import contextlib
import logging
from typing import Iterator

import numpy as np

from dgl.backbones.published import IMAGENET_MEAN_RGB, IMAGENET_STD_RGB, OURS, Preprocessing
from dgl.backbones.registry import Backbone, BuildOptions, Network
from dgl.tf_compat import lazy_tensorpack as tp
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.types import Tensor


def normalize_image(image: Tensor, preprocessing: Preprocessing = OURS) -> Tensor:
    """Subtract the mean of each channel and divide by its deviation.

    Args:
        image: (N, H, W, 3) BGR in 0..255, any dtype.
        preprocessing: order of the output channels, means and deviations.

    Returns:
        (N, H, W, 3) float32.
    """
    if preprocessing == OURS:
        # The published code multiplies in float32, which OURS, in float64, would not repeat to the bit.
        mean = np.asarray(IMAGENET_MEAN_RGB[::-1], "float32") * 255
        std = np.asarray(IMAGENET_STD_RGB[::-1], "float32") * 255
    else:
        mean = np.asarray(preprocessing.mean, "float32")
        std = np.asarray(preprocessing.std, "float32")
    image = tf.cast(image, tf.float32)
    if preprocessing.order == "rgb":
        image = tf.reverse(image, [3])
    return (image - mean) / std


def build_network(backbone: Backbone, image: Tensor, options: BuildOptions) -> Network:
    """Build ``backbone`` on images (N, H, W, 3) BGR in 0..255 of any dtype.

    Inside a tensorpack tower (training) the tower's context is used; outside one, an inference tower
    is made.
    """
    image = normalize_image(image, backbone.preprocessing)
    if options.data_format == "channels_first":
        image = tf.transpose(image, [0, 3, 1, 2])
    if tp.get_current_tower_context() is not None:
        return backbone.build(image, options)
    with tp.TowerContext("", is_training=False), _quiet_layers():
        return backbone.build(image, options)


@contextlib.contextmanager
def _quiet_layers() -> Iterator[None]:
    """Suppress tensorpack's log line for each layer, which belongs to a training log only."""
    held = logging.getLogger(tp.logger._logger.name)
    level = held.level
    held.setLevel(logging.WARNING)
    try:
        yield
    finally:
        held.setLevel(level)
