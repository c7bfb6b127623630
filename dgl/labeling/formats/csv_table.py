"""Format ``csv``: ``objects.csv``, one line per object, boxes half open in pixels."""

import csv

from dgl.labeling.formats.registry import Export, open_text, register_format

COLUMNS = (
    "image", "width", "height", "status", "class_index", "class", "x0", "y0", "x1", "y1", "score_mean",
    "score_max", "probability", "confidence",
)  # fmt: skip


@register_format("csv")
def write_csv(export: Export) -> None:
    """Write ``objects.csv``; an image that a person found empty has a line without an object."""
    with open_text(export.folder, "objects.csv") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for _, labels in export.images():
            image = [labels.image, labels.width, labels.height, labels.status]
            for found in labels.objects:
                scores = [found.score_mean, found.score_max, found.probability, found.confidence]
                writer.writerow(image + [found.class_index, found.class_name, *found.box, *scores])
            if not labels.objects:
                writer.writerow(image + [None] * (len(COLUMNS) - len(image)))
