"""tf-keras-vis, on a model of tf-keras.

tf-keras-vis knows Keras 2, so it is given tf-keras, through the TensorFlow that it loads itself.
"""

import os

import numpy as np

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from tf_keras_vis import gradcam, layercam
from tf_keras_vis.utils.scores import CategoricalScore

from benchmarks.speed import lite, network
from benchmarks.speed.workers import Outcome

_METHODS = {"gradcam": gradcam.Gradcam, "layercam": layercam.Layercam}


def _lite(keras, path, mode):
    """EfficientNet-Lite with BatchNorm folded; each stage's output has the stage's name."""
    stages, weights, bias = lite.read(path, mode)
    layers, size = keras.layers, lite.get_backbone(mode).image_size
    image = x = layers.Input((size, size, 3))
    values = []
    for stage in stages:
        entered = x
        for one in stage.convolutions:
            kind = layers.DepthwiseConv2D if one.depthwise else layers.Conv2D
            filters = () if one.depthwise else (one.kernel.shape[3],)
            x = kind(*filters, one.kernel.shape[0], strides=one.stride, padding="same")(x)
            values += one.folded()
            if one.relu6:
                x = layers.ReLU(6.0)(x)
        if stage.adds:
            x = layers.Add()([x, entered])
        x = layers.Activation("linear", name=stage.name)(x)
    x = layers.Dense(len(bias))(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, x)
    model.set_weights([*values, weights, bias])
    return model


class Library:
    """The model, built once."""

    def __init__(self, setup):
        threading = gradcam.tf.config.threading
        threading.set_intra_op_parallelism_threads(setup.threads)
        keras = gradcam.tf.keras
        self._is_vgg = setup.mode == "vgg"
        if not self._is_vgg:
            self._model = _lite(keras, setup.weights, setup.mode)
            return
        with np.load(setup.weights) as archive:
            values = [archive[name] for name in archive.files]
            names = [name[:-2] for name in archive.files if archive[name].ndim == 4]
            size = np.load(setup.images).shape[1]
            model = keras.Sequential([keras.layers.InputLayer((size, size, 3))])
            for name in names:
                channels = archive[name + "/b"].size
                model.add(
                    keras.layers.Conv2D(channels, 3, padding="same", activation="relu", name=name)
                )
                if network.pool_after(name):
                    model.add(keras.layers.MaxPooling2D(2))
            model.add(keras.layers.GlobalAveragePooling2D())
            model.add(keras.layers.Dense(archive["linear/b"].size))
        model.set_weights(values)
        self._model = model

    def configuration(self):
        return "tf-keras, as documented"

    def prepare(self, case, images, classes):
        (layer,) = case.layers
        method = _METHODS[case.what](self._model, clone=False)
        mean, std = network.MEAN_BGR.astype(np.float32), network.STD_BGR.astype(np.float32)
        if not self._is_vgg:
            images, mean, std = images[..., ::-1], np.float32(lite.MEAN), np.float32(lite.STD)

        def call():
            found = method(
                CategoricalScore(list(classes)),
                (images - mean) / std,
                penultimate_layer=layer,
                seek_penultimate_conv_layer=False,
            )
            return Outcome(np.asarray(found))

        return call
