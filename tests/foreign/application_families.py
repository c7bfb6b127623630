"""Every application of Keras with random weights: all methods at the first, a middle and the last layer.

``python -m foreign.application_families tf_keras`` (or ``keras``), in ``tests``, tries the smallest member
of each family; ``all`` after it tries every application, and names try those. Those of Keras 3 go through a
``.keras`` file, those of tf-keras come from memory.
"""

import logging.handlers
import os
import sys
import tempfile

import numpy as np
from foreign.write_keras import load_keras_package
from map_formulas import softmax

# What is rectified is zero everywhere where nothing speaks for the class, which is said then.
RECTIFIED = ("gradcam", "gradcam++", "xgradcam", "layercam")
POOLED = ["cam", "normgrad-local"]  # of the layer that is pooled
CLASSES = 7
LEAST = 1e-12  # probability of which the logarithm is compared
# The smallest member of each family, and how its width is reduced.
FAMILIES = (
    "ConvNeXtTiny DenseNet121 EfficientNetB0 EfficientNetV2B0 InceptionResNetV2 InceptionV3 MobileNet "
    "MobileNetV2 MobileNetV3Small MobileNetV3Large NASNetMobile RegNetX002 RegNetY002 ResNet50 ResNet50V2 "
    "ResNetRS50 VGG16 VGG19 Xception"
).split()
REDUCED = {
    "MobileNet": {"alpha": 0.25},
    "MobileNetV2": {"alpha": 0.35},
    "MobileNetV3Small": {"alpha": 0.75, "minimalistic": True},
    "MobileNetV3Large": {"alpha": 0.75},
}
# Image sizes by the beginning of a name; the least that these families take, else 32.
SIZES = {"Inception": 75, "Xception": 71, "NASNet": 64, "ConvNeXt": 64, "ResNetRS": 64}


def check(package, *names, as_file=False):
    """Try some applications; a foreign exception, a silent constant map or other logits are failures."""
    keras = load_keras_package(package)
    if names == ("all",):
        names = [name for name in dir(keras.applications) if name[0].isupper()]
    failures = []
    for name in names or FAMILIES:
        make = getattr(keras.applications, name, None)
        if make is None:
            continue  # not of this Keras
        size = next((side for start, side in SIZES.items() if name.startswith(start)), 32)
        keras.utils.set_random_seed(1)
        settings = {"input_shape": (size, size, 3), "classes": CLASSES, **REDUCED.get(name, {})}
        try:
            model = make(weights=None, **settings)
            _give_statistics(model, size)
            print(f"{name}: {_try(model, size, as_file)}", flush=True)
        except Exception as error:  # each is one failure, so that the others are tried
            failures.append(f"{name}: {type(error).__name__} {str(error)[:500]}")
            print(failures[-1], flush=True)
        keras.backend.clear_session()
    assert not failures, "\n".join(failures)


def _give_statistics(model, size):
    """Weights and statistics as training leaves them, so that signals neither vanish nor grow."""
    rng = np.random.RandomState(3)
    values = []
    for weight, value in zip(model.weights, model.get_weights()):
        name = getattr(weight, "path", weight.name)
        if "gamma" in name or "Variable" in name:  # tf-keras does not name the scales of ConvNeXt
            value = rng.uniform(0.5, 1.5, value.shape)
        elif value.ndim == 1 and ("beta" in name or "bias" in name):
            value = rng.normal(0, 0.1, value.shape)
        values.append(value)
    model.set_weights(values)
    normalizations = [layer for layer in model.layers if hasattr(layer, "moving_variance")]
    for layer in normalizations:
        layer.momentum = 0.0
    model(rng.uniform(0, 255, (4, size, size, 3)).astype("float32"), training=True)
    # What hardly varies in a few images would grow without bound in others.
    for layer in normalizations:
        variance = np.asarray(layer.moving_variance)
        layer.moving_variance.assign(variance + variance.mean())


def _opened(model, size, as_file):
    """Logits and image of a model."""
    from dgl.foreign import load_keras, logits_of
    from dgl.foreign.open_model import open_model

    if not as_file:
        loaded = load_keras(model)
        return logits_of(loaded.output), loaded.image
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        model.save(path)
        opened = open_model(path, image_size=size)
    return opened.logits, opened.image


def _try(model, size, as_file):
    from dgl.attribution import expand_methods
    from dgl.foreign import pooled_layer
    from dgl.foreign.tensors import layers_of
    from dgl.predict.graph_predictor import GraphPredictor

    images = np.random.RandomState(0).uniform(0, 255, (2, size, size, 3)).astype("float32")
    scores = np.asarray(model(images, training=False), "float64")
    is_probability = np.allclose(scores.sum(1), 1, atol=1e-3)  # RegNet of Keras 2 ends in logits
    logits, image = _opened(model, size, as_file)
    layers = layers_of(logits)
    names = list(layers)
    chosen = {name: layers[name] for name in (names[0], names[len(names) // 2], names[-1])}
    methods = [method for method in expand_methods(["all"]) if method not in POOLED]
    log = logging.handlers.BufferingHandler(10**6)
    logger = logging.getLogger("dgl.predict.session")
    logger.addHandler(log)
    try:
        with GraphPredictor(logits, chosen, image, methods) as predictor:
            prediction = predictor(images)
    finally:
        logger.removeHandler(log)
    found, expected = (
        np.log(np.maximum(probability, LEAST))
        for probability in (
            softmax(prediction.logits.astype("float64")),
            scores if is_probability else softmax(scores),
        )
    )
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-3)
    told = [record.getMessage() for record in log.buffer]
    maps = prediction.maps
    assert all(np.isfinite(raw).all() for raw in maps.values())
    constant = [
        (method, layer)
        for (method, layer), raw in maps.items()
        if raw[0].size > 1 and (np.ptp(raw, axis=(1, 2)) == 0).any()
        if method not in RECTIFIED or not any(f"of {method} at {layer} " in text for text in told)
    ]
    assert not constant, ("constant", constant)
    pooled = pooled_layer(logits)
    if pooled is not None:
        with GraphPredictor(logits, {"last": pooled[0]}, image, POOLED) as predictor:
            maps = {**maps, **predictor(images).maps}
        assert all(np.isfinite(raw).all() for raw in maps.values())
    return f"{len(maps)} maps of {len(layers)} layers, {len(told)} without positive evidence"


if __name__ == "__main__":
    check(*sys.argv[1:], as_file=sys.argv[1] == "keras")
