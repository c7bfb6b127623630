"""PyTorch alone, captum and pytorch-grad-cam, on one model of PyTorch's own modules.

Each use of the model is given the better one of two memory formats, found by a short trial, and
EfficientNet-Lite has BatchNorm folded into its convolutions. Option ``plain`` measures it as people have
it, BatchNorm apart and channels first, option ``compiled`` by ``torch.compile``.

pytorch-grad-cam calls ``backward``, by which PyTorch also computes a gradient of every weight. It is
measured so, as its users call it, and with all parameters frozen that the layer's gradient does not need
(option ``frozen``), which its users may do.
"""

import sys
import time
from unittest import mock

import numpy as np
import torch

from benchmarks.speed import lite, network
from benchmarks.speed.workers import Outcome
from benchmarks.speed.workers.torch_lite import LiteNet

FORMATS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
_FORWARD, _LAYER, _EVERY = "the forward pass alone", "a layer's gradient", "every gradient"
_TRIAL_IMAGES = 4
_TRIAL_LAYER = {True: "conv5_2", False: "block14"}  # of VGG16, and of EfficientNet-Lite
_GRAD_CAM = {"gradcam": "GradCAM", "layercam": "LayerCAM", "hirescam": "HiResCAM"}


class VGGGAP(torch.nn.Module):
    """The classifier; ``features`` has one module for each name of a layer, and the convolutions."""

    def __init__(self, values):
        super().__init__()
        self.features = torch.nn.Sequential()
        below = 3
        widths = {name[:-2]: value.shape[3] for name, value in values.items() if value.ndim == 4}
        for name, channels in widths.items():
            convolution = torch.nn.Conv2d(below, channels, 3, padding=1)
            kernel = values[name + "/W"].transpose(3, 2, 0, 1)
            _fill(convolution, kernel, values[name + "/b"])
            self.features.add_module("convolution_" + name, convolution)
            self.features.add_module(name, torch.nn.ReLU())
            pool = network.pool_after(name)
            if pool:
                self.features.add_module(pool, torch.nn.MaxPool2d(2))
            below = channels
        self.linear = torch.nn.Linear(*values["linear/W"].shape)
        _fill(self.linear, values["linear/W"].T, values["linear/b"])

    def forward(self, x):
        return self.linear(self.features(x).mean((2, 3)))


def _fill(module, weight, bias):
    with torch.no_grad():
        module.weight.copy_(torch.tensor(np.ascontiguousarray(weight)))
        module.bias.copy_(torch.tensor(bias))


