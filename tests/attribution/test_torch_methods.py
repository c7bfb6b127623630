"""The methods people know on a VGG, against captum and pytorch-grad-cam on the same weights in float64.

Where a library's definition is another one, the comparison says so: pytorch-grad-cam centers the matrix of
Eigen-CAM, which therefore is compared with PyTorch's SVD.
"""

import sys
from unittest import mock

import numpy as np
import pytest
from networks import fill, options_of, values_of

from dgl.attribution import build_maps
from dgl.backbones import get_backbone
from dgl.backbones.network import build_network
from dgl.predict.postprocess import normalize
from dgl.tf_compat import tf

torch = pytest.importorskip("torch")
from torch_networks import Network, prepare

pytestmark = pytest.mark.peer

SIZE = 64
WIDTH = 0.25
CLASSES = 7
CLASS_INDEX = [3, 5]
LAYERS = ("add", "conv5_2", "conv4_3", "pool2")
METHODS = ("gradcam", "gradcam++", "layercam", "hirescam", "eigencam")
CLOSE = 1e-3  # single precision against double; a ReLU that flips at zero moves a whole gradient
# pytorch-grad-cam adds 1e-6 to the denominator of Grad-CAM++. Activations divided by this number, and
# gradients multiplied by it, give the same map and a denominator that it is nothing beside.
SCALE = 1e6


class Tapped(torch.nn.Module):
    """The VGG of ``torch_networks`` with a module at every layer for the libraries to hook."""

    def __init__(self, values, scale=1.0):
        super().__init__()
        self.taps = torch.nn.ModuleDict({layer: torch.nn.Identity() for layer in LAYERS})
        self.unused = torch.nn.Parameter(torch.zeros(1))  # pytorch-grad-cam asks it for the device
        self._network = Network("vgg", values)
        self._keep, self._scale = self._network._keep, scale
        self._network._keep = self._tap

    def forward(self, images):
        return self._network(images)

    def _tap(self, name, x):
        x = self._keep(name, x)
        return self._scale * self.taps[name](x / self._scale) if name in self.taps else x


@pytest.fixture(scope="module")
def values():
    return values_of("vgg", SIZE, width=WIDTH, classes=CLASSES)


@pytest.fixture(scope="module")
def images():
    return np.random.RandomState(3).uniform(0, 255, (2, SIZE, SIZE, 3)).astype("float32")


@pytest.fixture(scope="module")
def maps(images):
    backbone = get_backbone("vgg")
    with tf.Graph().as_default(), tf.Session() as session:
        network = build_network(
            backbone, tf.constant(images), options_of("vgg", CLASSES, width=WIDTH)
        )
        found = build_maps(network, METHODS, LAYERS, backbone.layers[0], tf.constant(CLASS_INDEX))
        fill(session)
        return session.run(found)


def agree(found, expected):
    """Both normalized, image by image; and the raw maps as well."""
    assert np.ptp(expected, axis=(1, 2)).min() > 0
    for got, wanted in zip(found, expected):
        assert np.abs(normalize(got) - normalize(wanted)).max() < CLOSE
        assert np.abs(got - wanted).max() < CLOSE * np.abs(wanted).max()


@pytest.mark.parametrize("layer", LAYERS)
def test_captum(maps, values, images, layer):
    attr = pytest.importorskip("captum.attr")
    model = Tapped(values)
    grad_cam = attr.LayerGradCam(model, model.taps[layer])
    expected = grad_cam.attribute(prepare(images), CLASS_INDEX, relu_attributions=True)
    agree(maps["gradcam", layer], expected[:, 0].detach().numpy())
    product = attr.LayerGradientXActivation(model, model.taps[layer])
    expected = product.attribute(prepare(images), CLASS_INDEX).detach()
    agree(maps["hirescam", layer], expected.sum(1).numpy())
    # The activation is not negative, so the product's sign is the gradient's.
    agree(maps["layercam", layer], expected.clamp(min=0).sum(1).numpy())


@pytest.fixture(scope="module")
def library():
    """pytorch-grad-cam, with a stand-in for the torchvision that it imports and does not need here."""
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
    with mock.patch.dict(sys.modules, {name: mock.MagicMock() for name in names}):
        return pytest.importorskip("pytorch_grad_cam")


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(
    "method, name",
    [
        ("gradcam", "GradCAM"),
        ("gradcam++", "GradCAMPlusPlus"),
        ("layercam", "LayerCAM"),
        ("hirescam", "HiResCAM"),
    ],
)
def test_pytorch_grad_cam(maps, values, images, library, layer, method, name):
    model = Tapped(values, SCALE if method == "gradcam++" else 1.0)
    cam = getattr(library, name)(model, [model.taps[layer]])
    hooks = cam.activations_and_grads
    logits = hooks(prepare(images))
    logits[range(2), CLASS_INDEX].sum().backward()
    parts = [part.numpy() for part in (hooks.activations[0], hooks.gradients[0])]
    # Its own call goes on to rectify, normalize and resize.
    expected = cam.get_cam_image(None, None, None, parts[0], parts[1], False)
    if method.startswith("gradcam"):
        expected = np.maximum(expected, 0)
    agree(maps[method, layer], expected)


@pytest.mark.parametrize("layer", LAYERS)
def test_eigencam_by_torch_s_svd(maps, values, images, layer):
    network = Network("vgg", values)
    network(prepare(images))
    activation = network.endpoints[layer].detach()
    matrices = activation.flatten(2).transpose(1, 2)
    vectors = torch.linalg.svd(matrices, full_matrices=False)[2][:, 0]
    vectors = vectors * torch.sign(vectors.sum(1, keepdim=True))
    expected = torch.einsum("npc,nc->np", matrices, vectors).reshape(activation[:, 0].shape)
    agree(maps["eigencam", layer], expected.numpy())
