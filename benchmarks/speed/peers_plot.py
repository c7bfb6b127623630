"""Plot of the section `peers`: milliseconds per image by layer, with the forward passes as lines."""

from benchmarks.speed import contenders
from benchmarks.speed.contest import LAYERS
from dgl.report import chart_style as style

_BARS = (
    (contenders.DGL, "DGL (this project)"),
    (contenders.CAPTUM, contenders.CAPTUM),
    (contenders.FROZEN, "pytorch-grad-cam LayerCAM, weights frozen"),
    (contenders.LAYER_CAM, "pytorch-grad-cam LayerCAM, as it comes"),
)
_LINES = (
    (contenders.FORWARD, "this project's forward pass"),
    (contenders.TORCH_FORWARD, contenders.TORCH_FORWARD),
)


def draw(section, path):
    """Draw batches of eight.

    Args:
        section: as :func:`benchmarks.speed.sections.peers.measure` returns it.
        path: the PNG.
    """
    batch = max(section["batches"])
    ms = {}
    for row in section["times"]:
        if row["batch"] == batch:
            ms[row["contender"], row["layer"]] = row["ms"]  # the last: at the images' size
    layers = [layer for layer in LAYERS if (contenders.DGL, layer) in ms]
    with style.styled():
        figure, axes = style.new_figure((0.1, 0.12, 0.88, 0.7), height=5.0)
        bars = [bar for bar in _BARS if any((bar[0], layer) in ms for layer in layers)]
        height = 0.8 / len(bars)
        for index, (name, label) in enumerate(bars):
            values = [
                (at, ms[name, layer]) for at, layer in enumerate(layers) if (name, layer) in ms
            ]
            places = [at + (index - (len(bars) - 1) / 2.0) * height for at, _ in values]
            median = [value["median"] for _, value in values]
            error = [
                [value["median"] - value["least"] for _, value in values],
                [value["most"] - value["median"] for _, value in values],
            ]
            axes.barh(
                places,
                median,
                height=0.92 * height,
                xerr=error,
                color=style.PALETTE[index],
                error_kw={"elinewidth": 1.2, "ecolor": style.INK},
                label=label,
            )
        for index, (name, label) in enumerate(_LINES):
            if (name, "") in ms:
                axes.axvline(
                    ms[name, ""]["median"],
                    color=style.INK,
                    linestyle=style.DASHES[1 + 2 * index],
                    linewidth=1.4,
                    label=label,
                )
        axes.set_yticks(range(len(layers)))
        axes.set_yticklabels(layers)
        axes.invert_yaxis()
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(
            "ms per image, batches of {}, {} threads; whiskers: least and most".format(
                batch, section["threads"]
            )
        )
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1.0), ncol=2, fontsize=11, handlelength=1.8
        )
        style.save_figure(figure, path)
