"""Random maps with boxes, and hits computed as the rules read: every threshold by itself."""

import cv2
import numpy as np

SIZE = 48


def random_images(count, seed=0):
    """Maps of four bumps, every third with plateaus, and one to three boxes around the peak of each."""
    rng = np.random.RandomState(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    maps, boxes = [], []
    for index in range(count):
        total = np.zeros((SIZE, SIZE))
        for _ in range(4):
            center, width = rng.uniform(4, 44, size=2), rng.uniform(2, 8)
            bump = np.exp(-((x - center[0]) ** 2 + (y - center[1]) ** 2) / (2 * width**2))
            total += rng.uniform(0.2, 1) * bump
        total /= total.max()
        # With plateaus most levels share their mask with others.
        maps.append((np.floor(total * 5) / 5 if index % 3 == 0 else total).astype(np.float32))
        peak = np.array(np.unravel_index(total.argmax(), total.shape))[::-1]
        reach = rng.randint(3, 12, size=(rng.randint(1, 4), 4))
        corners = np.concatenate([peak - reach[:, :2], peak + reach[:, 2:]], axis=1)
        boxes.append(np.clip(corners, 0, SIZE - 1))
    return maps, boxes


def overlap(box, true):
    """IoU of two boxes, both ends of a box belonging to it."""
    width = min(box[2], true[2]) - max(box[0], true[0]) + 1.0
    height = min(box[3], true[3]) - max(box[1], true[1]) + 1.0
    shared = max(width, 0.0) * max(height, 0.0)
    areas = [(x1 - x0 + 1.0) * (y1 - y0 + 1.0) for x0, y0, x1, y1 in (box, true)]
    return shared / (areas[0] + areas[1] - shared)


def foreground(score_map, threshold):
    image = (255 * score_map).astype(np.uint8)
    return np.where(image > int(threshold * int(image.max())), 255, 0).astype(np.uint8)


def trace(mask):
    """Boxes of all contours, the corner pixel's without one, and the index of the largest contour."""
    height, width = mask.shape
    contours = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]
    areas = [cv2.contourArea(contour) for contour in contours] or [0]
    corners = [cv2.boundingRect(contour) for contour in contours] or [(0, 0, 0, 0)]
    boxes = [(x, y, min(x + w, width - 1), min(y + h, height - 1)) for x, y, w, h in corners]
    return boxes, areas.index(max(areas))


def straight_hits(score_map, thresholds, true_boxes, ious=(0.3, 0.5, 0.7), largest_iou=0.5):
    """Whether a box is right at each threshold: bool (T,) for the largest contour, (IoUs, T) for any."""
    true_boxes = np.asarray(true_boxes, dtype=float).tolist()
    seen, largest, every = {}, [], []
    for threshold in thresholds:
        mask = foreground(score_map, threshold)
        key = mask.tobytes()
        if key not in seen:
            boxes, first = trace(mask)
            best = [max(overlap(box, true) for true in true_boxes) for box in boxes]
            seen[key] = best[first] >= largest_iou, [max(best) >= iou for iou in ious]
        largest.append(seen[key][0])
        every.append(seen[key][1])
    return np.array(largest), np.array(every).T