class Library:
    """The model, in the faster memory format for each use.

    Attributes:
        chosen: use -> name of the memory format; :class:`~benchmarks.speed.workers.Setup` may bring one.
    """

    def __init__(self, setup):
        torch.set_num_threads(setup.threads)
        self._setup = setup
        self._is_vgg = setup.mode == "vgg"
        mean = network.MEAN_BGR if self._is_vgg else [lite.MEAN]
        std = network.STD_BGR if self._is_vgg else [lite.STD]
        self._mean = torch.tensor(mean, dtype=torch.float32).reshape(1, -1, 1, 1)
        self._std = torch.tensor(std, dtype=torch.float32).reshape(1, -1, 1, 1)
        self._models = {}
        self._hooked = None
        self._compiled = {}
        self.chosen = dict(setup.chosen or {})
        if not self.chosen:
            images = np.load(setup.images)[:_TRIAL_IMAGES]
            for use in (_FORWARD, _LAYER, _EVERY):
                self.chosen[use] = min(FORMATS, key=lambda name: self._trial(use, name, images))

    def _trial(self, use, name, images):
        """Seconds of the quicker of two calls after one that warms up."""
        self.chosen[use] = name
        if use == _FORWARD:
            call = self._forward(images)
        elif use == _LAYER:
            call = self._gradient(_TRIAL_LAYER[self._is_vgg], images)
        else:
            call = self._backward(images)
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
        return min(seconds[1:])

    def configuration(self):
        uses = (f"{name} for {use}" for use, name in sorted(self.chosen.items()))
        return "memory format " + ", ".join(uses)

    def _use(self, use, plain=False):
        """The model and memory format for a use; ``plain``: as people have them."""
        if plain not in self._models:
            self._models[plain] = self._made(plain)
        model = self._models[plain].requires_grad_(True)
        model.zero_grad()
        form = torch.contiguous_format if plain else FORMATS[self.chosen[use]]
        return model.to(memory_format=form), form

    def _made(self, plain=False):
        if not self._is_vgg:
            return LiteNet(self._setup.weights, self._setup.mode, folded=not plain).eval()
        with np.load(self._setup.weights) as archive:
            return VGGGAP({name: archive[name] for name in archive.files}).eval()

    def _tensor(self, images, form):
        if not self._is_vgg:
            images = np.ascontiguousarray(images[..., ::-1])
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
        return ((pixels - self._mean) / self._std).contiguous(memory_format=form)

    def _forward(self, images, plain=False):
        model, form = self._use(_FORWARD, plain)

        def call():
            with torch.inference_mode():
                return Outcome(logits=model(self._tensor(images, form)).numpy())

        return call

    def _backward(self, images):
        model, form = self._use(_EVERY)

        def call():
            model.zero_grad()
            model(self._tensor(images, form))[:, 0].sum().backward()

        return call

    def prepare(self, case, images, classes):
        if self._hooked is not None:
            self._hooked.activations_and_grads.release()
            self._hooked = None
        plain = bool(case.options.get("plain"))
        layer = case.layers[0]
        if case.options.get("compiled"):
            return self._split(layer, images, case.what == "gradient")
        if case.what == "forward":
            return self._forward(images, plain)
        if case.what == "gradient":
            return self._gradient(layer, images, plain)
        if case.what == "captum":
            return self._captum(layer, images, classes)
        return self._grad_cam(case, layer, images, classes)

    def _gradient(self, layer, images, plain=False):
        """A gradient at the layer by PyTorch alone, weights frozen."""
        model, form = self._use(_LAYER, plain)
        module = getattr(model.features, layer)
        _freeze(model, layer)

        def call():
            kept = []
            handle = module.register_forward_hook(lambda *parts: kept.append(parts[-1]))
            logits = model(self._tensor(images, form))
            handle.remove()
            torch.autograd.grad(logits[:, 0].sum(), kept[0])
            return Outcome(logits=logits.detach().numpy())

        return call

    def _split(self, layer, images, with_gradient):
        """The parts below and above the layer compiled, for which a user has to part the network."""
        form = FORMATS[self.chosen[_LAYER]]
        if layer not in self._compiled:
            # A model of its own: it is compiled again whenever a parameter is frozen or thawed.
            model = self._made().requires_grad_(False).to(memory_format=form)
            modules = list(model.features)
            place = [name for name, _ in model.features.named_children()].index(layer) + 1
            above = torch.nn.Sequential(*modules[place:])
            self._compiled[layer] = [
                torch.compile(torch.nn.Sequential(*modules[:place]), dynamic=False),
                torch.compile(lambda x: model.linear(above(x).mean((2, 3))), dynamic=False),
            ]
        first, second = self._compiled[layer]

        def call():
            with torch.no_grad():
                activation = first(self._tensor(images, form))
                if not with_gradient:
                    return Outcome(logits=second(activation).numpy())
            activation = activation.detach().requires_grad_()
            logits = second(activation)
            torch.autograd.grad(logits[:, 0].sum(), activation)
            return Outcome(logits=logits.detach().numpy())

        return call

    def _captum(self, layer, images, classes):
        from captum.attr import LayerGradCam

        model, form = self._use(_LAYER)
        method = LayerGradCam(model, getattr(model.features, layer))

        def call():
            maps = method.attribute(self._tensor(images, form), target=list(classes))
            return Outcome(maps[:, 0].detach().numpy())

        return call

    def _grad_cam(self, case, layer, images, classes):
        frozen = case.options.get("frozen")
        model, form = self._use(_LAYER if frozen else _EVERY, bool(case.options.get("plain")))
        if frozen:
            _freeze(model, layer)
        library = grad_cam()
        method = getattr(library, _GRAD_CAM[case.what])(model, [getattr(model.features, layer)])
        self._hooked = method
        target = sys.modules[library.__name__ + ".utils.model_targets"].ClassifierOutputTarget
        outside = []
        for name in ("compute_cam_per_layer", "aggregate_multi_layers"):
            setattr(method, name, _timed(getattr(method, name), outside))

        def call():
            del outside[:]
            targets = [target(class_index) for class_index in classes]
            maps = method(input_tensor=self._tensor(images, form), targets=targets)
            return Outcome(maps, outside=sum(outside))

        return call


def _freeze(model, layer):
    """Freeze all parameters but the one nearest below the layer, which PyTorch then goes back to."""
    model.requires_grad_(False)
    last = None
    for name, module in model.features.named_children():
        last = ([last] + list(module.parameters()))[-1]
        if name == layer:
            break
    last.requires_grad_(True)


def grad_cam():
    """pytorch-grad-cam, with a stand-in for the torchvision that it imports and does not need here."""
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
    with mock.patch.dict(sys.modules):
        sys.modules.update((name, mock.MagicMock()) for name in names)
        import pytorch_grad_cam

        mine = {k: v for k, v in sys.modules.items() if k not in names}
    sys.modules.update(mine)
    return pytorch_grad_cam


def _timed(function, seconds):
    def timed(*args, **kwargs):
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            seconds.append(time.perf_counter() - start)

    return timed
