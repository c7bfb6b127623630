"""The methods people know, against captum and pytorch-grad-cam on the same weights in float64.

On a VGG with drawn weights, and on EfficientNet-Lite0 with its ImageNet weights and a photograph.

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
from dgl.predict.predictor import Predictor
from dgl.tf_compat import tf
from dgl.weights.restore import find_weights

torch = pytest.importorskip("torch")
from torch_networks import Network, dgl_map, lite_logits, prepare

pytestmark = pytest.mark.peer

SIZE = 64
WIDTH = 0.25
CLASSES = 7
CLASS_INDEX = [3, 5]
LAYERS = ("add", "conv5_2", "conv4_3", "pool2")
METHODS = ("gradcam", "gradcam++", "xgradcam", "layercam", "hirescam", "eigencam")
CLOSE = 1e-3  # single precision against double; a ReLU that flips at zero moves a whole gradient
# pytorch-grad-cam adds 1e-6 to the denominator of Grad-CAM++. Activations divided by this number, and
# gradients multiplied by it, give the same map and a denominator that it is nothing beside.
SCALE = 1e6


class Tapped(torch.nn.Module):
    """A network of ``torch_networks`` with a module at every layer for the libraries to hook.

    Args:
        forward: ``forward(images, keep)`` returns the logits and calls ``keep(name, x)`` at every layer.
        layers: their names.
        scale: see ``SCALE``.
    """

    def __init__(self, forward, layers, scale=1.0):
        super().__init__()
        self.taps = torch.nn.ModuleDict({layer: torch.nn.Identity() for layer in layers})
        self.unused = torch.nn.Parameter(torch.zeros(1))  # pytorch-grad-cam asks it for the device
        self._forward, self._scale = forward, scale

    def forward(self, images):
        return self._forward(images, self._tap)

    def _tap(self, name, x):
        x = x if x.requires_grad else x.requires_grad_()
        return self._scale * self.taps[name](x / self._scale) if name in self.taps else x


def tapped_vgg(values, scale=1.0):
    def forward(images, keep):
        network = Network("vgg", values)
        network._keep = keep
        return network(images)

    return Tapped(forward, LAYERS, scale)


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


def agree_with_captum(maps, model, layer, inputs, classes):
    """Hold Grad-CAM, HiResCAM and LayerCAM to captum, for an activation that is not negative."""
    attr = pytest.importorskip("captum.attr")
    grad_cam = attr.LayerGradCam(model, model.taps[layer])
    expected = grad_cam.attribute(inputs, classes, relu_attributions=True)[:, 0].detach().numpy()
    seen = np.ptp(expected, axis=(1, 2)) > 0
    agree(maps["gradcam", layer][seen], expected[seen])
    assert seen.any() and not maps["gradcam", layer][~seen].any()
    product = attr.LayerGradientXActivation(model, model.taps[layer])
    expected = product.attribute(inputs, classes).detach()
    agree(maps["hirescam", layer], expected.sum(1).numpy())
    # The activation is not negative, so the product's sign is the gradient's.
    agree(maps["layercam", layer], expected.clamp(min=0).sum(1).numpy())


@pytest.mark.parametrize("layer", LAYERS)
def test_captum(maps, values, images, layer):
    agree_with_captum(maps, tapped_vgg(values), layer, prepare(images), CLASS_INDEX)


@pytest.fixture(scope="module")
def library():
    """pytorch-grad-cam, with a stand-in for the torchvision that it imports and does not need here."""
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
    with mock.patch.dict(sys.modules, {name: mock.MagicMock() for name in names}):
        return pytest.importorskip("pytorch_grad_cam")


def its_map(library, name, model, layer, inputs, class_index):
    """pytorch-grad-cam's map before it rectifies, normalizes and resizes: (N, H, W) float64."""
    cam = getattr(library, name)(model, [model.taps[layer]])
    hooks = cam.activations_and_grads
    logits = hooks(inputs)
    logits[range(len(inputs)), class_index].sum().backward()
    parts = [part.numpy() for part in (hooks.activations[0], hooks.gradients[0])]
    return cam.get_cam_image(None, None, None, parts[0], parts[1], False)


NAMES = [
    ("gradcam", "GradCAM"),
    ("gradcam++", "GradCAMPlusPlus"),
    ("xgradcam", "XGradCAM"),
    ("layercam", "LayerCAM"),
    ("hirescam", "HiResCAM"),
]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("method, name", NAMES)
def test_pytorch_grad_cam(maps, values, images, library, layer, method, name):
    model = tapped_vgg(values, SCALE if method == "gradcam++" else 1.0)
    expected = its_map(library, name, model, layer, prepare(images), CLASS_INDEX)
    if method != "hirescam":
        expected = np.maximum(expected, 0)
    agree(maps[method, layer], expected)


