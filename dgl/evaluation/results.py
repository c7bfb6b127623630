"""Results of an evaluation, in memory and on disk: stored batches to resume from, shards to merge.

:class:`Results` has the evaluators, a row per image and the images that could not be read. A stored batch,
a shard and a finished run are all of this type. There is one file per batch while an evaluation runs and
one file when it is done. Files are written atomically, so a killed run resumes with the missing batches.
"""

import itertools
import json
import os
import re
import shutil
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from dgl.errors import UserError
from dgl.evaluation.plan import Plan
from dgl.metrics.classification import ClassificationEvaluator
from dgl.metrics.records import Column, Records
from dgl.utils.files import read_bounded, write_atomically

RECORDS = "records.json"
PARTIAL = "partial"
_PLAN = "plan.json"
_CHUNK = re.compile(r"batch-(\d{6})\.json")
# 162 entries of 50,000 images take 1.5 GB; a larger file is refused.
_MOST_BYTES = 8 * 1024**3
_MOST_PLAN = 1 << 27  # class names of a million classes take 64 MB
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, RecursionError, AttributeError)
_RESULTS_KEY = ', "results": {"evaluators": '  # what follows the plan in records.json

IMAGE_COLUMNS = {
    "class_index": Column("int32"),
    "predicted_index": Column("int32"),
    "probability": Column("float64"),
    "class_probability": Column("float64"),
    "rank": Column("int32"),
    "clipped": Column("int32"),
    "outside": Column("int32"),
    "width": Column("int32"),
    "height": Column("int32"),
}


def image_key(position: int) -> str:
    """The id of an image in the evaluators: its position, because a list may repeat an image."""
    return f"{position:08d}"


