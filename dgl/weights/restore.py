"""Fill a network from a checkpoint: find the file, choose build options, compare, read the weights."""

import functools
import os
from importlib.util import find_spec
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple, cast

import numpy as np

from dgl.backbones import BuildOptions
from dgl.backbones.network import build_network
from dgl.backbones.published import OWN_STRIDES, Shapes
from dgl.backbones.registry import Backbone, WeightsPackage
from dgl.data.layouts.label_list import PUBLISHED_CLASSES
from dgl.errors import UserError
from dgl.tf_compat import lazy_tf as tf
from dgl.utils.files import cache_folder
from dgl.weights.checkpoint import Checkpoint, is_checkpoint, open_checkpoint, read_weights
from dgl.weights.identify import recognize, under_our_names
from dgl.weights.model_card import ModelCard
from dgl.weights.sources import PRETRAINED_FOLDER, converted_name, how_to_get

_BESIDE_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_NAMED = 4  # how many disagreeing variables an error names


def find_weights(backbone: Backbone, load: str) -> str:
    """Turn ``--load NAME_OR_PATH`` into a path.

    A short name (``vgg``, ``resnet50``, ...) stands for the ImageNet file in ``pretrain_model/`` of the
    working folder, else beside the package, else in the cache folder, which :mod:`dgl.weights.fetch`
    fills: in each, under the name that :mod:`dgl.weights.convert` gives, then under its published one.
    The name of a file there will do too. A path that leads to a checkpoint itself comes first.

    Raises:
        UserError: a short name whose file is absent; the message says what to fetch and from where.
    """
    file_name = backbone.pretrained.get(load)
    if is_checkpoint(load):
        return load
    names = (converted_name(file_name), file_name) if file_name else (load,)
    # The cache folder, which takes time to find out, comes last.
    for root in (os.getcwd, lambda: _BESIDE_PACKAGE, cache_folder):
        for name in names:
            path = os.path.join(root(), PRETRAINED_FOLDER, name)
            if is_checkpoint(path):
                return path
    if file_name is None:
        return load
    if backbone.package is not None:
        return _installed_weights(backbone.package, load)
    folder = os.path.join(os.getcwd(), PRETRAINED_FOLDER, "")
    raise UserError(f"--load {load}: {how_to_get(backbone.mode, file_name, folder)}")


def _installed_weights(package: WeightsPackage, load: str) -> str:
    """The path of the weights in a package, which has to be installed."""
    spec = find_spec(package.module)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        path = os.path.join(folder, *package.file.split("/"))
        if os.path.isfile(path):
            return path
    raise UserError(f"--load {load}: its weights are a package; {package.how_to_install()}")


def open_weights(backbone: Backbone, load: str) -> Checkpoint:
    """Open what ``--load NAME_OR_PATH`` names, its variables under this project's names.

    Raises:
        UserError: see :func:`find_weights` and :func:`~dgl.weights.checkpoint.open_checkpoint`.
    """
    return under_our_names(open_checkpoint(find_weights(backbone, load)))


def conversion_hint(backbone: Backbone, checkpoint: Checkpoint) -> str:
    """How to make a file for ``backbone`` of another publisher's weights; ``""`` for anything else."""
    recognized = recognize(checkpoint.shapes)
    if recognized is None or backbone.mode not in recognized.modes:
        return ""
    return f"; `dgl convert {checkpoint.path}` makes a file for --load of it"


def choose_head(
    backbone: Backbone, checkpoint: Checkpoint, data_set: Optional[str] = None
) -> Tuple[str, int]:
    """The classification layer of a checkpoint: (scope, number of classes).

    With several heads, the one named for ``data_set`` is taken, else the first by name.

    Raises:
        UserError: there is none.
    """
    heads = backbone.find_heads(checkpoint.shapes)
    if not heads:
        wanted = backbone.head_pattern.replace("[^/]*", "*").replace("[^/]+", "*").strip("()")
        raise UserError(
            f"{checkpoint.path}: holds no classification layer of {backbone.mode} (a variable like "
            f"{wanted}); it begins with {checkpoint.first_names}"
        )
    if data_set in PUBLISHED_CLASSES:  # by which Inception's heads are named, whatever their width
        head = backbone.head_name(data_set, PUBLISHED_CLASSES[data_set])
        if head in heads:
            return head, heads[head]
    return next(iter(heads.items()))


