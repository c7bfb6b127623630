"""Which validation images a training is watched on: the same ones from its first epoch to its last.

The choice depends on the list alone: no random number is drawn, so that watching changes no training, and a
resumed run shows the images that it showed before.
"""

from dataclasses import replace
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from dgl.backbones.registry import Backbone
from dgl.data.sample import DataSet, Sample
from dgl.errors import UserError

MOST_MEASURED = 200
# Where an epoch is short, measuring 200 images would take longer than the epoch.
_SHARE_OF_EPOCH = 0.1
_FEWEST_MEASURED = 20


class Watching(NamedTuple):
    """What is watched.

    Attributes:
        pictures: samples whose maps are drawn.
        measured: samples on which GT-known is measured; each has a box.
        layers: names of the layers of the maps; GT-known is that of the first.
    """

    pictures: List[Sample]
    measured: List[Sample]
    layers: Tuple[str, ...]

    def __str__(self) -> str:
        parts = []
        if self.pictures:
            parts.append(
                "DGL maps of {} validation images at {}".format(
                    len(self.pictures), ", ".join(self.layers)
                )
            )
        if self.measured:
            parts.append(f"GT-known at {self.layers[0]} on {len(self.measured)} images with boxes")
        return (", ".join(parts) + ", every epoch") if parts else "nothing"


def spread(samples: Sequence[Sample], count: int) -> List[Sample]:
    """Choose samples of as many classes as can be, each class as often as the others.

    Args:
        samples: the list to choose from.
        count: how many, 0 or more; all where there are no more.

    Returns:
        the first of every class, then the second of every class, and so on; of a round that does not
        fit, classes at equal distances.
    """
    by_class: Dict[int, List[Sample]] = {}
    for sample in samples:
        by_class.setdefault(sample.class_index, []).append(sample)
    chosen: List[Sample] = []
    turn = 0
    wanted = min(count, len(samples))
    while len(chosen) < wanted:
        found = [by_class[key][turn] for key in sorted(by_class) if len(by_class[key]) > turn]
        take = min(len(found), wanted - len(chosen))
        chosen.extend(found[index * len(found) // take] for index in range(take))
        turn += 1
    return chosen


def measured_by_default(epoch_images: int) -> int:
    """How many images GT-known is measured on where nobody says: 200, fewer where an epoch is short.

    Args:
        epoch_images: images that an epoch trains on.
    """
    return max(_FEWEST_MEASURED, min(MOST_MEASURED, int(_SHARE_OF_EPOCH * epoch_images)))


def choose_watching(
    samples: Sequence[Sample], pictures: int, measured: int, layers: Sequence[str]
) -> Optional[Watching]:
    """Choose what is watched.

    Args:
        samples: the validation list, with boxes where it has any.
        pictures: how many maps to draw; of images with boxes where there are any.
        measured: how many images to measure GT-known on, as far as they have boxes.
        layers: names of layers.

    Returns:
        :class:`Watching`, or ``None`` where nothing is to be watched.
    """
    boxed = [sample for sample in samples if sample.boxes]
    chosen = spread(boxed, measured)
    # Out of those that are measured anyway, as long as there are enough of them.
    pool = next((pool for pool in (chosen, boxed) if len(pool) >= pictures), samples)
    shown = spread(pool, pictures)
    return Watching(shown, chosen, tuple(layers)) if shown or chosen else None


def watch_layers(backbone: Backbone, layers: Sequence[str]) -> Tuple[str, ...]:
    """The names of the layers that ``--watch-layer`` gives.

    Raises:
        UserError: the network has no such layer.
    """
    try:
        return backbone.layer_names(layers)
    except UserError as error:
        raise UserError(str(error).replace("--clayer", "--watch-layer", 1)) from None


def labels_only(dataset: DataSet) -> DataSet:
    """A data set without its boxes and masks: what training and validation see."""
    samples = [
        replace(sample, boxes=(), mask_paths=(), ignore_path=None) for sample in dataset.samples
    ]
    return replace(dataset, samples=samples)
