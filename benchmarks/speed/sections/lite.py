"""Time of maps of EfficientNet-Lite compared with the forward pass, PyTorch's tools and ONNX Runtime.

As :mod:`~benchmarks.speed.sections.peers`, with the published weights.
"""

from functools import partial

from benchmarks.speed import arithmetic, formulas
from benchmarks.speed import lite as networks
from benchmarks.speed.contenders import COARSE, lite_contenders
from benchmarks.speed.contest import BATCHES, LITE_LAYER, MANY_CALLS
from benchmarks.speed.sections.peers import compete
from benchmarks.speed.tables import markdown, memory_table, ratios_table
from dgl.backbones import get_backbone

MODES = {"efficientnet_lite0": "Lite0", "efficientnet_lite2": "Lite2"}
_JOINED = ("checks", "rows", "times", "memory")


def measure(options):
    """The section; see :mod:`benchmarks.speed.sections`."""
    found = {"batches": list(BATCHES), "checks_within": formulas.FLOAT32._asdict()}
    found.update({part: [] for part in _JOINED}, configurations={}, floors=[])
    for mode, title in MODES.items():
        contenders, memory, ratios = lite_contenders(mode)
        if mode != next(iter(MODES)):
            memory = memory[:3]
        write = partial(networks.write, mode=mode)
        parts = compete(options, mode, write, contenders, memory, ratios, MANY_CALLS)
        found["configurations"][title] = parts["configurations"]
        for part in _JOINED:
            rows = parts[part] if isinstance(parts[part], list) else []
            found[part] += [dict(row, layer=f"{title} {row['layer']}".strip()) for row in rows]
        found["floors"] += _floors(mode, title)
    return found


def _floors(mode, title):
    size = get_backbone(mode).image_size
    forward, _ = arithmetic.count(mode, size=size)
    for layer, names in ((LITE_LAYER, [LITE_LAYER]), (COARSE, networks.coarse_layers(mode))):
        two, one = (arithmetic.floor(names, gradients, mode, size) for gradients in (2, 1))
        yield {
            "layer": f"{title} {layer}",
            "forward_millions": round(forward / 1e6),
            "two_gradients": round(two, 3),
            "one_gradient": round(one, 3),
        }


def floors_table(section):
    """One row a network and layer: multiply-adds of gradients over those of the forward pass."""
    lines = [["layer", "million multiply-adds forward", "two gradients over it", "one gradient"]]
    for row in section["floors"]:
        lines.append([str(value) for value in row.values()])
    return markdown(lines)


def table(section):
    """The tables of docs/speed.md: ratios, memory, and floors by arithmetic."""
    return "\n\n".join(make(section) for make in (ratios_table, memory_table, floors_table))