def eigen_maps(activation):
    """Activation (N, C, H, W) on its first singular vector, with the sign of a positive sum: (N, H, W)."""
    matrices = activation.flatten(2).transpose(1, 2)
    vectors = torch.linalg.svd(matrices, full_matrices=False)[2][:, 0]
    maps = torch.einsum("npc,nc->np", matrices, vectors)
    maps = maps * torch.sign(maps.sum(1, keepdim=True))
    return maps.reshape(activation[:, 0].shape).numpy()


@pytest.mark.parametrize("layer", LAYERS)
def test_eigencam_by_torch_s_svd(maps, values, images, layer):
    network = Network("vgg", values)
    network(prepare(images))
    agree(maps["eigencam", layer], eigen_maps(network.endpoints[layer].detach()))


LITE = "efficientnet_lite0"
LITE_SIDE = 128
LITE_CLASSES = [441, 698]  # two of ImageNet's, whatever the photograph shows
LITE_LAYERS = ("head", "block14", "block10_depthwise", "block10", "block6_expand")


@pytest.fixture(scope="module")
def lite_state():
    pytest.importorskip(get_backbone(LITE).package.module)
    path = find_weights(get_backbone(LITE), LITE)
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: value.double() for name, value in state.items()}


@pytest.fixture(scope="module")
def photographs():
    load = pytest.importorskip("sklearn.datasets").load_sample_image
    crops = [load(name)[60:188, 250:378, ::-1] for name in ("china.jpg", "flower.jpg")]
    return np.stack(crops).astype("float32")


@pytest.fixture(scope="module")
def lite_maps(photographs):
    methods = (*METHODS, "dgl")
    with Predictor(LITE, LITE, LITE_LAYERS, methods, image_size=LITE_SIDE, gpu="-1") as predictor:
        return predictor(photographs, LITE_CLASSES).maps


def lite_inputs(photographs):
    rgb = photographs[..., ::-1].astype("float64").transpose(0, 3, 1, 2)
    return torch.tensor((rgb - 127) / 128)


def tapped_lite(state, scale=1.0):
    return Tapped(lambda images, keep: lite_logits(state, images, keep), LITE_LAYERS, scale)


@pytest.mark.parametrize("layer", LITE_LAYERS)
@pytest.mark.parametrize("method, name", NAMES)
def test_pytorch_grad_cam_on_a_photograph(
    lite_maps, lite_state, photographs, library, layer, method, name
):
    signed = not (layer == "head" or "_" in layer)
    if method in ("gradcam++", "xgradcam") and signed:
        pytest.skip("its denominator takes activations for not negative; ours says what it does")

    model = tapped_lite(lite_state, SCALE if method == "gradcam++" else 1.0)
    expected = its_map(library, name, model, layer, lite_inputs(photographs), LITE_CLASSES)
    found = lite_maps[method, layer]
    if method != "hirescam":
        found, expected = np.maximum(found, 0), np.maximum(expected, 0)
    empty = np.ptp(expected, axis=(1, 2)) == 0  # everything speaks against the class
    assert not empty.all() and not found[empty].any()
    agree(found[~empty], expected[~empty])


@pytest.mark.parametrize("layer", LITE_LAYERS)
def test_dgl_by_autograd_on_a_photograph(lite_maps, lite_state, photographs, layer):
    for index, class_index in enumerate(LITE_CLASSES):
        kept = {}

        def keep(name, x, kept=kept):
            kept[name] = x if x.requires_grad else x.requires_grad_()
            return kept[name]

        logits = lite_logits(lite_state, lite_inputs(photographs)[index : index + 1], keep)
        expected = dgl_map(logits, kept[layer], class_index)
        agree(lite_maps["dgl", layer][index : index + 1], expected[np.newaxis])


@pytest.mark.parametrize(
    "layer", [layer for layer in LITE_LAYERS if layer == "head" or "_" in layer]
)
def test_captum_on_a_photograph(lite_maps, lite_state, photographs, layer):
    model = tapped_lite(lite_state)
    agree_with_captum(lite_maps, model, layer, lite_inputs(photographs), LITE_CLASSES)


@pytest.mark.parametrize("layer", LITE_LAYERS)
def test_eigencam_on_a_photograph_by_torch_s_svd(lite_maps, lite_state, photographs, layer):
    model, kept = tapped_lite(lite_state), []
    model.taps[layer].register_forward_hook(lambda module, inputs, output: kept.append(output))
    model(lite_inputs(photographs))
    agree(lite_maps["eigencam", layer], eigen_maps(kept[0].detach()))
