import pytest
from networks import values_of, write_npz
from predict.frozen_networks import CLASSES, NETWORKS, SIZE, WIDTH

from dgl.backbones import get_backbone
from dgl.weights import open_checkpoint


@pytest.fixture(scope="module", params=NETWORKS, ids=["-".join(n) for n in NETWORKS])
def network(request, tmp_path_factory):
    """(mode, norm, values, checkpoint)."""
    mode, norm = request.param
    width = get_backbone(mode).round_width(WIDTH)
    values = values_of(mode, SIZE, classes=CLASSES, width=width, norm=norm)
    path = tmp_path_factory.mktemp("weights") / "a.npz"
    return mode, norm, values, open_checkpoint(write_npz(path, values))
