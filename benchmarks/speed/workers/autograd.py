"""Reference for every map: PyTorch's autograd in float64.

Activations and gradients of VGG16 come from functional calls on the checkpoint's own arrays; nothing is
shared with the model that the libraries hook. EfficientNet-Lite is PyTorch's modules, BatchNorm apart.
"""

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.speed import formulas, lite, network
from benchmarks.speed.workers import Outcome
from benchmarks.speed.workers.torch_lite import LiteNet


class Library:
    """Maps by :mod:`benchmarks.speed.formulas`; ``Case.what`` is the formula's name."""

    def __init__(self, setup):
        torch.set_num_threads(setup.threads)
        self._kept = {}
        self._lite = None
        if setup.mode != "vgg":
            self._lite = LiteNet(setup.weights, setup.mode, folded=False).double().eval()
            return
        with np.load(setup.weights) as archive:
            self._values = {
                name: torch.tensor(archive[name], dtype=torch.float64) for name in archive.files
            }
            self._names = [name[:-2] for name in archive.files if archive[name].ndim == 4]

    def configuration(self):
        return "float64"

    def _run(self, images):
        if self._lite is not None:
            pixels = (images[..., ::-1].astype(np.float64) - lite.MEAN) / lite.STD
            x, endpoints = torch.tensor(pixels.transpose(0, 3, 1, 2)), {}
            for name, module in self._lite.features.named_children():
                endpoints[name] = x = module(x)
            return self._lite.linear(x.mean((2, 3))), endpoints
        pixels = (images.astype(np.float64) - network.MEAN_BGR) / network.STD_BGR
        x, endpoints = torch.tensor(pixels.transpose(0, 3, 1, 2)), {}
        for name in self._names:
            kernel = self._values[name + "/W"].permute(3, 2, 0, 1)
            x = F.relu(F.conv2d(x, kernel, self._values[name + "/b"], padding=1))
            endpoints[name] = x if x.requires_grad else x.requires_grad_()
            if network.pool_after(name):
                x = F.max_pool2d(x, 2)
        logits = x.mean((2, 3)) @ self._values["linear/W"] + self._values["linear/b"]
        return logits, endpoints

    def prepare(self, case, images, classes):
        (layer,) = case.layers

        def call():
            # One forward pass serves all that is asked about the same images.
            key = images.tobytes()
            if key not in self._kept:
                self._kept = {key: self._run(images)}
            logits, endpoints = self._kept[key]
            target = F.one_hot(torch.tensor(classes), logits.shape[1]).double()
            activation = endpoints[layer]

            def gradient(seed):
                return torch.autograd.grad(logits, activation, seed, retain_graph=True)[0].numpy()

            loss = None
            if case.what == "dgl":
                alpha = float(case.options.get("alpha", 10.0))
                # At infinite alpha only the direction is left of the loss gradient.
                loss = gradient(
                    -target if np.isinf(alpha) else logits.softmax(1).detach() - alpha * target
                )
            formula = formulas.FORMULAS[case.what]
            maps = formula(activation.detach().numpy(), gradient(target), loss)
            return Outcome(maps, logits.detach().numpy())

        return call
