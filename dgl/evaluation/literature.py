"""Published localization results, to stand beside own ones and never among them.

Percent, by the fixed-threshold protocol, of full-size networks on the whole of ILSVRC or CUB-200-2011.
"""

from typing import NamedTuple, Optional

SOURCE = (
    "Secondary source: a community list of results, not the papers themselves. The DGL paper's own "
    "table is not at hand, so no figure of DGL is quoted."
)


class PublishedResult(NamedTuple):
    """One published result.

    Attributes:
        method: str, as its paper calls it.
        backbone: str.
        data_set: ``"CUB"`` or ``"ILSVRC"``.
        top1_loc: float, Top-1 localization in percent.
        gt_known: float, GT-known localization in percent, or ``None`` where none is given.
    """

    method: str
    backbone: str
    data_set: str
    top1_loc: float
    gt_known: Optional[float]


LITERATURE = (
    PublishedResult("CAM", "VGG16", "CUB", 44.2, 56.0),
    PublishedResult("ADL", "VGG16", "CUB", 52.4, 75.4),
    PublishedResult("SPG", "InceptionV3", "CUB", 46.6, None),
    PublishedResult("ADL", "InceptionV3", "CUB", 53.0, None),
    PublishedResult("CAM", "VGG16", "ILSVRC", 42.8, 59.0),
    PublishedResult("ADL", "VGG16", "ILSVRC", 44.9, None),
    PublishedResult("CAM", "InceptionV3", "ILSVRC", 46.3, 62.7),
    PublishedResult("SPG", "InceptionV3", "ILSVRC", 48.6, 64.7),
    PublishedResult("ADL", "InceptionV3", "ILSVRC", 48.7, None),
    PublishedResult("I2C", "InceptionV3", "ILSVRC", 53.1, 68.5),
)
