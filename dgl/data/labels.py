"""Match the labels of a data set with the outputs of a network: the same classes, in the same order.

Where they do not, every figure would be of other classes, so names, numbers and the network's own first
predictions are compared, and what does not fit is refused.
"""

import dataclasses
import logging
from typing import List, Optional, Sequence, Tuple

import numpy as np

from dgl.data.class_names import ClassNames, list_difference
from dgl.data.sample import DataSet
from dgl.errors import UserError, quote
from dgl.utils.types import ArrayLike

# An offset is obvious where the predictions agree with it at least so often, with labels as they are
# hardly ever, and over several classes: one class may well be taken for the next.
_LEAST_IMAGES, _LEAST_CLASSES = 16, 4
_OFTEN, _SELDOM = 0.4, 0.1
_LOOKED_AT = 512  # images

_logger = logging.getLogger(__name__)


def fit_labels(dataset: DataSet, names: ClassNames, offset: Optional[int] = None) -> DataSet:
    """The data set with labels that are indices of the network's outputs.

    With names on both sides labels follow the names, whatever the order of either list. Else the numbers
    of classes are compared.

    Args:
        dataset: its labels count its own classes.
        names: of the network's outputs, whose number is ``names.classes``; possibly empty.
        offset: what to add to each label, from ``--class-offset``; ``None`` compares.

    Raises:
        UserError: labels beyond the outputs, another number of classes, or some names that the network
            does not have while others are at another place.
    """
    outputs = names.classes
    if offset is not None:
        return _shifted(dataset, outputs, offset)
    if dataset.class_names and names:
        order = _order_of(dataset, names)
        if order is not None:
            return _reordered(dataset, names, order)
    numbers = f"{dataset.name}: {dataset.classes} classes, but the checkpoint has {outputs} outputs"
    if dataset.classes > outputs:
        is_one_more = dataset.classes == outputs + 1
        hint = "; --class-offset -1 if labels count from 1" if is_one_more else ""
        raise UserError(numbers + hint)
    if dataset.classes < outputs:
        if dataset.class_names:
            raise UserError(
                f"{numbers}; expected as many, or --class-offset 1 where the first output is a background "
                "class, or --class-offset 0 where labels are outputs as they are"
            )
        # A list without names may be a part of a larger one.
        _logger.warning(
            f"{numbers}; labels are taken as they are (--class-offset 1 where the first output is a "
            "background class)"
        )
    return dataset


def _shifted(dataset: DataSet, outputs: int, offset: int) -> DataSet:
    labels = [sample.class_index + offset for sample in dataset.samples]
    if labels and not 0 <= min(labels) <= max(labels) < outputs:
        raise UserError(
            f"--class-offset {offset}: labels of {dataset.name} become {min(labels)} to {max(labels)}; "
            f"expected 0 to {outputs - 1}, the checkpoint's outputs"
        )
    own = dataset.class_names
    if own is not None and offset:
        own = (("background",) * offset + own if offset > 0 else own[-offset:])[:outputs]
    return _relabeled(dataset, labels, own, outputs)


def _relabeled(
    dataset: DataSet, labels: Sequence[int], names: Optional[Tuple[str, ...]], classes: int
) -> DataSet:
    pairs = zip(dataset.samples, labels)
    samples = [dataclasses.replace(sample, class_index=label) for sample, label in pairs]
    return dataclasses.replace(dataset, samples=samples, class_names=names, classes=classes)


def _order_of(dataset: DataSet, names: ClassNames) -> Optional[List[int]]:
    """The output of each class of a data set by name; ``None`` where names tell nothing."""
    own = ClassNames.of(dataset.class_names)
    order = [names.place_of(name, index) for index, name in enumerate(own)]
    missing = [index for index, place in enumerate(order) if place is None]
    moved = [index for index, place in enumerate(order) if place not in (None, index)]
    if not missing:
        return [place for place in order if place is not None]
    if moved:
        raise UserError(
            f"{dataset.name}: its classes are not those of the checkpoint: "
            f"{list_difference(names, own, 'the checkpoint', 'the data')}; expected the same names, or "
            "--class-offset 0 where labels are outputs as they are"
        )
    if dataset.classes == names.classes and len(missing) < len(own):
        _logger.warning(
            f"{dataset.name}: {len(missing)} of its classes have other names in the checkpoint, such as "
            f"{quote(names.name(missing[0]))} there and {quote(own[missing[0]])} here; they are taken for "
            "the same"
        )
    return None


def _reordered(dataset: DataSet, names: ClassNames, order: Sequence[int]) -> DataSet:
    if list(order) == list(range(len(order))):
        return dataset
    moved = next(index for index, place in enumerate(order) if place != index)
    _logger.warning(
        f"{dataset.name}: classes are matched by name, because their order is not the checkpoint's: "
        f"{quote(names.name(order[moved]))} is {order[moved]} there and {moved} in the data"
    )
    labels = [order[sample.class_index] for sample in dataset.samples]
    return _relabeled(dataset, labels, names.names, names.classes)


class OffsetCheck:
    """Compares labels of the data set ``name`` with the predictions of the first images."""

    def __init__(self, name: str):
        self._name = name
        self._labels: List[int] = []
        self._predicted: List[int] = []

    def add(self, labels: ArrayLike, predicted: ArrayLike) -> None:
        """Take the true and the most probable classes, ints (N,) each, of some more images.

        Raises:
            UserError: predictions agree with the labels plus or minus 1, and not with the labels.
        """
        if len(self._labels) >= _LOOKED_AT:
            return
        self._labels.extend(np.asarray(labels).tolist())
        self._predicted.extend(np.asarray(predicted).tolist())
        difference = np.subtract(self._predicted, self._labels)
        if len(difference) < _LEAST_IMAGES or (difference == 0).mean() > _SELDOM:
            return
        for offset in (1, -1):
            agreeing = difference == offset
            classes = len(set(np.asarray(self._labels)[agreeing].tolist()))
            if classes >= _LEAST_CLASSES and agreeing.mean() >= _OFTEN:
                raise UserError(
                    f"{self._name}: of the first {len(difference)} images the predicted class is the label "
                    f"on {(difference == 0).sum()} and the label {offset:+d} on {agreeing.sum()}; expected "
                    f"--class-offset {offset}, or 0 for labels as they are"
                )
