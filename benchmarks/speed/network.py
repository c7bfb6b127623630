"""The classifier that all contenders run: VGG16-GAP with random weights.

Weights are normal with He et al.'s variance (ICCV 2015), which keeps activations and gradients in range
through sixteen layers; biases are small and not zero, so that a contender that forgot them would show. What
the weights are has no influence on how long a map takes.
"""

import numpy as np

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
ADD = 1024
CLASSES = 1000
MEAN_BGR = 255 * np.array([0.406, 0.456, 0.485])
STD_BGR = 255 * np.array([0.225, 0.224, 0.229])

_BIAS = 0.05  # standard deviation


def convolutions(width=1.0):
    """(name, channels) of every 3 x 3 convolution from the image on, all channels times ``width``."""
    layers = [
        (f"conv{block}_{index}", channels)
        for block, (channels, repeats) in enumerate(BLOCKS, 1)
        for index in range(1, repeats + 1)
    ]
    return [(name, int(channels * width)) for name, channels in layers + [("add", ADD)]]


def pool_after(name):
    """Name of the 2 x 2 pooling that follows a convolution, ``None`` where none does."""
    last = {f"conv{b}_{n}": f"pool{b}" for b, (_, n) in enumerate(BLOCKS[:4], 1)}
    return last.get(name)


def weights(seed=0, width=1.0, classes=CLASSES):
    """Ordered variable name -> float32 array, kernels (3, 3, in, out), the same for the same seed."""
    rng = np.random.RandomState(seed)
    values, below = {}, 3
    for name, channels in convolutions(width):
        scale = np.sqrt(2.0 / (9 * below))
        values[name + "/W"] = rng.normal(0, scale, (3, 3, below, channels)).astype(np.float32)
        values[name + "/b"] = rng.normal(0, _BIAS, channels).astype(np.float32)
        below = channels
    values["linear/W"] = rng.normal(0, below**-0.5, (below, classes)).astype(np.float32)
    values["linear/b"] = rng.normal(0, _BIAS, classes).astype(np.float32)
    return values


def write(path, **settings):
    """Write :func:`weights` as a checkpoint that ``--load`` reads, a NumPy archive."""
    np.savez(path, **weights(**settings))
