"""Images with boxes for the tests of attention maps."""

from sample_images import blob_image

CLASSES, SIZE, DRAWN = 4, 64, 3
# On images of 50 x 60; the maps of a network that has learned little mark most of an image.
BOXES = (((2, 2, 57, 47),), ((20, 20, 26, 26),), ((30, 1, 55, 45), (4, 4, 50, 44)))


def rows_of(count, boxes=BOXES):
    """Rows for :func:`tiny.write_list`."""
    return [
        (f"{n}.png", blob_image(n + 1, 50, 60), n % CLASSES, boxes[n % len(boxes)])
        for n in range(count)
    ]
