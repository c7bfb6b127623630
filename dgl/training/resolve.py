"""Resolve the flags of training to data, a recipe and initial weights, and run them."""

import os
import zlib
from argparse import Namespace
from dataclasses import replace
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from dgl.backbones import BuildOptions, get_backbone
from dgl.backbones.published import OWN_STRIDES, Shapes
from dgl.backbones.registry import Backbone
from dgl.data.flows import new_seed
from dgl.data.layouts import check_files, load_data
from dgl.data.layouts.label_list import PUBLISHED_CLASSES, named_layout
from dgl.data.sample import DataSet, Sample
from dgl.errors import UserError
from dgl.training.attention_callback import AttentionImages, choose_images, default_measured
from dgl.training.classes import check_order, check_splits
from dgl.training.distributed import SINGLE, Ranks, find_ranks, require_same
from dgl.training.freeze import MOST_GIB, find_cut
from dgl.training.log_folder import log_folder
from dgl.training.probe import Probe, run_probe
from dgl.training.recipe import Recipe, describe, steps_per_epoch
from dgl.training.trainer import train
from dgl.training.validation import validate
from dgl.utils.devices import select_gpus
from dgl.weights import find_weights, open_weights, read_card
from dgl.weights.checkpoint import Checkpoint, read_weights
from dgl.weights.model_card import check_image_size, default_image_size
from dgl.weights.restore import conversion_hint, disagreements, first_of, network_variables

from tensorpack.utils import logger  # isort: skip

_MAX_WORKERS = 16
_MAX_NAMES = 8


def run(args: Namespace, mode: str) -> int:
    """Train a backbone, validate it or print its recipe, as the flags say; returns the exit code."""
    ranks = find_ranks()
    if not ranks.chief and (args.val or args.print_recipe):
        return 0
    if args.probe:
        _refuse_what_has_steps(args, ranks)
    classes = args.classnum or PUBLISHED_CLASSES.get(args.data_set)
    validation = load_split(args, "val", classes)
    if args.val:
        if not args.load:
            raise UserError("--val: expected --load, the checkpoint to measure")
        check_files(validation)
        return validate(args, mode, validation)
    training = load_split(args, "train", classes)
    has_split = [s.path for s in training.samples] != [s.path for s in validation.samples]
    classes = classes or max(training.classes, validation.classes)
    if args.probe:
        training = replace(training, classes=classes)
        return _probe(args, mode, training, validation if has_split else None)
    boxed = validation.samples
    if ranks.chief and (args.watch or args.watch_boxes):
        try:
            boxed = load_split(args, "val", classes, with_boxes=True).samples
        except UserError as error:
            logger.warning("%s; attention maps are without boxes", error)
    if not has_split:
        logger.warning("%s has no split: validation uses the training images.", args.data)
    check_splits(training, validation, classes)
    recipe, start = resolve(args, mode, len(training), classes, ranks)
    folder = log_folder(args.logdir)
    if args.resume and os.path.isdir(folder):
        check_order(read_card(folder), training, f"--resume: {folder}")
    if start is not None and any(recipe.options.head in name for name in start.loaded):
        path = start.checkpoint.path
        card = read_card(path)
        # Classes of which none is the same are another data set, for which the head is learned anew.
        if card and set(card.class_names or ()) & set(training.class_names or ()):
            check_order(card, training, f"--load: {path}")
    frozen = check_freeze(recipe, start, len(training), len(validation)) if recipe.freeze else ()
    attention = attention_images(args, recipe, boxed)
    if args.print_recipe:
        trained = network_variables(get_backbone(mode), recipe.options, trained=True)
        variables = {name: shape for name, shape in trained.items() if name not in frozen}
        images = f"{len(training)} training and {len(validation)} validation images"
        source, watched = str(start or "random values"), str(attention or "nothing")
        named = f"{training.name} ({training.format}), {images}"
        print(describe(recipe, variables, named, source, watched))
        return 0
    check_files(training, validation)
    for data in (training, validation):
        lines = [f"{sample.path} {sample.class_index}" for sample in data.samples]
        checksum = zlib.crc32("\n".join(lines).encode("utf-8", "surrogateescape"))
        require_same(ranks, checksum, f"the {data.split} list")
    if start:
        logger.info("Loaded %s.", start)
    if attention and not attention.measured and args.watch_boxes != 0:
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
        attention=attention if ranks.chief else None,
    )
    return 0


def _refuse_what_has_steps(args: Namespace, ranks: Ranks) -> None:
    for flag in ("resume", "val", "print_recipe"):
        if getattr(args, flag):
            raise UserError(
                f"--probe --{flag.replace('_', '-')}: expected one of them, for a probe has no steps"
            )
    if not ranks.single:
        raise UserError(f"--probe: expected one process, found {ranks.size}")


