"""Families of Keras applications with random weights: all methods at three layers.

``python -m foreign.application_families tf_keras`` (or ``keras``), in ``tests``, tries them all.
"""

import logging
import os
import sys

import numpy as np

METHODS = (
    *("dgl", "dgl-pcs", "dgl-no-loss", "dgl-no-class", "gradcam", "gradcam++", "layercam"),
    *("hirescam", "eigencam", "normgrad", "center"),
)
CLASSES = 7
# The smallest member of each family, its least image size and how its width is reduced.
FAMILIES = {
    "ConvNeXtTiny": (64, {}),
    "DenseNet121": (32, {}),
    "EfficientNetB0": (32, {}),
    "EfficientNetV2B0": (32, {}),
    "InceptionResNetV2": (75, {}),
    "InceptionV3": (75, {}),
    "MobileNet": (32, {"alpha": 0.25}),
    "MobileNetV2": (32, {"alpha": 0.35}),
    "MobileNetV3Small": (32, {"alpha": 0.75, "minimalistic": True}),
    "MobileNetV3Large": (32, {"alpha": 0.75}),
    "NASNetMobile": (64, {}),
    "RegNetX002": (32, {}),
    "RegNetY002": (32, {}),
    "ResNet50": (32, {}),
    "ResNet50V2": (32, {}),
    "ResNetRS50": (64, {}),
    "VGG16": (32, {}),
    "VGG19": (32, {}),
    "Xception": (71, {}),
}


class _Warnings(logging.Handler):
    def __init__(self):
        super().__init__()
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())


def check(package, *names):
    """Try some families, or all; a foreign exception, a silent constant map or other logits end it."""
    if package == "tf_keras":
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
    else:
        os.environ.pop("TF_USE_LEGACY_KERAS", None)
    import tensorflow

    if tensorflow.__version__ < "2.16":
        os.environ.pop("TF_USE_LEGACY_KERAS", None)
    keras = tensorflow.keras
    found = {}
    for name in names or FAMILIES:
        make = getattr(keras.applications, name, None)
        if make is None:
            continue  # not of this Keras
        size, settings = FAMILIES[name]
        keras.utils.set_random_seed(1)
        model = make(weights=None, input_shape=(size, size, 3), classes=CLASSES, **settings)
        found[name] = _try(name, model, size)
        print(f"{name}: {found[name]}", flush=True)
        keras.backend.clear_session()
    return found


def _try(name, model, size):
    from dgl.foreign import load_keras, logits_of, pooled_layer
    from dgl.foreign.tensors import layers_of
    from dgl.predict.graph_predictor import GraphPredictor

    images = np.random.RandomState(0).uniform(-1, 1, (2, size, size, 3)).astype("float32")
    probability = np.asarray(model(images, training=False))
    if not np.allclose(probability.sum(1), 1, atol=1e-3):  # RegNet of Keras 2 ends in logits
        probability = np.exp(probability) / np.exp(probability).sum(1, keepdims=True)
    loaded = load_keras(model)
    logits = logits_of(loaded.output)
    layers = layers_of(logits)
    names = list(layers)
    chosen = list(dict.fromkeys([names[0], names[len(names) // 2], names[-1]]))
    warnings = _Warnings()
    logger = logging.getLogger("dgl.predict.session")
    logger.addHandler(warnings)
    maps, silent = 0, []
    try:
        settings = {"methods": METHODS, "image": loaded.image}
        with GraphPredictor(logits, {n: layers[n] for n in chosen}, **settings) as predictor:
            prediction = predictor(images)
        np.testing.assert_allclose(prediction.probability, probability, rtol=1e-3, atol=1e-4)
        for (method, layer), raw in prediction.maps.items():
            maps += 1
            assert np.isfinite(raw).all(), (name, method, layer)
            is_told = any(f"of {method} at {layer} " in text for text in warnings.texts)
            if raw[0].size > 1 and (np.ptp(raw, axis=(1, 2)) == 0).any() and not is_told:
                silent.append((method, layer))
    finally:
        logger.removeHandler(warnings)
    assert not silent, (name, silent)
    pooled = pooled_layer(logits)
    if pooled is not None:
        methods = ["cam", "normgrad-local"]
        with GraphPredictor(logits, {"last": pooled[0]}, loaded.image, methods) as predictor:
            assert all(np.isfinite(raw).all() for raw in predictor(images).maps.values())
        maps += 2
    return f"{maps} maps of {len(layers)} layers, {len(warnings.texts)} constant and said so"


if __name__ == "__main__":
    check(*sys.argv[1:])
