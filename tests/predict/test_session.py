"""The session of a frozen classifier."""

import numpy as np
import pytest
from own_process import call
from predict.frozen_networks import SIZE, options

from dgl.attribution import METHODS, build_maps
from dgl.attribution.registry import FOREGROUND
from dgl.backbones import get_backbone
from dgl.predict import session as session_module
from dgl.predict.frozen import build_inference
from dgl.predict.session import inference_config, open_session
from dgl.tf_compat import tf
from dgl.utils.devices import session_config

# Those that need no head of `dgl refine`.
HEADLESS = [name for name, method in METHODS.items() if FOREGROUND not in method.needs]


@pytest.mark.parametrize(
    "reference, gpus, cores", [(False, 0, 0), (False, 1, 0), (True, 0, 1), (True, 1, 0)]
)
def test_cores_of_an_operation(monkeypatch, reference, gpus, cores):
    monkeypatch.setattr(session_module, "reference_kernels", lambda: reference)
    assert inference_config(gpus).intra_op_parallelism_threads == cores


def test_no_gpu_is_reached_for():
    config = inference_config()
    assert config.device_count["GPU"] == 0


def test_is_of_the_present_graph():
    with tf.Graph().as_default():
        one = tf.constant(1)
        with open_session() as session:
            assert session.run(one) == 1


def test_rewriting_that_is_spared_changes_no_bit(network):
    mode, norm, _, checkpoint = network
    backbone = get_backbone(mode)
    with tf.Graph().as_default():
        image = tf.placeholder(tf.float32, [None, SIZE, SIZE, 3])
        built = build_inference(backbone, checkpoint, image, options(mode, norm))
        layers = backbone.layers[:3]
        maps = build_maps(built, HEADLESS, layers, layers[0], tf.constant([1, 3]))
        images = np.random.RandomState(0).uniform(0, 255, (2, SIZE, SIZE, 3))
        found = []
        for config in (session_config(0), inference_config()):
            with tf.Session(config=config) as session:
                found.append(session.run(maps, {image: images}))
    for entry in maps:
        # Rewriting joins NormGrad's square roots, which rounds once less.
        rtol = 1e-6 if entry[0].startswith("normgrad") else 0
        np.testing.assert_allclose(found[0][entry], found[1][entry], rtol=rtol, atol=0)


@pytest.mark.parametrize("gpus, spared", [(0, True), (1, False)])
def test_gpus_keep_every_rewriting(gpus, spared):
    rewriting = inference_config(gpus).graph_options.rewrite_options
    assert (rewriting.layout_optimizer == rewriting.OFF) == spared


@pytest.mark.slow
def test_sessions_agree_to_the_bit_after_a_training(tmp_path):
    call("predict.after_training", "check_sessions_agree", str(tmp_path))
