"""The environment that a worker's arithmetic shares with the driver's."""

import os
import subprocess
import sys

import pytest

from dgl.evaluation.ray_workers import arithmetic_environment, take_on


@pytest.mark.parametrize("given, kept", [("3", True), ("0", False), ("", False), ("x", False)])
def test_the_number_of_threads_is_always_told(given, kept):
    found = arithmetic_environment({"TF_NUM_INTRAOP_THREADS": given})
    if kept:
        assert found == {"TF_NUM_INTRAOP_THREADS": given}
    else:
        assert int(found["TF_NUM_INTRAOP_THREADS"]) >= 1
    assert arithmetic_environment({}) == arithmetic_environment({"TF_NUM_INTRAOP_THREADS": "0"})


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no pinning here")
def test_they_are_those_that_the_process_may_use(root):
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from dgl.evaluation.ray_workers import arithmetic_environment\n"
        "print(arithmetic_environment({}))"
    )
    found = subprocess.check_output([sys.executable, "-c", code], cwd=root)
    assert found.decode("ascii").strip() == "{'TF_NUM_INTRAOP_THREADS': '1'}"


def test_what_does_not_compute_stays_at_home(monkeypatch):
    driver = {"TF_ENABLE_ONEDNN_OPTS": "0", "TF_CONFIG": "{}", "HOME": "/x", "OMP_NUM_THREADS": "5"}
    variables = arithmetic_environment(driver)
    assert set(variables) == {"TF_ENABLE_ONEDNN_OPTS", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"}
    worker = {"TF_CONFIG": "own", "HOME": "/y", "OMP_NUM_THREADS": "1", "DNNL_VERBOSE": "1"}
    monkeypatch.setattr(os, "environ", dict(worker))
    take_on(variables)
    assert os.environ == dict(variables, TF_CONFIG="own", HOME="/y")
