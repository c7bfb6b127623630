"""The training graph: loss, weight decay, errors and optimizer, as a tensorpack model description."""

from dataclasses import replace
from typing import Any, Dict, List

from dgl.backbones import get_backbone
from dgl.backbones.network import build_network
from dgl.tf_compat import tf
from dgl.training.freeze import freeze_below
from dgl.training.recipe import MOMENTUM, Recipe
from dgl.utils.types import Tensor

from tensorpack.graph_builder import ModelDesc  # isort: skip
from tensorpack.models import l2_regularizer, regularize_cost  # isort: skip
from tensorpack.tfutils import gradproc, optimizer  # isort: skip
from tensorpack.tfutils.summary import add_moving_summary  # isort: skip
from tensorpack.tfutils.tower import get_current_tower_context  # isort: skip

WRONG = "wrong-top{}"


class ClassifierModel(ModelDesc):
    """A backbone trained from image labels by a recipe."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        # Whether a tower trains -> the tensor of the recipe's frozen layer in it.
        self.frozen_layers: Dict[bool, Tensor] = {}

    def inputs(self) -> List[Any]:
        """uint8 BGR images (N, S, S, 3) and int32 labels (N,)."""
        size = self.recipe.image_size
        return [
            tf.TensorSpec((None, size, size, 3), tf.uint8, "input"),
            tf.TensorSpec((None,), tf.int32, "label"),
        ]

    def build_graph(self, image: Tensor, label: Tensor) -> Tensor:
        """The cost of one tower: mean softmax cross-entropy plus weight decay."""
        training = get_current_tower_context().is_training
        options = replace(self.recipe.options, training=training)
        network = build_network(get_backbone(self.recipe.mode), image, options)
        if self.recipe.freeze:
            layer = self.frozen_layers[training] = network.endpoints[self.recipe.freeze]
            if training:
                freeze_below(layer, image, network.logits)
        errors = [_error(network.logits, label, 1)]
        if self.recipe.with_top5:
            errors.append(_error(network.logits, label, 5))
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(logits=network.logits, labels=label)
        loss = tf.reduce_mean(loss, name="xentropy-loss")
        cost = loss
        if self.recipe.weight_decay:
            pattern, scale = self.recipe.weight_decay
            cost = tf.add(cost, regularize_cost(pattern, l2_regularizer(scale)))
        cost = tf.identity(cost, name="cost")
        if training:
            add_moving_summary(loss, cost, *errors)
        return cost

    def optimizer(self) -> Any:
        """SGD with Nesterov momentum; with the recipe's multipliers on the gradients."""
        rate = tf.get_variable("learning_rate", initializer=self.recipe.base_lr, trainable=False)
        tf.summary.scalar("learning_rate-summary", rate)
        sgd = tf.train.MomentumOptimizer(rate, MOMENTUM, use_nesterov=True)
        if not self.recipe.multipliers:
            return sgd
        scale = gradproc.ScaleGradient(list(self.recipe.multipliers), verbose=False)
        return optimizer.apply_grad_processors(sgd, [scale])


def _error(logits: Tensor, label: Tensor, k: int) -> Tensor:
    wrong = tf.logical_not(tf.nn.in_top_k(logits, label, k))
    wrong = tf.cast(wrong, tf.float32, name=WRONG.format(k))
    return tf.reduce_mean(wrong, name=f"train-error-top{k}")
