"""Plan of an evaluation: all that its figures depend on, made from flags and stored as JSON.

Results can be merged (a resumed run, shards) only where their plans are equal.
"""

import dataclasses
import hashlib
import json
import math
import os
import platform
from argparse import Namespace
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from dgl import __version__
from dgl.data.class_names import ClassNames, read_class_names
from dgl.data.layouts import check_files, load_data
from dgl.data.sample import MAX_CLASSES, DataSet, Sample
from dgl.errors import UserError
from dgl.evaluation.layer_fusion import Fusion, entry_name, make_fusions
from dgl.metrics.box_check import RAW, UPRIGHT
from dgl.metrics.fixed_threshold import FixedThresholdEvaluator
from dgl.metrics.max_box_acc import MaxBoxAccEvaluator
from dgl.metrics.pixel_ap import PixelApEvaluator
from dgl.predict.postprocess import MINMAX, parse_normalization
from dgl.utils.files import weights_fingerprint
from dgl.weights.foreign_model import ForeignModel, model_kind, parse_feeds

FIXED, WSOL = "fixed_threshold", "wsolevaluation"
IOU = 0.5
_LEAST_STEP = 1e-4  # as --cam-interval


@dataclasses.dataclass(frozen=True)
class Plan:
    """One evaluation."""

    protocols: Tuple[str, ...]  # in the order of the tables
    entries: Tuple[Tuple[str, str], ...]  # of the rows of the tables
    alpha_entries: Tuple[Tuple[str, str], ...]  # of the study of alpha, in a table of their own
    threshold: float  # of the fixed-threshold protocol, for every entry without one of its own
    thresholds: Dict[str, Dict[str, float]]  # protocol -> entry name -> selected on other data
    selecting: bool  # whether thresholds are selected: all of them are evaluated
    step: float  # distance of the thresholds of MaxBoxAcc and PxAP
    batch: int  # images a run of the network; results may hang on it by the last bit
    masks: bool  # whether images have masks
    classes: int  # number of logits
    model: Optional[Dict[str, Any]]  # for the record, as data and versions
    data: Dict[str, Any]
    versions: Dict[str, str]
    class_names: Optional[Tuple[str, ...]]  # by class index
    pictures: str  # fingerprint of the list of images with their labels and boxes
    weights: str  # fingerprint of the checkpoint
    normalize: str = str(MINMAX)  # as parse_normalization takes it

    @property
    def all_entries(self) -> List[Tuple[str, str]]:
        """The entries of the tables, then those of the study of alpha alone."""
        return list(self.entries) + [e for e in self.alpha_entries if e not in self.entries]

    @property
    def boxes_frame(self) -> str:
        """Frame of the data set's boxes and masks, out of :data:`dgl.metrics.box_check.FRAMES`."""
        return str(self.data.get("boxes_frame", UPRIGHT))

    @property
    def images(self) -> int:
        """Number of images of the data set."""
        return int(self.data["images"])

    @property
    def chunks(self) -> int:
        """Number of batches of the data set, which are stored one by one."""
        return -(-self.images // self.batch)

    def positions(self, chunk: int) -> range:
        """The places in the data set's list that a batch has."""
        start = chunk * self.batch
        return range(start, min(start + self.batch, self.images))

    def threshold_of(self, protocol: str, entry: Tuple[str, str]) -> Optional[float]:
        """The threshold selected for an entry, or ``None``."""
        return self.thresholds.get(protocol, {}).get(entry_name(entry))

    def localization_evaluator(
        self, protocol: str, entry: Tuple[str, str]
    ) -> Union[FixedThresholdEvaluator, MaxBoxAccEvaluator]:
        """An empty evaluator of an entry by a protocol."""
        selected = self.threshold_of(protocol, entry)
        if protocol == FIXED and not self.selecting:
            own = self.threshold if selected is None else selected
            return FixedThresholdEvaluator(self.classes, own, IOU)
        return MaxBoxAccEvaluator(self.step, operating_threshold=selected)

    def pixel_evaluator(self) -> Optional[PixelApEvaluator]:
        """An empty evaluator of masks; ``None`` without masks or the protocol that they belong to."""
        is_used = self.masks and WSOL in self.protocols and not self.selecting
        return PixelApEvaluator(self.step) if is_used else None

    def to_json(self) -> Dict[str, Any]:
        """The plan as JSON values."""
        values: Dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Plan":
        """A plan out of :meth:`to_json`; raises ValueError where the values are no plan."""
        try:
            values = dict(values)
            for key in ("entries", "alpha_entries"):
                values[key] = tuple(map(tuple, values[key]))
            for key in ("protocols", "class_names"):
                values[key] = None if values[key] is None else tuple(values[key])
            plan = cls(**values)
            counts = plan.batch, plan.images, plan.classes
            known = (
                set(plan.protocols) <= {FIXED, WSOL}
                and all(isinstance(count, int) for count in counts)
                and min(counts) >= 1
                and plan.classes <= MAX_CLASSES
                and _LEAST_STEP <= plan.step <= 1
                and parse_normalization(plan.normalize)
                and all(list(map(type, entry)) == [str, str] for entry in plan.all_entries)
            )
            # The evaluators check their thresholds.
            for entry in plan.all_entries if known else ():
                for protocol in plan.protocols:
                    plan.localization_evaluator(protocol, entry)
        except (KeyError, TypeError, ValueError, AttributeError, UserError) as error:
            raise ValueError(f"not a plan of an evaluation ({error!r})") from error
        if not known:
            raise ValueError("not a plan of an evaluation")
        return plan

    def differences(self, other: "Plan") -> List[str]:
        """The attributes in which two plans differ."""
        own, others = self.to_json(), other.to_json()
        return [key for key in own if own[key] != others[key]]


def images_fingerprint(samples: Iterable[Sample]) -> str:
    """Hash of ids, labels, boxes and masks, in order; the images themselves are not read."""
    digest = hashlib.sha256()
    for sample in samples:
        masks = [os.path.basename(path) for path in sample.mask_paths]
        line = (sample.id, sample.class_index, sample.boxes, masks, bool(sample.ignore_path))
        digest.update(repr(line).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def versions(with_tensorflow: bool = True) -> Dict[str, str]:
    """Ordered name -> version of everything that figures may depend on."""
    found = {"dgl": __version__, "python": platform.python_version()}
    if with_tensorflow:
        from dgl.tf_compat import tf

        found["tensorflow"] = tf.VERSION
    found.update(numpy=np.__version__, opencv=cv2.__version__)
    return found


def load_split(args: Namespace, split: str, spread: Optional[int] = None) -> DataSet:
    """One split, cut by ``--limit``, with every image there or, not strict, at least one.

    ``spread`` images are taken evenly: the first of a list sorted by class would be of a few classes only.
    """
    dataset = load_data(args.data, split, args.dataname, args.data_format)
    if args.limit:
        del dataset.samples[args.limit :]
    if spread is not None and spread < len(dataset):
        picked = np.linspace(0, len(dataset) - 1, spread).round().astype(int)
        dataset.samples[:] = [dataset.samples[position] for position in picked]
    if args.strict or not any(os.path.isfile(sample.path) for sample in dataset.samples):
        check_files(dataset)
    if not any(sample.boxes for sample in dataset.samples):
        raise UserError(
            f"{dataset.name} {dataset.split}: no image has a box, expected boxes to measure "
            "localization"
        )
    return dataset


def predictor_arguments(args: Namespace, extra: Sequence[Tuple[str, str]] = ()) -> Dict[str, Any]:
    """Keywords of :class:`~dgl.predict.predictor.Predictor`, all but ``gpu``."""
    return {
        "mode": args.mode,
        "load": args.load,
        "layers": args.clayer,
        "methods": args.method,
        "alpha": args.pa,
        "image_size": args.image_size,
        "data_set": args.dataset,
        "extra": list(extra),
        "precision": args.precision,
        "flip": args.flip,
        "foreign": foreign_model_of(args),
    }


def foreign_model_of(args: Namespace) -> Optional[ForeignModel]:
    """What flags say of a model that others built; ``None`` for a checkpoint of this project.

    Raises:
        UserError: such a flag with a checkpoint; a value that cannot be read.
    """
    if model_kind(args.load) is None:
        for flag in ("--preprocess", "--output", "--feed", "--class-names"):
            if getattr(args, flag[2:].replace("-", "_")) is not None:
                raise UserError(f"{flag}: expected a model of others with it (--load model.keras)")
        return None
    names = read_class_names(args.class_names) if args.class_names else ()
    return ForeignModel(args.preprocess, args.output, tuple(parse_feeds(args.feed).items()), names)


def fusions_of(args: Namespace, predictor: Any) -> List[Fusion]:
    """The fusions that ``--fuse`` asks for; of its default, a tuple, none where there is one layer."""
    layers = None
    methods = [method for method, _ in predictor.entries]
    if args.fuse_layers is not None:
        layers = predictor.backbone.layer_names(args.fuse_layers)
    elif isinstance(args.fuse, tuple) and len(set(methods)) == len(methods):
        return []
    return make_fusions(predictor.entries, list(dict.fromkeys(args.fuse)), layers)


def alpha_entries_of(
    args: Namespace, predictor: Any, selected: Optional[Mapping[str, Any]]
) -> List[Tuple[str, str]]:
    """The entries of the study of alpha: every value by both gradients, at one layer."""
    if not args.alphas:
        return []
    layer = args.alpha_layer
    if layer is None:
        rows = [
            r for r in (selected or {}).get("rows", ()) if r["layer"] in predictor.backbone.layers
        ]
        chosen = [row["layer"] for row in rows if row["chosen"]]
        known = [row["layer"] for row in rows if row["method"] == "dgl" and row["layer"] in chosen]
        layer = known[0] if known else predictor.backbone.layer_names(args.clayer)[0]
    layer = predictor.backbone.layer_name(layer)
    return [
        ("dgl(pa={}{})".format(alpha, "" if semantics == "kernel" else ",exact"), layer)
        for semantics in ("kernel", "exact")
        for alpha in dict.fromkeys(args.alphas)
    ]


def make_plan(
    args: Namespace,
    predictor: Any,
    dataset: DataSet,
    fusions: Sequence[Fusion],
    thresholds: Optional[Dict[str, Dict[str, float]]] = None,
    alpha_entries: Sequence[Tuple[str, str]] = (),
    is_selecting: bool = False,
) -> Plan:
    """The :class:`~dgl.evaluation.plan.Plan` of one split."""
    own = [entry for entry in predictor.entries if entry not in alpha_entries]
    return Plan(
        protocols=tuple(dict.fromkeys(args.protocol)),
        entries=tuple(own + [fusion.entry for fusion in fusions]),
        alpha_entries=tuple(alpha_entries),
        threshold=args.threshold,
        thresholds=thresholds or {},
        selecting=is_selecting,
        step=args.cam_interval,
        batch=args.batch,
        masks=any(sample.mask_paths for sample in dataset.samples),
        classes=predictor.classes,
        model={
            "mode": args.mode,
            "load": args.load,
            "image_size": predictor.image_size,
            "classes": predictor.classes,
            "width": predictor.options.width,
            "norm": predictor.options.norm,
            # JSON has no infinity.
            "alpha": args.pa if math.isfinite(args.pa) else "inf",
            "precision": args.precision,
            **({"flip": True} if args.flip else {}),
        },
        data={
            "name": dataset.name,
            "layout": dataset.format,
            "split": dataset.split,
            "images": len(dataset),
            **({"boxes_frame": RAW} if args.boxes_frame == RAW else {}),
        },
        versions=versions(),
        # ILSVRC's lists name no classes, or name them by WordNet ids.
        class_names=ClassNames.of(dataset.class_names).names or predictor.class_names.names or None,
        pictures=images_fingerprint(dataset.samples),
        weights=weights_fingerprint(predictor.path),
        normalize=str(parse_normalization(args.normalize)),
    )