def options_from(
    backbone: Backbone,
    checkpoint: Checkpoint,
    data_set: Optional[str] = None,
    width: Optional[float] = None,
    norm: Optional[str] = None,
    card: Optional[ModelCard] = None,
) -> BuildOptions:
    """Build options that a checkpoint asks for.

    Args:
        backbone, checkpoint: whose weights they are.
        data_set: decides between several heads.
        width, norm: what the caller insists on; ``None`` takes the checkpoint's. The width is rounded
            to what a checkpoint can tell, see :meth:`~dgl.backbones.Backbone.round_width`.
        card: the checkpoint's; it knows the strides, which are not seen from the variables.

    Raises:
        UserError: the checkpoint is another backbone's, or claims an absurd width.
    """
    if backbone.stem not in checkpoint.shapes:
        raise UserError(
            f"{checkpoint.path}: not a checkpoint of --mode {backbone.mode}: it lacks {backbone.stem}; it "
            f"begins with {checkpoint.first_names}{conversion_hint(backbone, checkpoint)}"
        )
    head, classes = choose_head(backbone, checkpoint, data_set)
    if width is None:
        width = cast(float, backbone.find_width(checkpoint.shapes, checkpoint.path))
    else:
        width = backbone.round_width(width)
    return BuildOptions(
        classes=classes,
        head=head,
        width=width,
        norm=backbone.find_norm(checkpoint.shapes) if norm is None else norm,
        last_stride=card.last_stride if card else 1,
        strides=backbone.check_strides(
            card.strides if card else OWN_STRIDES, f"{checkpoint.path}: strides"
        ),
    )


def network_variables(
    backbone: Backbone, options: BuildOptions, trained: bool = False
) -> Dict[str, Tuple[int, ...]]:
    """Names and shapes of a network's variables in their order, from a graph that is thrown away.

    ``trained`` ones are those that an optimizer changes, BatchNorm's moving averages left out.
    """
    return dict(_all_and_trained(backbone, options)[trained])


@functools.lru_cache(maxsize=16)
def _all_and_trained(backbone: Backbone, options: BuildOptions) -> Tuple[Shapes, Shapes]:
    # A run asks several times, and a deep network takes seconds to build.
    with tf.Graph().as_default():
        image = tf.placeholder(
            tf.float32, [None, 64, 64, 3]
        )  # variables are the same for every size
        build_network(backbone, image, options)
        return _shapes_of(tf.global_variables()), _shapes_of(tf.trainable_variables())


def _shapes_of(variables: Iterable[Any]) -> Dict[str, Tuple[int, ...]]:
    return {v.op.name: tuple(v.shape.as_list()) for v in variables}


def disagreements(wanted: Shapes, checkpoint: Checkpoint) -> Tuple[List[str], List[str]]:
    """The variables of a network, name -> shape, that the checkpoint cannot fill.

    Returns:
        (missing, mismatched): "name (absent)" and "name (network [..], checkpoint [..])" texts.
    """
    missing, mismatched = [], []
    for name, shape in wanted.items():
        stored = checkpoint.shapes.get(name)
        if stored is None:
            missing.append(f"{name} (absent)")
        elif stored != shape:
            mismatched.append(f"{name} (network {list(shape)}, checkpoint {list(stored)})")
    return missing, mismatched


def first_of(texts: Sequence[str], count: int = _NAMED) -> str:
    """The first ``count`` of a list of texts in one line, and how many more there are."""
    more = len(texts) - count
    return ", ".join(texts[:count]) + (f" and {more} more" if more > 0 else "")


def check_fit(wanted: Shapes, checkpoint: Checkpoint, network: str = "this network") -> None:
    """Raise :class:`UserError` that names the first variables of a network which disagree, if any do."""
    missing, mismatched = disagreements(wanted, checkpoint)
    if missing or mismatched:
        raise UserError(
            f"{checkpoint.path}: does not fit {network}: {first_of(missing + mismatched)}"
        )


def read_all(variables: Iterable[Any], checkpoint: Checkpoint) -> Dict[str, np.ndarray]:
    """The weights of every ``tf.Variable`` from the checkpoint; all of them must match.

    Returns:
        ordered variable name -> float32 array.

    Raises:
        UserError: naming the first variables that disagree, or one that is not finite numbers.
    """
    wanted = _shapes_of(variables)
    check_fit(wanted, checkpoint)
    return {name: read_weights(checkpoint, name) for name in wanted}
