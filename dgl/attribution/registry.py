"""The registry of attribution methods, and how a value of ``--method`` is read.

A method is requested by its name. One that uses the loss gradient may have an alpha of its own in place of
``--pa``, so that one run compares several: ``dgl(pa=0.1)``, ``dgl(pa=0.1,exact)``, ``dgl(pa=inf)``.
"""

import itertools
import re
from typing import Any, Callable, Dict, FrozenSet, Iterable, List, NamedTuple, Optional

from dgl.attribution.gradients import EXACT, KERNEL, MAX_ALPHA, check_alpha
from dgl.backbones.registry import Backbone, LocalizeDefaults
from dgl.errors import UserError

CLASS_GRADIENT, LOSS_GRADIENT, HEAD_WEIGHTS = "class_gradient", "loss_gradient", "head_weights"
FOREGROUND = "foreground"
LOCAL_PROBABILITY = "local_probability"
NEEDS = frozenset((CLASS_GRADIENT, LOSS_GRADIENT, HEAD_WEIGHTS, FOREGROUND, LOCAL_PROBABILITY))

ANY, LAST, IMAGE = "any", "last", "image"


class Evidence(NamedTuple):
    """Graph tensors of one layer of a network; ``None`` for parts that the method does not need.

    Attributes:
        activation: (N, H, W, C) float, after the layer's nonlinearity; of either sign in networks that
            others built.
        class_gradient: (N, H, W, C) float, ``G_H = d z_c / d S``.
        loss_gradient: (N, H, W, C) float, ``G_L = d J / d S``.
        logits: (N, classes) float.
        class_index: (N,) int32, the target class of each image.
        head_weights: (C, classes) float, from the pooled features of the last layer to the logits.
        image_size: int, side of the network's square input in pixels.
        foreground: (N, H, W) float in [0, 1], the foreground head's probability.
        local_probability: (N, h, w) float in (0, 1], of the target class around each place of the last
            layer, relative to its maximum; see :mod:`dgl.attribution.normgrad_local`.
    """

    activation: Any = None
    class_gradient: Any = None
    loss_gradient: Any = None
    logits: Any = None
    class_index: Any = None
    head_weights: Any = None
    image_size: Any = None
    foreground: Any = None
    local_probability: Any = None


MapFunction = Callable[[Evidence], Any]


class Method(NamedTuple):
    """An attribution method."""

    name: str  # value of `--method`
    title: str  # name in prose and tables
    reference: str  # authors, venue and year
    needs: FrozenSet[str]  # of NEEDS, the parts of the evidence besides activation and logits
    function: MapFunction  # Evidence -> (N, H, W) float tensor, unnormalized
    # ANY; LAST, for the layer that feeds global average pooling only; or IMAGE, for a map that belongs
    # to no layer
    layers: str = ANY
    order: int = 1000  # position in tables and help; ties are in order of name
    # Fraction of the map's maximum that counts as object, where that of the backbone does not suit
    threshold: Optional[float] = None


METHODS: Dict[str, Method] = {}


def attribution_method(
    name: str, title: str, reference: str, needs: Iterable[str] = (), **more: Any
) -> Callable[[MapFunction], MapFunction]:
    """Decorator that adds a function of :class:`Evidence` to :data:`METHODS`.

    ``METHODS`` stays in the order of tables. Arguments: see :class:`Method`.

    Raises:
        ValueError: the name is taken, or an unknown part in ``needs``.
    """

    def register(function: MapFunction) -> MapFunction:
        if name in METHODS:
            raise ValueError(f"attribution method {name} is registered twice")
        unknown = set(needs) - NEEDS
        if unknown:
            raise ValueError(
                f"attribution method {name} needs {sorted(unknown)}: choose of {sorted(NEEDS)}"
            )
        METHODS[name] = Method(name, title, reference, frozenset(needs), function, **more)
        methods = sorted(METHODS.values(), key=lambda method: (method.order, method.name))
        METHODS.clear()
        METHODS.update((method.name, method) for method in methods)
        return function

    return register


def localize_defaults(backbone: Backbone, method: str) -> LocalizeDefaults:
    """Layer, threshold and normalization with which a method localizes in a photograph.

    The backbone's were selected for maps of the layer that they name. A method with a layer of its own,
    such as CAM, has the usual threshold and min-max normalization, and one may have its own threshold.
    """
    found = parse_method(method).method
    own = LocalizeDefaults(backbone.localize.layer)
    if found.threshold is not None:
        return own._replace(threshold=found.threshold)
    return backbone.localize if found.layers == ANY else own


ALL = "all"

_VARIANT = re.compile(r"([^()]*)\((.*)\)")
_SETTINGS = re.compile(rf"pa=([^,]+)(?:,({KERNEL}|{EXACT}))?")


class Request(NamedTuple):
    """One value of ``--method``."""

    text: str  # the value as written, which names the map
    method: Method
    alpha: Optional[float] = None  # its own alpha, or `None` for that of `--pa`
    semantics: Optional[str] = None  # its own "kernel" or "exact", or `None` for that of the run


def parse_method(text: str) -> Request:
    """Read one value of ``--method``.

    Args:
        text: a name of :data:`METHODS`, or one with settings, ``NAME(pa=ALPHA)``,
            ``NAME(pa=ALPHA,exact)`` or ``NAME(pa=ALPHA,kernel)``.

    Raises:
        UserError: unknown name, settings that are not of this form, alpha out of range, or settings for
            a method without a loss gradient.
    """
    variant = _VARIANT.fullmatch(text)
    name = variant.group(1) if variant else text
    if name not in METHODS:
        raise UserError(f"--method {text}: choose of {', '.join(METHODS)}")
    method = METHODS[name]
    if not variant:
        return Request(text, method)
    if LOSS_GRADIENT not in method.needs:
        takers = [other for other in METHODS if LOSS_GRADIENT in METHODS[other].needs]
        raise UserError(
            f"--method {text}: {name} has no loss gradient; only {' and '.join(takers)} take settings"
        )
    settings = _SETTINGS.fullmatch(variant.group(2))
    try:
        if settings is None:
            raise ValueError
        alpha = float(settings.group(1))
        check_alpha(alpha)
    except ValueError:
        raise UserError(
            f"--method {text}: expected {name}(pa=ALPHA) or {name}(pa=ALPHA,exact), "
            f"ALPHA a positive number up to {MAX_ALPHA:g}, or inf"
        ) from None
    return Request(text, method, alpha, settings.group(2))


def check_methods(methods: Iterable[str]) -> None:
    """Raise :class:`UserError` for a method that :func:`parse_method` does not know."""
    for method in methods:
        parse_method(method)


def expand_methods(methods: Iterable[str], has_foreground: bool = False) -> List[str]:
    """``all`` replaced by every registered name; each method once, in the order given and unchecked.

    ``all`` leaves out methods that need a foreground head where the network has none.
    """
    every = [name for name in METHODS if has_foreground or FOREGROUND not in METHODS[name].needs]
    given = (every if method == ALL else [method] for method in methods)
    return list(dict.fromkeys(itertools.chain.from_iterable(given)))