def _probe(args: Namespace, mode: str, training: DataSet, validation: Optional[DataSet]) -> int:
    """Fit the last layer alone, see :func:`dgl.training.probe.run_probe`; returns the exit code."""
    check_files(training, *([validation] if validation else []))
    backbone = get_backbone(mode)
    args.load = args.load or next(iter(backbone.pretrained))
    if args.final_size is None:
        card = read_card(find_weights(backbone, args.load))
        args.final_size = default_image_size(backbone, card)
    recipe, start = resolve(args, mode, len(training), training.classes)
    assert start is not None
    probe = Probe(
        backbone=backbone,
        checkpoint=start.checkpoint,
        options=replace(recipe.options, data_format="channels_last"),
        image_size=recipe.image_size,
        seed=new_seed() if args.seed is None else args.seed,
        workers=max(1, recipe.workers),
        gpus=select_gpus(args.gpu),
    )
    run_probe(probe, training, validation, args.logdir)
    return 0


def load_split(
    args: Namespace, split: str, classes: Optional[int] = None, with_boxes: bool = False
) -> DataSet:
    """Load one split of the data that the flags name."""
    layout = args.data_format
    if layout is None and args.data_set:
        layout = named_layout(args.data, args.data_set, args.dataname)
    return load_data(args.data, split, args.dataname, layout, classes, with_boxes)


def attention_images(
    args: Namespace, recipe: Recipe, samples: Sequence[Sample]
) -> Optional[AttentionImages]:
    """Resolve ``--watch``, ``--watch-layer`` and ``--watch-boxes`` to images of the validation list."""
    layers = get_backbone(recipe.mode).layer_names(args.watch_layer, "--watch-layer")
    measured = args.watch_boxes
    if measured is None:
        measured = default_measured(recipe.steps * recipe.batch) if args.watch else 0
    return choose_images(samples, args.watch, measured, layers)


def _towers(args: Namespace, gpus: int, ranks: Ranks) -> int:
    """Copies of the network in this process: one per GPU, or one if several processes train."""
    if not ranks.single and args.towers not in (None, 1):
        raise UserError(f"--towers {args.towers}: expected 1 for each of {ranks.size} processes")
    towers = (args.towers or max(1, gpus)) if ranks.single else 1
    parts = f"{towers} towers" if ranks.single else f"{ranks.size} processes"
    if args.batch % (towers * ranks.size):
        raise UserError(f"--batch {args.batch}: expected a multiple of {parts}")
    return int(towers)


class InitialWeights(NamedTuple):
    """What a checkpoint gives to a network that is about to be trained."""

    checkpoint: Checkpoint  # the source
    loaded: List[str]  # names of the variables that it fills
    fresh: List[str]  # names of the network's variables that keep their random initial value
    unused: int  # number of the checkpoint's variables that are not part of the network

    def values(self) -> Dict[str, np.ndarray]:
        """Read what the checkpoint fills: name -> float32 array, or :class:`UserError` for NaN."""
        return {name: read_weights(self.checkpoint, name) for name in self.loaded}

    def __str__(self) -> str:
        text = f"{len(self.loaded)} variables from {self.checkpoint.path}; {self.unused} of its are unused"
        if self.fresh:
            text += "; left at their initial value: " + first_of(self.fresh, _MAX_NAMES)
        return text


def pick_head(backbone: Backbone, shapes: Shapes, data_set: Optional[str], classes: int) -> str:
    """Scope of the layer to train: a head of the checkpoint that fits, or the data set's own."""
    wanted = backbone.head_name(data_set or "imagenet", classes)
    fitting = [head for head, width in backbone.find_heads(shapes).items() if width == classes]
    return wanted if wanted in fitting or not fitting else fitting[0]


def select_weights(
    backbone: Backbone, checkpoint: Checkpoint, options: BuildOptions
) -> InitialWeights:
    """Select the variables that a checkpoint gives to a network.

    Variables that are not part of the network (other heads, fully connected layers, optimizer slots) are
    unused; a head of another width keeps its initial value.

    Raises:
        UserError: nothing fits, or a variable below the head has another shape.
    """
    wanted = network_variables(backbone, options)
    shapes = checkpoint.shapes
    head = {name: shape for name, shape in wanted.items() if options.head in name}
    below = {name: shape for name, shape in wanted.items() if name not in head}
    missing, mismatched = disagreements(below, checkpoint)
    # An incomplete head, such as weights without their biases, counts as none.
    usable = below if any(disagreements(head, checkpoint)) else wanted
    loaded = [name for name, shape in usable.items() if shapes.get(name) == shape]
    if mismatched or not loaded:
        raise UserError(
            f"{checkpoint.path}: does not fit --mode {backbone.mode}: "
            f"{first_of(mismatched or missing)}{conversion_hint(backbone, checkpoint)}"
        )
    fresh = [name for name in wanted if name not in loaded]
    return InitialWeights(checkpoint, loaded, fresh, len(shapes) - len(loaded))


