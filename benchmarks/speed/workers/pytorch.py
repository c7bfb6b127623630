"""PyTorch alone, captum and pytorch-grad-cam, on one model of PyTorch's own modules.

Each use of the model is given the better one of two memory formats, found by a short trial.

pytorch-grad-cam calls ``backward``, by which PyTorch also computes a gradient of every weight. It is
measured so, as its users call it, and with all parameters frozen that the layer's gradient does not need
(option ``frozen``), which its users may do.
"""

import sys
import time
from unittest import mock

import numpy as np
import torch

from benchmarks.speed import network
from benchmarks.speed.workers import Outcome

FORMATS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
_FORWARD, _LAYER, _EVERY = "the forward pass alone", "a layer's gradient", "every gradient"
_TRIAL_IMAGES = 4
_TRIAL_LAYER = "conv5_2"
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
        with np.load(setup.weights) as archive:
            values = {name: archive[name] for name in archive.files}
        self._mean = torch.tensor(network.MEAN_BGR, dtype=torch.float32).reshape(1, 3, 1, 1)
        self._std = torch.tensor(network.STD_BGR, dtype=torch.float32).reshape(1, 3, 1, 1)
        self._model = VGGGAP(values).eval()
        self._hooked = None
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
            call = self._captum(_TRIAL_LAYER, images, [0] * len(images), gradient_alone=True)
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

    def _use(self, use):
        form = FORMATS[self.chosen[use]]
        self._model.to(memory_format=form)
        return form

    def _tensor(self, images, form):
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
        return ((pixels - self._mean) / self._std).contiguous(memory_format=form)

    def _forward(self, images):
        form = self._use(_FORWARD)

        def call():
            with torch.inference_mode():
                return Outcome(logits=self._model(self._tensor(images, form)).numpy())

        return call

    def _backward(self, images):
        form = self._use(_EVERY)

        def call():
            self._model.zero_grad()
            self._model(self._tensor(images, form))[:, 0].sum().backward()

        return call

    def prepare(self, case, images, classes):
        if self._hooked is not None:
            self._hooked.activations_and_grads.release()
            self._hooked = None
        self._model.zero_grad()
        self._model.requires_grad_(True)
        if case.what == "forward":
            return self._forward(images)
        (layer,) = case.layers
        if case.what == "captum":
            return self._captum(layer, images, classes)
        return self._grad_cam(case.what, layer, images, classes, case.options.get("frozen"))

    def _captum(self, layer, images, classes, gradient_alone=False):
        """captum's call, or (for the trial, which has to do without captum) what it asks of PyTorch."""
        form = self._use(_LAYER)
        module = getattr(self._model.features, layer)

        def gradient():
            kept = []
            handle = module.register_forward_hook(lambda *parts: kept.append(parts[-1]))
            logits = self._model(self._tensor(images, form))
            handle.remove()
            torch.autograd.grad(logits[:, 0].sum(), kept[0])

        if gradient_alone:
            return gradient
        from captum.attr import LayerGradCam

        method = LayerGradCam(self._model, module)

        def call():
            maps = method.attribute(self._tensor(images, form), target=list(classes))
            return Outcome(maps[:, 0].detach().numpy())

        return call

    def _grad_cam(self, what, layer, images, classes, frozen):
        if frozen:
            # The one parameter left makes PyTorch keep what the layer's gradient needs.
            self._model.requires_grad_(False)
            getattr(self._model.features, "convolution_" + layer).bias.requires_grad_(True)
        form = self._use(_LAYER if frozen else _EVERY)
        library = grad_cam()
        method = getattr(library, _GRAD_CAM[what])(
            self._model, [getattr(self._model.features, layer)]
        )
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
