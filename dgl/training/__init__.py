"""Train a classifier from image labels: recipe, graph, trainer, callbacks, checkpoints."""
