"""What the training scripts do with their flags: each resolves to a part of the recipe."""

import zlib
from argparse import Namespace
from typing import Optional, Sequence, Tuple

from dgl.backbones import BuildOptions, get_backbone
from dgl.data.layouts import check_files, load_data, named_layout
from dgl.data.sample import DataSet, Sample
from dgl.data.split_totals import CLASSES
from dgl.errors import UserError
from dgl.training.attention_images import (
    Watching,
    choose_watching,
    labels_only,
    measured_by_default,
    watch_layers,
)
from dgl.training.distributed.ranks import ALONE, Ranks, expect_alike, find_ranks
from dgl.training.recipe import Recipe, describe, steps_per_epoch
from dgl.training.start import Start, pick_head, start_from
from dgl.training.trainer import train
from dgl.training.validate import validate
from dgl.utils.devices import select_gpus
from dgl.weights import find_weights, open_checkpoint
from dgl.weights.restore import network_variables

from tensorpack.utils import logger  # isort: skip

_MAX_WORKERS = 16


def _weight_decay(backbone, scale):
    """The backbone's own (pattern, scale), or ``--weight-decay`` on the weights of any backbone."""
    if scale is None:
        return backbone.weight_decay
    return (backbone.weight_pattern, scale) if scale else None


def load_split(
    args: Namespace, split: str, classes: Optional[int] = None, with_boxes: bool = False
) -> DataSet:
    """The data of one split, as the flags say.

    Labels are all that training and its validation see: boxes are for what is watched alone.

    Raises:
        UserError: from the loader.
    """
    layout = args.data_format
    if layout is None and _named_set(args):
        layout = named_layout(args.data, _named_set(args), args.dataname)
    return load_data(args.data, split, args.dataname, layout, classes, with_boxes)


def _load_validation(args, classes, ranks):
    """(the validation split, labels alone; its samples with their boxes, where they are watched)."""
    if args.val or not ranks.chief or not (args.watch or args.watch_boxes):
        validation = load_split(args, "val", classes)
        return validation, validation.samples
    try:
        boxed = load_split(args, "val", classes, with_boxes=True)
    except UserError as error:
        # If it is not the boxes that are at fault, this tells.
        validation = load_split(args, "val", classes)
        logger.warning("%s; training is watched without boxes", error)
        return validation, validation.samples
    return labels_only(boxed), boxed.samples


def watching_of(args: Namespace, recipe: Recipe, samples: Sequence[Sample]) -> Optional[Watching]:
    """What the flags have watched.

    Args:
        args: parsed flags.
        recipe: :class:`~dgl.training.recipe.Recipe`.
        samples: the validation list, with boxes where it has any.

    Returns:
        :class:`~dgl.training.attention_images.Watching`, or ``None``.

    Raises:
        UserError: a layer that the network does not have.
    """
    layers = watch_layers(get_backbone(recipe.mode), args.watch_layer)
    measured = args.watch_boxes
    if measured is None:
        measured = measured_by_default(recipe.steps * recipe.batch) if args.watch else 0
    return choose_watching(samples, args.watch, measured, layers)


def _named_set(args):
    return "cub" if args.cub else "imagenet" if args.imagenet else None


def _width_of(backbone, checkpoint):
    return (backbone.find_width(checkpoint.shapes, checkpoint.path) if checkpoint else None) or 1.0


def _towers(args, gpus, ranks):
    """Copies of the network in this process: one a GPU, but one where several processes train."""
    if ranks.alone:
        towers = args.towers or max(1, gpus)
        if args.batch % towers:
            raise UserError(f"--batch {args.batch}: expected a multiple of {towers} towers")
        return towers
    if args.towers not in (None, 1):
        raise UserError(
            f"--towers {args.towers}: expected 1, as each of {ranks.size} processes has one"
        )
    if args.batch % ranks.size:
        raise UserError(f"--batch {args.batch}: expected a multiple of {ranks.size} processes")
    return 1


