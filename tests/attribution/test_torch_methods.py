"""Maps against those of PyTorch in float64: DGL by autograd, the others by captum and pytorch-grad-cam.

On a VGG with drawn weights, and on EfficientNet-Lite0 with its ImageNet weights and a photograph. Where a
library's definition is another one, the comparison says so: pytorch-grad-cam centers the matrix of
Eigen-CAM, which therefore is compared with PyTorch's SVD.
"""

import sys
from collections import namedtuple
from unittest import mock

import numpy as np
import pytest
from networks import fill, options_of, values_of

from dgl.attribution import build_maps
from dgl.backbones import PAPER_MODES, get_backbone
from dgl.backbones.network import build_network
from dgl.predict.postprocess import normalize
from dgl.predict.predictor import Predictor
from dgl.tf_compat import tf
from dgl.weights.restore import find_weights

torch = pytest.importorskip("torch")
from torch_networks import Network, dgl_map, lite_logits, prepare

pytestmark = pytest.mark.peer

METHODS = ("gradcam", "gradcam++", "xgradcam", "layercam", "hirescam", "eigencam", "dgl")
SIZE, WIDTH, CLASSES = 64, 0.25, 7
CLOSE = 1e-3  # single precision against double; a ReLU that flips at zero moves a whole gradient
# pytorch-grad-cam adds 1e-6 to the denominator of Grad-CAM++. Activations divided by this number, and
# gradients multiplied by it, give the same map and a denominator that it is nothing beside.
SCALE = 1e6
LITE = "efficientnet_lite0"
LAYERS = {
    "vgg": ["add", "conv5_2", "conv4_3", "pool2"],
    LITE: ["head", "block14", "block10_depthwise", "block10", "block6_expand"],
}
PLACES = [(name, layer) for name in LAYERS for layer in LAYERS[name]]
# Layers whose activation is not negative.
RECTIFIED = [
    (name, layer) for name, layer in PLACES if name == "vgg" or "_" in layer or layer == "head"
]
LIBRARY = dict(zip(METHODS, "GradCAM GradCAMPlusPlus XGradCAM LayerCAM HiResCAM".split()))

# A network in PyTorch, ``forward(images, keep)``, which calls ``keep(name, x)`` at every layer and returns
# the logits; preprocessed images, their classes, and our maps: (method, layer) -> array.
Subject = namedtuple("Subject", "forward inputs classes maps")


class Tapped(torch.nn.Module):
    """A subject's network with a module at one layer for the libraries to hook; for ``scale`` see SCALE."""

    def __init__(self, subject, layer, scale=1.0):
        super().__init__()
        self.tap = torch.nn.Identity()
        self.unused = torch.nn.Parameter(torch.zeros(1))  # pytorch-grad-cam asks it for the device
        self._forward, self._layer, self._scale = subject.forward, layer, scale

    def forward(self, images):
        return self._forward(images, self._keep)

    def _keep(self, name, x):
        x = x if x.requires_grad else x.requires_grad_()
        return self._scale * self.tap(x / self._scale) if name == self._layer else x


def run(subject, layer, images):
    """The logits of images, and the activation at a layer, which they can be differentiated by."""
    kept = {}

    def keep(name, x):
        kept[name] = x if x.requires_grad else x.requires_grad_()
        return kept[name]

    return subject.forward(images, keep), kept[layer]


def ours(mode, images, methods, layers, class_index=None, alpha=10.0):
    """Logits and maps of a narrow network with drawn weights; by default of the class that it finds."""
    backbone = get_backbone(mode)
    with tf.Graph().as_default(), tf.Session() as session:
        options = options_of(mode, CLASSES, width=WIDTH)
        network = build_network(backbone, tf.constant(images), options)
        fill(session)
        if class_index is None:
            class_index = tf.argmax(network.logits, axis=1, output_type=tf.int32)
        maps = build_maps(network, methods, layers, backbone.layers[0], class_index, alpha)
        return session.run([network.logits, maps])


def theirs(mode):
    """The same network in PyTorch."""
    return Network(mode, values_of(mode, SIZE, width=WIDTH, classes=CLASSES))


def drawn(count):
    return np.random.RandomState(3).uniform(0, 255, (count, SIZE, SIZE, 3)).astype("float32")


@pytest.fixture(scope="module")
def vgg():
    _, maps = ours("vgg", drawn(2), METHODS, LAYERS["vgg"], [3, 5])

    def forward(images, keep):
        network = theirs("vgg")
        network._keep = keep
        return network(images)

    return Subject(forward, prepare(drawn(2)), [3, 5], maps)


@pytest.fixture(scope="module")
def efficientnet_lite0():
    pytest.importorskip(get_backbone(LITE).package.module)
    load = pytest.importorskip("sklearn.datasets").load_sample_image
    state = torch.load(
        find_weights(get_backbone(LITE), LITE), map_location="cpu", weights_only=True
    )
    state = {name: value.double() for name, value in state.items()}
    crops = [load(name)[60:188, 250:378, ::-1] for name in ("china.jpg", "flower.jpg")]
    photographs = np.stack(crops).astype("float32")
    rgb = photographs[..., ::-1].astype("float64").transpose(0, 3, 1, 2)
    classes = [441, 698]
    with Predictor(LITE, LITE, LAYERS[LITE], METHODS, image_size=128, gpu="-1") as predictor:
        maps = predictor(photographs, classes).maps
    inputs = torch.tensor((rgb - 127) / 128)
    return Subject(lambda images, keep: lite_logits(state, images, keep), inputs, classes, maps)


