"""Maps and metadata as wsolevaluation has them, and its box metrics computed as its rules read."""

import os

import cv2
import numpy as np

SIDE = 224


def smooth_map(rng):
    """A map of a few bumps, float32 in [0, 1]."""
    small = rng.rand(rng.choice([4, 7, 14]))[:, None] * rng.rand(1, rng.choice([4, 7, 14]))
    small = small + 0.5 * rng.rand(*small.shape)
    score_map = cv2.resize(small.astype("float32"), (SIDE, SIDE))
    low, high = score_map.min(), score_map.max()
    return np.clip((score_map - low) / (high - low), 0, 1).astype("float32")


def write_case(folder, count, seed=0, masks=False):
    """Write ``maps/`` and ``metadata/`` (and ``masks/``) of random images.

    Returns:
        list of (id, map, boxes in the image's pixels, (width, height)).
    """
    rng = np.random.RandomState(seed)
    images, localization = [], []
    for index in range(count):
        key = f"val{index % 3}/image_{index:04d}.jpg"
        width, height = int(rng.randint(60, 700)), int(rng.randint(60, 700))
        boxes = []
        for _ in range(rng.randint(1, 5)):
            x0, x1 = np.sort(rng.randint(0, width, 2)).tolist()
            y0, y1 = np.sort(rng.randint(0, height, 2)).tolist()
            boxes.append((x0, y0, x1, y1))
        score_map = smooth_map(rng).astype([np.float16, np.float32, np.float64][index % 3])
        path = os.path.join(str(folder), "maps", key + ".npy")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        np.save(path, score_map)
        images.append((key, score_map, boxes, (width, height)))
        if masks:
            localization.append(_write_mask(folder, key, boxes, width, height))
        else:
            localization += [",".join([key] + [str(v) for v in box]) for box in boxes]
    files = {
        "image_ids": [key for key, _, _, _ in images],
        "class_labels": [key + ",0" for key, _, _, _ in images],
        "image_sizes": ["{},{},{}".format(key, *size) for key, _, _, size in images],
        "localization": localization,
    }
    for name, lines in files.items():
        path = os.path.join(str(folder), "metadata", name + ".txt")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as stream:
            stream.write("\n".join(lines) + "\n")
    return images


def _write_mask(folder, key, boxes, width, height):
    mask = np.zeros((height, width), np.uint8)
    for x0, y0, x1, y1 in boxes:
        mask[y0 : y1 + 1, x0 : x1 + 1] = 255
    name = key.replace("/", "_") + ".png"
    os.makedirs(os.path.join(str(folder), "masks"), exist_ok=True)
    cv2.imwrite(os.path.join(str(folder), "masks", name), mask)
    return f"{key},{name},"


def straight_figures(images, step):
    """MaxBoxAcc, its curve and MaxBoxAccV2, in percent, by a loop over images and thresholds."""
    thresholds = np.arange(0, 1, step)
    right = np.zeros(len(thresholds))
    right_v2 = {30: np.zeros(len(thresholds)), 50: right * 0, 70: right * 0}
    for _, score_map, boxes, (width, height) in images:
        truth = [
            (
                int(x0 * 224 / width),
                int(y0 * 224 / height),
                int(x1 * 224 / width),
                int(y1 * 224 / height),
            )
            for x0, y0, x1, y1 in boxes
        ]
        image = (score_map * 255).astype(np.uint8)
        for index, threshold in enumerate(thresholds):
            mask = (image > int(threshold * int(image.max()))).astype(np.uint8)
            contours = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]
            found = [(0, 0, 0, 0)]
            if len(contours):
                contours = [max(contours, key=cv2.contourArea)] + list(contours)
                corners = [cv2.boundingRect(contour) for contour in contours]
                found = [(x, y, min(x + w, 223), min(y + h, 223)) for x, y, w, h in corners]
            overlaps = [max(_overlap(box, other) for other in truth) for box in found]
            right[index] += overlaps[0] >= 0.5
            for iou in right_v2:
                right_v2[iou][index] += max(overlaps) >= iou / 100.0
    curve = right * 100.0 / len(images)
    per_iou = {str(iou): counts.max() * 100.0 / len(images) for iou, counts in right_v2.items()}
    return curve, per_iou, thresholds


def _overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    shared = max(0, width) * max(0, height)
    areas = [(x1 - x0 + 1) * (y1 - y0 + 1) for x0, y0, x1, y1 in (a, b)]
    return shared / float(sum(areas) - shared)
