"""Input preprocessing of published classifiers, as functions of RGB images in 0..255.

:data:`PREPROCESSINGS` names them as Keras applications do: ``caffe`` (VGG, ResNet), ``tf`` (Inception,
Xception, MobileNet, ResNetV2) and ``torch`` (DenseNet); ``unit`` is for other classifiers, ``none`` for
networks that normalize their input (EfficientNet, MobileNetV3), ``bgr`` for this project's, which do
too.
"""

import numpy as np

from dgl.backbones.published import CAFFE, IMAGENET_MEAN_RGB, IMAGENET_STD_RGB


def plain(images: np.ndarray) -> np.ndarray:
    """RGB in 0..255, as float32.

    Args:
        images: (N, H, W, 3) RGB in 0..255, any dtype. All functions of this module take such images and
            return float32 of the same shape.
    """
    return np.asarray(images, np.float32)


def bgr(images: np.ndarray) -> np.ndarray:
    """BGR in 0..255, the input of this project's own networks."""
    return plain(images)[..., ::-1]


def unit(images: np.ndarray) -> np.ndarray:
    """RGB in [0, 1]."""
    return plain(images) / np.float32(255)


def symmetric(images: np.ndarray) -> np.ndarray:
    """RGB in [-1, 1]."""
    return plain(images) / np.float32(127.5) - np.float32(1)


def standardized(images: np.ndarray) -> np.ndarray:
    """RGB in [0, 1] minus ImageNet's mean, divided by its standard deviation."""
    mean, deviation = (np.asarray(v, np.float32) for v in (IMAGENET_MEAN_RGB, IMAGENET_STD_RGB))
    return (unit(images) - mean) / deviation


def caffe(images: np.ndarray) -> np.ndarray:
    """BGR in 0..255 minus ImageNet's mean."""
    return bgr(images) - np.asarray(CAFFE.mean, np.float32)


PREPROCESSINGS = {
    "none": plain,
    "bgr": bgr,
    "unit": unit,
    "tf": symmetric,
    "torch": standardized,
    "caffe": caffe,
}
