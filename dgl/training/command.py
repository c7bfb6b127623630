"""The command line of the training scripts: the published flags, and what each resolves to."""

import argparse
import multiprocessing

from dgl.backbones import BuildOptions, get_backbone
from dgl.data.layouts import check_files, layout_names, load_data
from dgl.devices import select_gpus
from dgl.errors import UserError
from dgl.training.recipe import LR_EPOCHS, Recipe, steps_per_epoch
from dgl.training.start import pick_head, start_from
from dgl.weights import find_weights, open_checkpoint

from tensorpack.utils import logger  # isort: skip

_CLASSES = {"cub": 200, "imagenet": 1000}
_MAX_WORKERS = 16


def _epochs(text):
    try:
        epochs = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise argparse.ArgumentTypeError("expected epochs like 10,20,30") from None
    if list(epochs) != sorted(set(epochs)) or (epochs and epochs[0] < 1):
        raise argparse.ArgumentTypeError("expected increasing epochs like 10,20,30")
    return epochs


def _positive(kind):
    def parse(text):
        value = kind(text)
        if not 0 < value < float("inf"):
            raise ValueError(text)
        return value

    parse.__name__ = "positive {}".format("number" if kind is float else "whole number")
    return parse


def _not_negative(text):
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError(text)
    return value


def _weight_decay(backbone, scale):
    """The backbone's own (pattern, scale), or ``--weight-decay`` on the weights of any backbone."""
    if scale is None:
        return backbone.weight_decay
    return (backbone.weight_pattern, scale) if scale else None


def make_parser(description, modes, depths=()):
    """The parser of a training script.

    Args:
        description: first line of ``--help``.
        modes: values of ``--mode``; the first is the default.
        depths: values of ``--depth``, for ResNets; the first is the default.
    """
    count, number = _positive(int), _positive(float)
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    published = parser.add_argument_group("published flags")
    published.add_argument("--gpu", help="GPUs to use, like 0 or 0,1 (all; -1: the CPU)")
    published.add_argument("--data", required=True, help="folder of the data set")
    published.add_argument("--logdir", default=modes[0], help="name below train_log/")
    published.add_argument("--epoch", type=count, default=105, help="last epoch")
    published.add_argument("--dataname", help="list folder below DATA/labels (the only one)")
    published.add_argument("--steps", type=count, help="steps an epoch, instead of the formula")
    published.add_argument("--final-size", type=count, default=224, help="side of the input")
    published.add_argument("--chlast", action="store_true", help="channels last on GPUs too")
    which = published.add_mutually_exclusive_group()
    which.add_argument("--cub", action="store_true", help="data as CUB: 200 classes")
    which.add_argument("--imagenet", action="store_true", help="data as ILSVRC: 1000 classes")
    published.add_argument("--classnum", type=count, help="number of classes; wins over the above")
    published.add_argument("--batch", type=count, default=256, help="pictures a step, all GPUs")
    published.add_argument("--base-lr", type=number, default=0.01, help="initial learning rate")
    published.add_argument("--stepscale", type=number, help="scales an epoch (CUB 5, ILSVRC 0.2)")
    published.add_argument(
        "--finetune", action="store_true", help="start from ImageNet weights unless --load is given"
    )
    published.add_argument(
        "--depth", type=int, choices=depths or None, default=depths[0] if depths else None,
        help="layers of the ResNet" if depths else argparse.SUPPRESS,
    )  # fmt: skip
    published.add_argument("--mode", choices=modes, default=modes[0], help="network")
    published.add_argument(
        "--laststride", type=int, choices=(1, 2) if depths else (1,), default=1,
        help="stride of the last group (ResNets)",
    )  # fmt: skip
    published.add_argument(
        "--val", action="store_true", help="measure --load on the validation split, do not train"
    )
    published.add_argument("--load", help="weights: a name (ImageNet weights) or a path")
    ours = parser.add_argument_group("beyond the published flags")
    ours.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    ours.add_argument("--data-format", choices=layout_names(), help="layout of --data (recognised)")
    ours.add_argument("--width", type=number, help="channel multiplier (1, or that of --load)")
    ours.add_argument(
        "--norm", choices=("none", "bn"), help="BatchNorm in VGG (none, or of --load)"
    )
    ours.add_argument(
        "--lr-epochs", type=_epochs, default=",".join(map(str, LR_EPOCHS)),
        help="learning rate x 0.1 after these epochs",
    )  # fmt: skip
    ours.add_argument(
        "--weight-decay", type=_not_negative, help="L2 scale on weights (VGG 5e-4, others none)"
    )
    ours.add_argument("--towers", type=count, help="copies of the network a step (one a GPU)")
    ours.add_argument("--workers", type=int, help="processes that decode (one a core)")
    ours.add_argument("--seed", type=int, help="fixes initial values, order and augmentation")
    return parser


