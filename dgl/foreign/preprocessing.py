"""What published classifiers were trained on, as functions of RGB images in 0..255.

:data:`PREPROCESSINGS` has them under the names that Keras' applications use: ``caffe`` (VGG, ResNet),
``tf`` (Inception, Xception, MobileNet, ResNetV2), ``torch`` (DenseNet); and besides ``unit``, common
elsewhere; ``none``, for networks that normalize inside (EfficientNet, MobileNetV3); and ``bgr``, for
this project's own networks, which do so too.
"""

import numpy as np

from dgl.backbones.registry import IMAGENET_MEAN_RGB, IMAGENET_STD_RGB

# ImageNet's mean of B, G and R in 0..255, as Caffe's model zoo published it.
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)


def plain(images: np.ndarray) -> np.ndarray:
    """RGB in 0..255, as float32.

    Args:
        images: (N, H, W, 3) RGB in 0..255, any dtype; the same for all functions here, which give
            float32 of the same shape.
    """
    return np.asarray(images, np.float32)


def bgr(images: np.ndarray) -> np.ndarray:
    """BGR in 0..255, which this project's own networks take."""
    return plain(images)[..., ::-1]


def unit(images: np.ndarray) -> np.ndarray:
    """RGB in [0, 1]."""
    return plain(images) / np.float32(255)


def symmetric(images: np.ndarray) -> np.ndarray:
    """RGB in [-1, 1]."""
    return plain(images) / np.float32(127.5) - np.float32(1)


def standardized(images: np.ndarray) -> np.ndarray:
    """RGB in [0, 1], less ImageNet's mean, divided by its standard deviation."""
    mean, deviation = (np.asarray(v, np.float32) for v in (IMAGENET_MEAN_RGB, IMAGENET_STD_RGB))
    return (unit(images) - mean) / deviation


def caffe(images: np.ndarray) -> np.ndarray:
    """BGR in 0..255, less ImageNet's mean."""
    return bgr(images) - np.asarray(CAFFE_MEAN_BGR, np.float32)


PREPROCESSINGS = {
    "none": plain,
    "bgr": bgr,
    "unit": unit,
    "tf": symmetric,
    "torch": standardized,
    "caffe": caffe,
}
