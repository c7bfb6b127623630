"""Formulas of the methods' maps in NumPy, on an activation and its gradients."""

import numpy as np


def formulas(activation, of_class, of_loss):
    """Every map, (N, H, W), from an activation and its gradients, (N, H, W, C), in float64."""

    def unit(a):
        return a / np.sqrt(np.maximum((a**2).sum((1, 2, 3), keepdims=True), 1e-12))

    means = of_class.mean((1, 2))
    positive = np.maximum(of_class, 0)
    total = np.maximum(activation, 0).sum((1, 2), keepdims=True)
    weights = (positive / (2 + total * positive)).sum((1, 2))
    products, sizes = (of_class * activation).sum((1, 2)), abs(activation).sum((1, 2))
    x_weights = np.divide(products, sizes, out=np.zeros_like(products), where=sizes > 0)
    norms = [np.sqrt((part**2).sum(3)) for part in (activation, of_class)]
    eigen = []
    for one in activation:
        u, values, _ = np.linalg.svd(one.reshape(-1, one.shape[-1]), full_matrices=False)
        projection = u[:, 0] * values[0]
        eigen.append((projection * np.sign(projection.sum())).reshape(one.shape[:2]))
    return {
        "dgl": (of_class * (unit(activation) - unit(of_loss))).sum(3),
        "gradcam": np.maximum(np.einsum("nhwc,nc->nhw", activation, means), 0),
        "gradcam++": np.maximum(np.einsum("nhwc,nc->nhw", activation, weights), 0),
        "xgradcam": np.maximum(np.einsum("nhwc,nc->nhw", activation, x_weights), 0),
        "layercam": np.maximum((positive * activation).sum(3), 0),
        "hirescam": (of_class * activation).sum(3),
        "eigencam": np.stack(eigen),
        "normgrad": np.sqrt(norms[0] * norms[1]),
    }
