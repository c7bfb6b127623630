"""The registry of methods, and what ``--method`` may say.

A method goes by its name. One that takes the loss gradient may carry an alpha of its own in place of
``--pa``'s, so that several compare in one run: ``dgl(pa=0.1)``, ``dgl(pa=0.1,exact)``, ``dgl(pa=inf)``.
"""

import re
from collections import OrderedDict
from typing import Iterable, List, NamedTuple, Optional

from dgl.attribution.ablations import DGL_NO_CLASS, DGL_NO_LOSS, DGL_PCS
from dgl.attribution.cam import CAM
from dgl.attribution.center import CENTER
from dgl.attribution.dual_gradients import DGL
from dgl.attribution.eigencam import EIGENCAM
from dgl.attribution.evidence import LOSS_GRADIENT, Method
from dgl.attribution.gradcam import GRADCAM
from dgl.attribution.gradcam_plus_plus import GRADCAM_PLUS_PLUS
from dgl.attribution.gradients import EXACT, KERNEL, MAX_ALPHA, check_alpha
from dgl.attribution.hirescam import HIRESCAM
from dgl.attribution.layercam import LAYERCAM
from dgl.errors import UserError

METHODS = OrderedDict(
    (method.name, method)
    for method in (
        CAM,
        GRADCAM,
        GRADCAM_PLUS_PLUS,
        LAYERCAM,
        HIRESCAM,
        EIGENCAM,
        DGL,
        DGL_PCS,
        DGL_NO_LOSS,
        DGL_NO_CLASS,
        CENTER,
    )
)

ALL = "all"

_VARIANT = re.compile(r"([^()]*)\((.*)\)")
_SETTINGS = re.compile(r"pa=([^,]+)(?:,({}|{}))?".format(KERNEL, EXACT))


class Request(NamedTuple):
    """One value of ``--method``.

    Attributes:
        text: as it was written; the maps go by it.
        method: :class:`~dgl.attribution.evidence.Method`.
        alpha: its own alpha, or ``None`` for ``--pa``'s.
        semantics: its own ``"kernel"`` or ``"exact"``, or ``None`` for what holds for all.
    """

    text: str
    method: Method
    alpha: Optional[float] = None
    semantics: Optional[str] = None


def parse_method(text: str) -> Request:
    """Read one value of ``--method``.

    Args:
        text: a name of :data:`METHODS`, or one with settings, ``NAME(pa=ALPHA)``,
            ``NAME(pa=ALPHA,exact)`` or ``NAME(pa=ALPHA,kernel)``.

    Returns:
        :class:`Request`.

    Raises:
        UserError: unknown name, settings that are not of this form, alpha out of range, or settings for
            a method without a loss gradient.
    """
    variant = _VARIANT.fullmatch(text)
    name = variant.group(1) if variant else text
    if name not in METHODS:
        raise UserError("--method {}: choose of {}".format(text, ", ".join(METHODS)))
    method = METHODS[name]
    if not variant:
        return Request(text, method)
    if LOSS_GRADIENT not in method.needs:
        takers = [other for other in METHODS if LOSS_GRADIENT in METHODS[other].needs]
        raise UserError(
            "--method {}: {} has no loss gradient; only {} take settings".format(
                text, name, " and ".join(takers)
            )
        )
    settings = _SETTINGS.fullmatch(variant.group(2))
    refusal = UserError(
        "--method {0}: expected {1}(pa=ALPHA) or {1}(pa=ALPHA,exact), "
        "ALPHA a positive number up to {2:g}, or inf".format(text, name, MAX_ALPHA)
    )
    if settings is None:
        raise refusal
    try:
        alpha = float(settings.group(1))
        check_alpha(alpha)
    except ValueError:
        raise refusal from None
    return Request(text, method, alpha, settings.group(2))


def check_methods(methods: Iterable[str]) -> None:
    """Raise :class:`UserError` for a method that :func:`parse_method` does not know."""
    for method in methods:
        parse_method(method)


def expand_methods(methods: Iterable[str]) -> List[str]:
    """``all`` replaced by every registered name; each method once, in the order given.

    Args:
        methods: values of ``--method``, not checked here.

    Returns:
        list of str.
    """
    names: List[str] = []
    for method in methods:
        names.extend(METHODS if method == ALL else [method])
    return list(OrderedDict.fromkeys(names))
