import pytest
from networks import values_of, write_npz
from predict.frozen_networks import CLASSES, NETWORKS, SIZE, WIDTH

from dgl.backbones import get_backbone
from dgl.weights import open_checkpoint

# A VGG is the network of quick runs.
_PARAMS = [
    pytest.param(n, id="-".join(n), marks=[] if n[0] == "vgg" else [pytest.mark.slow])
    for n in NETWORKS
]


@pytest.fixture(scope="module", params=_PARAMS)
def network(request, tmp_path_factory):
    """(mode, norm, values, checkpoint)."""
    mode, norm = request.param
    width = get_backbone(mode).round_width(WIDTH)
    values = values_of(mode, SIZE, classes=CLASSES, width=width, norm=norm)
    path = tmp_path_factory.mktemp("weights") / "a.npz"
    return mode, norm, values, open_checkpoint(write_npz(path, values))