@pytest.fixture(scope="module")
def subject(request):
    return request.getfixturevalue(request.param)


def places(chosen):
    return pytest.mark.parametrize("subject, layer", chosen, indirect=["subject"])


def agree(found, expected):
    """Both normalized, image by image; and the raw maps as well."""
    assert np.ptp(expected, axis=(1, 2)).min() > 0
    for got, wanted in zip(found, expected):
        assert np.abs(normalize(got) - normalize(wanted)).max() < CLOSE
        assert np.abs(got - wanted).max() < CLOSE * np.abs(wanted).max()


def agree_where_seen(found, expected):
    """The same, where not everything speaks against the class; there the map is empty."""
    empty = np.ptp(expected, axis=(1, 2)) == 0
    assert not empty.all() and not found[empty].any()
    agree(found[~empty], expected[~empty])


@places(RECTIFIED)
def test_captum(subject, layer):
    """Grad-CAM, HiResCAM and LayerCAM, for an activation that is not negative."""
    attr = pytest.importorskip("captum.attr")
    model, inputs, classes = Tapped(subject, layer), subject.inputs, subject.classes
    grad_cam = attr.LayerGradCam(model, model.tap)
    expected = grad_cam.attribute(inputs, classes, relu_attributions=True)[:, 0].detach().numpy()
    agree_where_seen(subject.maps["gradcam", layer], expected)
    product = attr.LayerGradientXActivation(model, model.tap)
    expected = product.attribute(inputs, classes).detach()
    agree(subject.maps["hirescam", layer], expected.sum(1).numpy())
    # The activation is not negative, so the product's sign is the gradient's.
    agree(subject.maps["layercam", layer], expected.clamp(min=0).sum(1).numpy())


@pytest.fixture(scope="module")
def library():
    """pytorch-grad-cam, with a stand-in for the torchvision that it imports and does not need here."""
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
    with mock.patch.dict(sys.modules, {name: mock.MagicMock() for name in names}):
        return pytest.importorskip("pytorch_grad_cam")


@places(PLACES)
@pytest.mark.parametrize("method", list(LIBRARY))
def test_pytorch_grad_cam(subject, library, layer, method):
    """Its map before it rectifies, normalizes and resizes."""
    if method in ("gradcam++", "xgradcam") and layer in ("block14", "block10"):
        pytest.skip("its denominator takes activations for not negative; ours says what it does")
    model = Tapped(subject, layer, SCALE if method == "gradcam++" else 1.0)
    cam = getattr(library, LIBRARY[method])(model, [model.tap])
    hooks = cam.activations_and_grads
    logits = hooks(subject.inputs)
    logits[range(len(logits)), subject.classes].sum().backward()
    parts = [part.numpy() for part in (hooks.activations[0], hooks.gradients[0])]
    expected = cam.get_cam_image(None, None, None, parts[0], parts[1], False)
    found = subject.maps[method, layer]
    if method != "hirescam":
        found, expected = np.maximum(found, 0), np.maximum(expected, 0)
    agree_where_seen(found, expected)


@places(PLACES)
def test_eigencam_by_torch_s_svd(subject, layer):
    """On the first singular vector, with the sign of a positive sum."""
    activation = run(subject, layer, subject.inputs)[1].detach()
    matrices = activation.flatten(2).transpose(1, 2)
    vectors = torch.linalg.svd(matrices, full_matrices=False)[2][:, 0]
    maps = torch.einsum("npc,nc->np", matrices, vectors)
    maps = maps * torch.sign(maps.sum(1, keepdim=True))
    agree(subject.maps["eigencam", layer], maps.reshape(activation[:, 0].shape).numpy())


@places(PLACES)
def test_dgl_by_autograd(subject, layer):
    for index, class_index in enumerate(subject.classes):
        one = slice(index, index + 1)
        expected = dgl_map(*run(subject, layer, subject.inputs[one]), class_index)
        agree(subject.maps["dgl", layer][one], expected[np.newaxis])


@pytest.mark.parametrize("alpha", [0.5, 10.0, 100.0])
@pytest.mark.parametrize("mode", PAPER_MODES)
def test_logits_and_dgl_of_all_layers(mode, alpha):
    layers = get_backbone(mode).layers
    logits, found = ours(mode, drawn(1), ["dgl"], layers, alpha=alpha)
    peer = theirs(mode)
    expected = peer(prepare(drawn(1)))
    # Single precision against double.
    atol = 1e-4 * expected.abs().max().item()
    np.testing.assert_allclose(logits, expected.detach().numpy(), atol=atol)
    class_index = int(expected[0].argmax())
    for layer in layers:
        wanted = dgl_map(expected, peer.endpoints[layer], class_index, alpha)
        agree(found["dgl", layer], wanted[np.newaxis])