def load_split(args, split, classes=None):
    """The data of one split, as the flags say, every picture there.

    Raises:
        UserError: from the loader, or for missing pictures.
    """
    layout = args.data_format or ("cub" if args.cub else "imagenet" if args.imagenet else None)
    data = load_data(args.data, split, args.dataname, layout, classes)
    check_files(data)
    return data


def _named_set(args):
    return "cub" if args.cub else "imagenet" if args.imagenet else None


def resolve(args, mode, pictures, classes):
    """Turn flags into a recipe and initial values.

    Args:
        args: parsed flags.
        mode: name of the backbone.
        pictures: size of the training list.
        classes: number of classes.

    Returns:
        (:class:`~dgl.training.recipe.Recipe`, name -> array or ``None``).

    Raises:
        UserError: flags that do not go together, or weights that do not fit.
    """
    backbone = get_backbone(mode)
    gpus = select_gpus(args.gpu)
    towers = args.towers or max(1, gpus)
    if args.batch % towers:
        raise UserError("--batch {}: expected a multiple of {} towers".format(args.batch, towers))
    if args.workers is not None and args.workers < 0:
        raise UserError("--workers {}: expected 0 or more".format(args.workers))
    workers = multiprocessing.cpu_count() if args.workers is None else args.workers
    load = args.load or (next(iter(backbone.pretrained)) if args.finetune else None)
    checkpoint = open_checkpoint(find_weights(backbone, load)) if load else None
    shapes = checkpoint.shapes if checkpoint else {}
    norm = args.norm or backbone.find_norm(shapes)
    if norm not in backbone.norms:
        raise UserError("--norm {}: {} has {}".format(norm, mode, " or ".join(backbone.norms)))
    options = BuildOptions(
        classes=classes,
        head=pick_head(backbone, shapes, _named_set(args), classes),
        width=args.width or backbone.find_width(shapes) or 1.0,
        norm=norm,
        last_stride=args.laststride,
        data_format="channels_first" if gpus and not args.chlast else "channels_last",
    )
    values = None
    if checkpoint:
        values = start_from(backbone, checkpoint, options, args.final_size)
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
    )
    return recipe, values


def run(args, mode):
    """Carry out the parsed flags of a training script with backbone ``mode``."""
    from dgl.training.trainer import train  # the trainers take seconds to load; --help should not
    from dgl.training.validate import validate

    wanted = args.classnum or _CLASSES.get(_named_set(args))
    validation = load_split(args, "val", wanted)
    if args.val:
        if not args.load:
            raise UserError("--val: expected --load, the checkpoint to measure")
        return validate(args, mode, validation)
    training = load_split(args, "train", wanted)
    if {sample.path for sample in training.samples} == {s.path for s in validation.samples}:
        logger.warning(
            "%s has no split: validation is on the training pictures themselves.", args.data
        )
    classes = wanted or max(training.classes, validation.classes)
    recipe, values = resolve(args, mode, len(training), classes)
    train(recipe, training, validation, args.logdir, values, args.resume)
    return 0
