"""Paths and texts of the data set: the published code's label lists, and XML as ILSVRC ships it."""

from typing import Sequence

from dgl.data.photos5.rule import CLASS_NAMES, class_index_of, largest_box, split_of

_XML = """<annotation>
\t<folder>{split}</folder>
\t<filename>{image_id}</filename>
\t<size><width>{width}</width><height>{height}</height><depth>3</depth></size>
{objects}</annotation>
"""

_OBJECT = """\t<object>
\t\t<name>{name}</name>
\t\t<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>
\t</object>
"""


def relative_path(image_id: str) -> str:
    """Path of a picture or an annotation below its split's folder, without extension.

    Training pictures lie in a folder a class, validation pictures in one.
    """
    if split_of(image_id) == "val":
        return image_id
    return "{}/{}".format(CLASS_NAMES[class_index_of(image_id)], image_id)


def list_line(image_id: str, boxes: Sequence[Sequence[int]]) -> str:
    """One line of a label list, ``path class x0 y0 x1 y1``, with the largest of the boxes."""
    return "{}.jpg {} {} {} {} {}".format(
        relative_path(image_id), class_index_of(image_id), *largest_box(boxes)
    )


def annotation_xml(image_id: str, size: Sequence[int], boxes: Sequence[Sequence[int]]) -> str:
    """The text of a picture's annotation.

    Args:
        image_id: str.
        size: ``(width, height)`` ints.
        boxes: sequence of ``(x0, y0, x1, y1)`` ints.

    Returns:
        str, an XML document.
    """
    name = CLASS_NAMES[class_index_of(image_id)]
    return _XML.format(
        split=split_of(image_id),
        image_id=image_id,
        width=size[0],
        height=size[1],
        objects="".join(_OBJECT.format(*box, name=name) for box in boxes),
    )