class Results:
    """Results of a plan for some of its images.

    Attributes:
        classification: protocol -> :class:`ClassificationEvaluator`.
        localization: (protocol, entry) -> evaluator.
        pixels: entry -> :class:`~dgl.metrics.pixel_ap.PixelApEvaluator`; empty without masks.
        images: :class:`Records` of :data:`IMAGE_COLUMNS`.
        names: key of an image -> its id in the data set.
        errors: key of an image that could not be read -> ``(id, reason)``.
        skipped: the lines of lists that were left out, see :class:`~dgl.data.sample.DataSet`.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.classification = {
            name: ClassificationEvaluator(plan.classes) for name in plan.protocols
        }
        self.localization: Dict[Tuple[str, Tuple[str, str]], Any] = {
            (name, entry): plan.localization_evaluator(name, entry)
            for name in plan.protocols
            for entry in plan.all_entries
        }
        pixels = [(entry, plan.pixel_evaluator()) for entry in plan.entries]
        self.pixels = {entry: own for entry, own in pixels if own is not None}
        self.images = Records(IMAGE_COLUMNS)
        self.names: Dict[str, str] = {}
        self.errors: Dict[str, Tuple[str, str]] = {}
        self.skipped: Tuple[str, ...] = ()

    def __len__(self) -> int:
        """The number of images, read or not."""
        return len(self.names) + len(self.errors)

    @property
    def positions(self) -> Set[int]:
        """The positions of the images in the data set's list."""
        return {int(key) for key in itertools.chain(self.names, self.errors)}

    def state_dict(self) -> Dict[str, Any]:
        """Everything as JSON values, the plan aside."""
        return {
            "evaluators": [evaluator.state_dict() for evaluator in self._evaluators()],
            "pictures": self.images.state_dict(),
            "names": list(self.names.items()),
            "errors": [[key, name, reason] for key, (name, reason) in self.errors.items()],
            "skipped": self.skipped,
        }

    @classmethod
    def from_state(cls, plan: Plan, state: Mapping[str, Any]) -> "Results":
        """The results of :meth:`state_dict`; raises ValueError for damage or another plan's state."""
        results = cls(plan)
        try:
            states = list(state["evaluators"])
            results.names.update((str(key), str(name)) for key, name in state["names"])
            results.errors.update((str(k), (str(n), str(r))) for k, n, r in state["errors"])
            results.skipped = tuple(str(reason) for reason in state.get("skipped", ()))
            results.images = Records.from_state(IMAGE_COLUMNS, state["pictures"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"incomplete results ({error!r})") from error
        for key in itertools.chain(results.names, results.errors):
            if not key.isdigit() or image_key(int(key[:12])) != key or int(key) >= plan.images:
                raise ValueError(f"an image {key[:40]!r}, expected 1 to {plan.images}")
        evaluators = results._evaluators()
        if len(states) != len(evaluators):
            raise ValueError("results of other entries")
        for evaluator, own in zip(evaluators, states):
            evaluator.load_state_dict(own)
        for records in results._records():
            is_whole = len(records) == len(results.names)
            if not is_whole or not results.names.keys() >= set(records.ids):
                raise ValueError("results of different images")
        return results

    def merge(self, other: "Results") -> None:
        """Add results of the same plan, or nothing, by a ValueError, if an image is here already."""
        # Looks up the added ones only: a set of all for every batch would take hours for a million images.
        added = itertools.chain(other.names, other.errors)
        twice = [int(key) for key in added if key in self.names or key in self.errors]
        if twice:
            raise ValueError(f"image {min(twice) + 1} is in both")
        for evaluator, added in zip(self._evaluators(), other._evaluators()):
            evaluator.merge(added)
        self.images.extend(other.images)
        self.names.update(other.names)
        self.errors.update(other.errors)
        # Every shard has read the whole list.
        self.skipped = tuple(dict.fromkeys(self.skipped + other.skipped))

    def sort(self) -> None:
        """Put everything in the order of the data set's list, whatever order it was merged in."""
        for records in self._records():
            records.sort()
        self.names = dict(sorted(self.names.items()))
        self.errors = dict(sorted(self.errors.items()))

    def _evaluators(self) -> List[Any]:
        return [*self.classification.values(), *self.localization.values(), *self.pixels.values()]

    def _records(self) -> List[Records]:
        return [*(evaluator.records for evaluator in self._evaluators()), self.images]


class Store:
    """The results of one evaluation below its output folder.

    Args:
        restart: whether unfinished results of another plan are dropped.
        overwrite: whether finished results of another plan or shard are replaced.
        shard: ``(i, n)``, the part of the plan's batches.

    Raises:
        UserError: the folder holds unfinished results of another plan and ``restart`` is not set, or
            finished ones and ``overwrite`` is not set, or cannot be written.
    """

    def __init__(
        self,
        folder: str,
        plan: Plan,
        restart: bool = False,
        overwrite: bool = False,
        shard: Tuple[int, int] = (1, 1),
    ) -> None:
        self._folder = str(folder)
        self._partial = os.path.join(self._folder, PARTIAL)
        self._plan = plan
        self._shard = shard
        if not overwrite:
            check_finished(self._folder, plan, shard)
        path = os.path.join(self._partial, _PLAN)
        if os.path.exists(path) and not restart:
            self._check(path)
        else:
            # Batches without a plan belong to an unknown evaluation.
            self.discard()
            write_atomically(path, _encode(plan.to_json()))

    def done(self) -> List[int]:
        """The batches that are there, ascending."""
        found = (_CHUNK.fullmatch(name) for name in os.listdir(self._partial))
        return sorted(int(match.group(1)) for match in found if match)

    def read(self, chunk: int) -> Results:
        """One batch; raises UserError where its file is damaged."""
        return _results_in(self._path(chunk), self._plan)

    def write(self, chunk: int, results: Results) -> None:
        """Keep one batch."""
        write_atomically(self._path(chunk), _encode(results.state_dict()))

    def finish(self, results: Results) -> None:
        """Write all results as one file and drop the batches."""
        write_records(self._folder, results, self._shard)
        self.discard()

    def discard(self) -> None:
        """Remove the batches."""
        shutil.rmtree(self._partial, ignore_errors=True)

    def _path(self, chunk: int) -> str:
        return os.path.join(self._partial, f"batch-{chunk:06d}.json")

    def _check(self, path: str) -> None:
        try:
            differences = Plan.from_json(_read_json(path)).differences(self._plan)
        except ValueError as error:
            raise UserError(f"{path}: {error}; remove it or give --restart") from error
        if differences:
            raise UserError(
                f"{self._partial}: unfinished results of another evaluation, which differs in "
                f"{', '.join(differences)}; expected the same flags, another --out, or --restart"
            )


def check_finished(
    folder: str, plan: Optional[Plan], shard: Optional[Tuple[int, int]] = (1, 1)
) -> None:
    """Raise :class:`UserError` for a folder with finished results of another plan or shard.

    ``plan`` is what is about to be written, ``None`` for results of another kind; ``shard`` is ``None``
    for any.
    """
    found, found_shard = _read_plan(folder)
    if found is None:
        return  # none, or damaged
    differences = ["all"] if plan is None else found.differences(plan)
    differences += ["shard"] if shard not in (None, found_shard) else []
    if differences:
        raise UserError(
            f"--out {folder}: finished results of another evaluation, which differs in "
            f"{', '.join(differences)}; expected the same flags, another --out, or --overwrite"
        )


def _read_plan(folder: str) -> Tuple[Optional[Plan], Tuple[int, ...]]:
    """The plan and shard of finished results, without the results; ``None`` where damaged."""
    text, path = "", os.path.join(str(folder), RECORDS)
    if not os.path.isfile(path):
        return None, (1, 1)
    try:
        with open(path, encoding="utf-8") as stream:
            blocks = iter(lambda: stream.read(1 << 20), "")
            while _RESULTS_KEY not in text and len(text) < _MOST_PLAN:
                text += next(blocks)
        start = json.loads(text.partition(_RESULTS_KEY)[0] + "}")
        return Plan.from_json(start["plan"]), tuple(start.get("shard", (1, 1)))
    except (*_UNREADABLE, StopIteration):
        return None, (1, 1)


def write_records(folder: str, results: Results, shard: Tuple[int, int] = (1, 1)) -> None:
    """Write ``records.json``, from which every figure can be computed again."""
    record: Dict[str, Any] = {"plan": results.plan.to_json()}
    if shard != (1, 1):
        record["shard"] = shard
    record["results"] = results.state_dict()  # last, see _read_plan
    write_atomically(os.path.join(str(folder), RECORDS), _encode(record))


def has_records(folder: str) -> bool:
    """Whether a folder holds finished results."""
    return os.path.isfile(os.path.join(str(folder), RECORDS))


def read_records(folder: str) -> Results:
    """The results in an evaluation's output folder, or in the file ``records.json`` itself.

    Raises:
        UserError: no results are there, or damaged ones.
    """
    path = str(folder)
    if os.path.isdir(path):
        path = os.path.join(path, RECORDS)
    if not os.path.isfile(path):
        raise UserError(f"{path}: no such file; expected the results of an evaluation")
    return _results_in(path)


def parse_shard(text: Optional[str]) -> Tuple[int, int]:
    """Parse ``i/n`` of ``--shard``; ``None`` gives (1, 1)."""
    if text is None:
        return 1, 1
    index, slash, count = text.partition("/")
    if not (slash and index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        raise UserError(f"--shard {text}: expected I/N with I from 1 to N")
    return int(index), int(count)


def merge_records(folders: Sequence[str]) -> Results:
    """Merge the results of shards, in one or more folders, to those of every image of the data set.

    Raises:
        UserError: results of different plans, an image in two of them, or images in none.
    """
    merged = read_records(folders[0])
    for folder in folders[1:]:
        found = read_records(folder)
        differences = merged.plan.differences(found.plan)
        if differences:
            raise UserError(
                f"--merge {folder}: another evaluation than {folders[0]}, it differs in "
                f"{', '.join(differences)}"
            )
        try:
            merged.merge(found)
        except ValueError as error:
            raise UserError(f"--merge {folder}: {error}") from error
    lacking = merged.plan.images - len(merged)
    if lacking:
        there = merged.positions
        first = next(position for position in itertools.count() if position not in there)
        raise UserError(
            f"--merge: {lacking} of {merged.plan.images} images are in none of the results, the first "
            f"is image {first + 1}; expected every shard"
        )
    return merged


def _encode(values: Any) -> bytes:
    return (json.dumps(values) + "\n").encode("utf-8")


def _read_json(path: str) -> Any:
    data = read_bounded(path, _MOST_BYTES, "results of an evaluation") or b""
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(
            f"{path}: damaged or unreadable results ({reason}); remove it, or give --restart"
        ) from error


def _results_in(path: str, plan: Optional[Plan] = None) -> Results:
    """The results in a file, by default of the plan in it."""
    try:
        state = _read_json(path)
        if plan is None:
            plan, state = Plan.from_json(state["plan"]), state["results"]
        return Results.from_state(plan, state)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: damaged results: {error}") from error