def resolve(
    args: Namespace, mode: str, images: int, classes: int, ranks: Ranks = SINGLE
) -> Tuple[Recipe, Optional[InitialWeights]]:
    """Turn flags into a recipe for so many images and, with ``--load`` or ``--finetune``, initial weights.

    Raises:
        UserError: flags that contradict each other, or weights that do not fit.
    """
    backbone = get_backbone(mode)
    check_image_size(args.final_size, "--final-size")
    image_size = args.final_size or backbone.image_size
    gpus = select_gpus(args.gpu)
    towers = _towers(args, gpus, ranks)
    workers = ranks.cores() if args.workers is None else args.workers
    if workers < 0:
        raise UserError(f"--workers {workers}: expected 0 or more")
    load = args.load or (next(iter(backbone.pretrained)) if args.finetune else None)
    checkpoint = open_weights(backbone, load) if load else None
    shapes = checkpoint.shapes if checkpoint else {}
    norm = args.norm or backbone.find_norm(shapes)
    if norm not in backbone.norms:
        raise UserError(f"--norm {norm}: {mode} has {' or '.join(backbone.norms)}")
    width = args.width or 1.0
    if checkpoint and not args.width:
        width = backbone.find_width(shapes, checkpoint.path) or 1.0
    strides = args.strides
    if strides is None:
        # A probe keeps the network as it is; training in the paper's way changes its strides.
        card = read_card(checkpoint.path) if checkpoint and args.probe else None
        strides = card.strides if card else OWN_STRIDES
    options = BuildOptions(
        classes=classes,
        head=pick_head(backbone, shapes, args.data_set, classes),
        width=backbone.round_width(width),
        norm=norm,
        last_stride=args.laststride,
        strides=backbone.check_strides(strides),
        data_format="channels_first" if gpus and not args.chlast else "channels_last",
    )
    weight_decay = backbone.weight_decay
    if args.weight_decay is not None:
        weight_decay = (backbone.weight_pattern, args.weight_decay) if args.weight_decay else None
    start = select_weights(backbone, checkpoint, options) if checkpoint else None
    recipe = Recipe(
        mode=mode,
        options=options,
        image_size=image_size,
        batch=args.batch,
        towers=towers,
        steps=args.steps or steps_per_epoch(args.data_set, args.batch, images, args.stepscale),
        epochs=args.epoch,
        base_lr=args.base_lr,
        lr_epochs=args.lr_epochs,
        multipliers=backbone.gradient_multipliers if checkpoint else (),
        weight_decay=weight_decay,
        workers=min(workers, _MAX_WORKERS),
        seed=args.seed,
        processes=ranks.size,
        freeze=backbone.layer_name(args.freeze, "--freeze") if args.freeze else None,
        freeze_views=args.freeze_views,
    )
    return recipe, start


def check_freeze(
    recipe: Recipe, start: Optional[InitialWeights], training: int, validation: int
) -> Tuple[str, ...]:
    """Names of the variables that a recipe with ``--freeze`` leaves as they are, for numbers of images.

    Raises:
        UserError: a layer where the network cannot be cut, weights that are missing, several towers or
            processes, or more activations than memory is given.
    """
    flag = f"--freeze {recipe.freeze}"
    if recipe.towers * recipe.processes > 1:
        raise UserError(f"{flag}: expected one tower in one process; --towers 1 makes it so")
    if start is None:
        raise UserError(f"{flag}: expected --load or --finetune, for the weights that stay")
    cut = find_cut(recipe)
    missing = [name for name in cut.frozen if name in start.fresh]
    if missing:
        raise UserError(
            f"{flag}: {start.checkpoint.path} has no weights for {first_of(missing)}; expected all up to "
            f"{cut.layer}"
        )
    views = recipe.freeze_views
    gib = cut.gib(views * training + validation)
    if gib > MOST_GIB:
        raise UserError(
            f"{flag}: the activations of {views} views of {training} training images and of {validation} "
            f"validation images take {gib:.1f} GiB; expected at most {MOST_GIB}: fewer --freeze-views, or "
            "a layer nearer to the head"
        )
    return cut.frozen
