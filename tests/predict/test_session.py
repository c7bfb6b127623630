"""The session of a frozen classifier."""

import pytest
from own_process import call

from dgl.predict import session as session_module
from dgl.predict.session import inference_config


@pytest.mark.parametrize(
    "reference, gpus, cores", [(False, 0, 0), (False, 1, 0), (True, 0, 1), (True, 1, 0)]
)
def test_its_settings(monkeypatch, reference, gpus, cores):
    monkeypatch.setattr(session_module, "reference_kernels", lambda: reference)
    config = inference_config(gpus)
    assert config.intra_op_parallelism_threads == cores
    rewriting = config.graph_options.rewrite_options
    assert (rewriting.layout_optimizer == rewriting.OFF) == (not gpus)  # GPUs keep every one
    assert gpus or config.device_count["GPU"] == 0


@pytest.mark.slow
def test_sessions_agree_to_the_bit_after_a_training(tmp_path):
    call("predict.after_training", "check_sessions_agree", str(tmp_path))
