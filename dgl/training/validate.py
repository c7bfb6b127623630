"""`--val`: classification errors of a checkpoint on the validation split, by the validation view."""

from argparse import Namespace

from tqdm import tqdm

from dgl.backbones import get_backbone
from dgl.data.flows import ValidationFlow
from dgl.data.sample import DataSet
from dgl.errors import UserError
from dgl.metrics.classification import ClassificationEvaluator
from dgl.predict.frozen import build_inference
from dgl.predict.session import open_session
from dgl.tf_compat import tf
from dgl.utils.devices import select_gpus
from dgl.weights import find_weights, open_checkpoint, options_from


def validate(args: Namespace, mode: str, validation: DataSet) -> int:
    """Print the top-1 error, and the top-5 error where there are more than five classes.

    Args:
        args: parsed flags of a training script.
        mode: backbone.
        validation: :class:`~dgl.data.sample.DataSet`.

    Raises:
        UserError: a checkpoint that is missing or does not fit, a label that it has no class for.
    """
    backbone = get_backbone(mode)
    checkpoint = open_checkpoint(find_weights(backbone, args.load))
    options = options_from(
        backbone,
        checkpoint,
        "cub" if args.cub else "imagenet",
        width=args.width,
        norm=args.norm,
        last_stride=args.laststride,
    )
    largest = max(sample.class_index for sample in validation.samples)
    if largest >= options.classes:
        raise UserError(
            f"{validation.name}: class {largest} is out of range: the checkpoint has classes 0 to {options.classes - 1}"
        )
    size = args.final_size
    workers = 2 if args.workers is None else args.workers
    evaluator = ClassificationEvaluator(classes=options.classes)
    with tf.Graph().as_default():
        image = tf.placeholder(tf.uint8, [None, size, size, 3], "input")
        gpus = select_gpus(args.gpu)
        network = build_inference(backbone, checkpoint, image, options, gpus)
        with open_session(gpus) as session:
            flow = ValidationFlow(validation.samples, size, min(args.batch, 64), workers)
            for images, labels in tqdm(flow, total=len(flow), unit=" batches", desc="validation"):
                evaluator.add(session.run(network.logits, {image: images}), labels)
    for name, value in sorted(evaluator.result().items()):
        print(f"{name}: {value}")
    return 0