def resolve(
    args: Namespace, mode: str, pictures: int, classes: int, ranks: Ranks = ALONE
) -> Tuple[Recipe, Optional[Start]]:
    """Turn flags into a recipe and initial values.

    Args:
        args: parsed flags.
        mode: name of the backbone.
        pictures: size of the training list.
        classes: number of classes.
        ranks: :class:`~dgl.training.distributed.ranks.Ranks` of this process.

    Returns:
        (:class:`~dgl.training.recipe.Recipe`, :class:`~dgl.training.start.Start` or ``None``).

    Raises:
        UserError: flags that do not go together, or weights that do not fit.
    """
    backbone = get_backbone(mode)
    gpus = select_gpus(args.gpu)
    towers = _towers(args, gpus, ranks)
    if args.workers is not None and args.workers < 0:
        raise UserError(f"--workers {args.workers}: expected 0 or more")
    workers = ranks.share_of_cores() if args.workers is None else args.workers
    load = args.load or (next(iter(backbone.pretrained)) if args.finetune else None)
    checkpoint = open_checkpoint(find_weights(backbone, load)) if load else None
    shapes = checkpoint.shapes if checkpoint else {}
    norm = args.norm or backbone.find_norm(shapes)
    if norm not in backbone.norms:
        raise UserError("--norm {}: {} has {}".format(norm, mode, " or ".join(backbone.norms)))
    options = BuildOptions(
        classes=classes,
        head=pick_head(backbone, shapes, _named_set(args), classes),
        width=backbone.round_width(args.width or _width_of(backbone, checkpoint)),
        norm=norm,
        last_stride=args.laststride,
        data_format="channels_first" if gpus and not args.chlast else "channels_last",
    )
    start = start_from(backbone, checkpoint, options, args.final_size) if checkpoint else None
    recipe = Recipe(
        mode=mode,
        options=options,
        image_size=args.final_size,
        batch=args.batch,
        towers=towers,
        steps=args.steps or steps_per_epoch(_named_set(args), args.batch, pictures, args.stepscale),
        epochs=args.epoch,
        base_lr=args.base_lr,
        lr_epochs=args.lr_epochs,
        multipliers=backbone.gradient_multipliers if checkpoint else (),
        weight_decay=_weight_decay(backbone, args.weight_decay),
        workers=min(workers, _MAX_WORKERS),
        seed=args.seed,
        processes=ranks.size,
    )
    return recipe, start


def _same_images(training, validation):
    # The lengths tell first: a set of ILSVRC's paths takes a while.
    return len(training) == len(validation) and {sample.path for sample in training.samples} == {
        sample.path for sample in validation.samples
    }


def _list_number(data):
    """int: tells lists of images and classes apart."""
    lines = [f"{sample.path} {sample.class_index}" for sample in data.samples]
    return zlib.crc32("\n".join(lines).encode("utf-8", "surrogateescape"))


def _print_recipe(recipe, start, training, validation, watching):
    variables = network_variables(
        get_backbone(recipe.mode), recipe.options, recipe.image_size, trained=True
    )
    data = f"{training.name} ({training.format}), {len(training)} training and {len(validation)} validation images"
    start = str(start or "random values")
    print(describe(recipe, variables, data, start, str(watching or "nothing")))


def run(args: Namespace, mode: str) -> int:
    """Carry out the parsed flags of a training script with backbone ``mode``."""
    ranks = find_ranks()
    if not ranks.chief and (args.val or args.print_recipe):
        return 0  # one is enough
    wanted = args.classnum or CLASSES.get(_named_set(args))
    validation, boxed = _load_validation(args, wanted, ranks)
    if args.val:
        if not args.load:
            raise UserError("--val: expected --load, the checkpoint to measure")
        check_files(validation)
        return validate(args, mode, validation)
    training = load_split(args, "train", wanted)
    if _same_images(training, validation):
        logger.warning(
            "%s has no split: validation is on the training images themselves.", args.data
        )
    classes = wanted or max(training.classes, validation.classes)
    recipe, start = resolve(args, mode, len(training), classes, ranks)
    watching = watching_of(args, recipe, boxed)
    if args.print_recipe:
        _print_recipe(recipe, start, training, validation, watching)
        return 0
    check_files(training, validation)
    for name, data in (("train", training), ("val", validation)):
        expect_alike(ranks, _list_number(data), f"the {name} list")
    if start:
        logger.info("Loaded %s.", start)
    if watching and not watching.measured and args.watch_boxes != 0:
        logger.info("GT-known is not measured: no validation image of %s has a box.", args.data)
    train(
        recipe,
        training,
        validation,
        args.logdir,
        initial_values=start.values() if start else None,
        resume=args.resume,
        save_minutes=args.save_minutes,
        ranks=ranks,
        gpus=select_gpus(args.gpu),
        watching=watching if ranks.chief else None,
    )
    return 0
