"""Formulas of the methods' maps in NumPy; without this project, for programs that compute eagerly."""

import numpy as np


def softmax(logits):
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def unit(tensor):
    """Divided by its norm over H, W and C, per image; 1e-12 bounds the squared norm from below."""
    squared = (tensor**2).sum((1, 2, 3), keepdims=True)
    return tensor / np.sqrt(np.maximum(squared, 1e-12))


def grad_cam_plus_plus(activation, gradient):
    """The paper's closed form, a position counted as zero where the denominator is."""
    total = np.maximum(activation, 0).sum((1, 2), keepdims=True)
    denominator = 2 * gradient**2 + total * gradient**3
    weight = np.zeros_like(gradient)
    np.divide(gradient**2, denominator, out=weight, where=denominator != 0)
    weights = (weight * np.maximum(gradient, 0)).sum((1, 2), keepdims=True)
    return np.maximum((weights * activation).sum(3), 0)


def eigen_cam(activation):
    """Each image's (H * W, C) matrix on its first right singular vector, turned to a positive sum."""
    maps = []
    for image in np.asarray(activation, "float64"):
        matrix = image.reshape(-1, image.shape[2])
        projection = matrix @ np.linalg.svd(matrix, full_matrices=False)[2][0]
        maps.append((projection * np.sign(projection.sum())).reshape(image.shape[:2]))
    return np.stack(maps)


def formulas(activation, of_class, of_loss):
    """Every map, (N, H, W), from an activation and its gradients, (N, H, W, C), in float64."""
    product, sizes = of_class * activation, abs(activation).sum((1, 2))
    x_weights = np.divide(product.sum((1, 2)), sizes, out=np.zeros_like(sizes), where=sizes > 0)
    norms = [np.linalg.norm(part, axis=3) for part in (activation, of_class)]
    return {
        "dgl": (of_class * (unit(activation) - unit(of_loss))).sum(3),
        "gradcam": np.maximum((of_class.mean((1, 2), keepdims=True) * activation).sum(3), 0),
        "gradcam++": grad_cam_plus_plus(activation, of_class),
        "xgradcam": np.maximum(np.einsum("nhwc,nc->nhw", activation, x_weights), 0),
        "layercam": np.maximum((np.maximum(of_class, 0) * activation).sum(3), 0),
        "hirescam": product.sum(3),
        "eigencam": eigen_cam(activation),
        "normgrad": np.sqrt(norms[0] * norms[1]),
    }
