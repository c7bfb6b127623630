"""The labels of one image: :class:`ImageLabels` with its :class:`LabeledObject` s, and their JSON."""

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from dgl.data.sample import Box

Polygon = Tuple[float, ...]


def box_iou(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two half-open boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return float(width * height / (sum(areas) - width * height))


class LabeledObject(NamedTuple):
    """One object in an image."""

    # `(x0, y0, x1, y1)` floats in pixels of the upright image, half open: a box of the whole
    # image is `(0, 0, width, height)`.
    box: Box
    class_index: int  # into the store's classes
    class_name: str
    # The map's mean and maximum in the object's region, in [0, 1]; `None` where a person drew it.
    score_mean: Optional[float] = None
    score_max: Optional[float] = None
    probability: Optional[float] = None  # of the network for the class of the map, in [0, 1]
    # The estimated probability that the box has an IoU of 0.5 or more with the object, in [0, 1].
    confidence: Optional[float] = None
    # Outlines `(x, y, x, y, ...)` in pixels, or `None` without masks.
    polygons: Optional[Tuple[Polygon, ...]] = None
    features: Optional[Mapping[str, float]] = None  # what the confidence was computed from

    def to_json(self) -> Dict[str, Any]:
        """As JSON values; polygons and features only where there are any."""
        optional = ("polygons", "features")
        values = self._asdict().items()
        return {key: value for key, value in values if value is not None or key not in optional}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "LabeledObject":
        """The object of :meth:`to_json`; ``ValueError`` for values of another type or out of range."""
        try:
            box = [float(side) for side in values["box"]]
            x0, y0, x1, y1 = box
            if not (0 <= x0 < x1 < 1e9 and 0 <= y0 < y1 < 1e9):
                raise ValueError(f"a box {box}, expected 0 <= x0 < x1 and 0 <= y0 < y1")
            class_index = values["class_index"]
            if type(class_index) is not int or class_index < 0:
                raise ValueError(f"a class index {class_index!r}, expected 0 or more")
            polygons = values.get("polygons")
            if polygons is not None:
                polygons = tuple(tuple(map(float, polygon)) for polygon in polygons)
                if any(len(one) < 6 or len(one) % 2 for one in polygons):
                    raise ValueError("a polygon of fewer than three points")
            numbers = {
                key: None if values.get(key) is None else float(values[key])
                for key in ("score_mean", "score_max", "probability", "confidence")
            }
            return cls(
                box=(x0, y0, x1, y1),
                class_index=class_index,
                class_name=str(values["class_name"]),
                polygons=polygons,
                features=values.get("features"),
                **numbers,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not an object ({error!r})") from error

    @property
    def area(self) -> float:
        """float: the box's area in square pixels."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])


class ImageLabels(NamedTuple):
    """One image with its objects, or the reason why it has none."""

    image: str  # the file's path below the store's data folder, with forward slashes
    width: int = 0  # of the upright image in pixels; 0 where it cannot be read
    height: int = 0
    label: Optional[int] = None  # the image's own class, an index into the store's classes
    objects: Tuple[LabeledObject, ...] = ()  # the most certain first
    error: Optional[str] = None  # why the image cannot be read, or `None`
    # `None` as labeled, or a person's decision: `"accepted"`, `"changed"` or `"rejected"`.
    status: Optional[str] = None

    def to_json(self) -> Dict[str, Any]:
        """As JSON values, without the status, which is not the store's."""
        if self.error is not None:
            return {"image": self.image, "error": self.error}
        values = dict(self._asdict(), objects=[found.to_json() for found in self.objects])
        return {key: values[key] for key in ("image", "width", "height", "label", "objects")}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "ImageLabels":
        """The labels of :meth:`to_json`; ``ValueError`` for anything else."""
        try:
            image = values["image"]
            if not isinstance(image, str) or not image:
                raise ValueError(f"an image {image!r}, expected its path")
            if "error" in values:
                return cls(image, error=str(values["error"]))
            width, height, label = values["width"], values["height"], values["label"]
            if not all(type(side) is int and side > 0 for side in (width, height)):
                raise ValueError(f"a size {width!r} x {height!r}, expected pixels")
            if label is not None and (type(label) is not int or label < 0):
                raise ValueError(f"a label {label!r}, expected 0 or more")
            objects: List[LabeledObject] = [LabeledObject.from_json(o) for o in values["objects"]]
            return cls(image, width, height, label, tuple(objects))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not the labels of an image ({error!r})") from error
