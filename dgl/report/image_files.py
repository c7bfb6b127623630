"""What the demo writes of one image, where, and whether it is there already.

Every image has its own JSON record, which is written last: where the record is, so is everything else.
"""

import io
import json
import math
import os
from collections import Counter
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from dgl.errors import UserError
from dgl.predict import postprocess as box_ops
from dgl.predict.overlay import draw_boxes, overlay, write_image
from dgl.utils.files import read_bounded, write_atomically

Entry = Tuple[str, str]
Record = Dict[str, Any]

RESULTS = "results.jsonl"
_MOST_BYTES = 1 << 20  # a record has a few hundred bytes


class ImageFiles:
    """Writes the maps, the box and the record of images by one set of flags.

    Args:
        entries: list of (method, layer), the maps.
        mode: backbone name, which file names begin with.
        method: the one of the entries' whose map gives the box.
        threshold: float in [0, 1], fraction of that map's maximum.
        save_maps: whether the raw maps are written too.
        settings: ordered JSON values that a result hangs on; they end every record.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        mode: str,
        method: str,
        threshold: float,
        save_maps: bool,
        settings: Mapping[str, Any],
    ):
        self._stems = {}
        for own, layer in entries:
            flat = layer.replace("/", "_")
            own_name = f"{mode}_{flat}_{own}"
            name = f"{mode}_cam" if own == "cam" else own_name
            self._stems[own, layer] = name
        self._box_of = next(entry for entry in self._stems if entry[0] == method)
        self._mode = mode
        self._threshold = threshold
        self._save_maps = save_maps
        self._settings = settings

    def write(
        self,
        path: str,
        image: np.ndarray,
        maps: Mapping[Entry, np.ndarray],
        about: Mapping[str, Any],
        outdir: str,
    ) -> Record:
        """Write everything about one image.

        Args:
            path: str, the image's file.
            image: uint8 (H, W, 3), RGB.
            maps: (method, layer) -> float (h, w), raw.
            about: ordered JSON values of the record, on the class.
            outdir: str, the folder.

        Returns:
            ordered dict, the record.

        Raises:
            UserError: a file cannot be written.
        """
        height, width = image.shape[:2]
        box_map = None
        for entry, stem in self._stems.items():
            # The two maps may differ in resolution: each goes to the image's size by itself.
            score_map = box_ops.resize_map(box_ops.normalize(maps[entry]), height, width)
            if entry == self._box_of:
                box_map = score_map
            write_image(os.path.join(outdir, stem + ".png"), overlay(image, score_map))
            if self._save_maps:
                buffer = io.BytesIO()
                np.save(buffer, maps[entry])
                write_atomically(os.path.join(outdir, stem + ".npy"), buffer.getvalue())
        box = [int(v) for v in box_ops.largest_box(box_map, self._threshold)]
        write_image(self._box_path(outdir), draw_boxes(image, predicted=box))
        record = {"image": path, "width": width, "height": height}
        record.update(self._flags())
        record.update(about)
        record.update(box=box, threshold=self._threshold)
        record.update(self._settings)
        text = json.dumps(record, indent=1) + "\n"
        write_atomically(self._record_path(outdir), text.encode("utf-8"))
        return record

    def find(self, path: str, class_index: Optional[int], outdir: str) -> Optional[Record]:
        """The record of an image that was dealt with before, by these same flags.

        Args:
            path: str, the image's file.
            class_index: the class that is wanted, ``None`` for the most probable one.
            outdir: str, the folder.

        Returns:
            ordered dict, or ``None`` where a file is missing, was made with other flags, or is older
            than what it is made of.
        """
        record_path = self._record_path(outdir)
        others = [path, self._box_path(outdir)]
        for stem in self._stems.values():
            others.append(os.path.join(outdir, stem + ".png"))
            if self._save_maps:
                others.append(os.path.join(outdir, stem + ".npy"))
        try:
            # An image may have changed, and a run with other flags writes some of the same files.
            if max(map(os.path.getmtime, others)) > os.path.getmtime(record_path):
                return None
            text = read_bounded(record_path, _MOST_BYTES, "a record") or b""
            record = json.loads(text.decode("utf-8"))
        except (OSError, ValueError, RecursionError, UserError):
            return None
        wanted = dict(self._settings, image=path, threshold=self._threshold, **self._flags())
        if not isinstance(record, dict) or not {"box", "predicted_index"} <= set(record):
            return None
        wanted["class_index"] = record["predicted_index"] if class_index is None else class_index
        return record if all(record.get(key) == wanted[key] for key in wanted) else None

    def _flags(self):
        method, layer = self._box_of
        return {"mode": self._mode, "method": method, "layer": layer}

    def _record_path(self, outdir):
        return os.path.join(outdir, self._stems[self._box_of] + ".json")

    def _box_path(self, outdir):
        return os.path.join(outdir, self._stems[self._box_of] + "_box.png")


def json_number(value: float) -> Union[float, str]:
    """A float as JSON has it: it has no infinity."""
    return value if math.isfinite(value) else "inf"


def folder_names(paths: Sequence[str]) -> List[str]:
    """A folder name for each of several images.

    Args:
        paths: list of str, different images.

    Returns:
        list of str, all different: the image's name, with its extension where another image's
        folder, or a file of the run itself, would have the same name without. Where images of
        several folders have one name, a number follows it from the second on.
    """
    names = [os.path.basename(path) for path in paths]
    stems = [os.path.splitext(name)[0] for name in names]
    count = Counter(os.path.splitext(name)[0] for name in set(names))
    taken = {name for name, stem in zip(names, stems) if count[stem] > 1}
    taken.add(RESULTS)
    return _numbered(
        [name if count[stem] > 1 or stem in taken else stem for name, stem in zip(names, stems)]
    )


def _numbered(names):
    """The same names, those that occur again with a number behind them that makes them different."""
    used, times, found = set(names), Counter(), []
    for name in names:
        times[name] += 1
        folder = name
        while times[name] > 1 and folder in used:
            folder = f"{name}-{times[name]}"
            times[name] += folder in used
        used.add(folder)
        found.append(folder)
    return found


def write_results(outdir: str, records: Iterable[Record]) -> None:
    """Write ``results.jsonl``, one record a line.

    Args:
        outdir: str.
        records: iterable of dicts.

    Raises:
        UserError: nowhere to write.
    """
    text = "".join(json.dumps(record) + "\n" for record in records)
    write_atomically(os.path.join(outdir, RESULTS), text.encode("utf-8"))


def remove_results(outdir: str) -> None:
    """Remove ``results.jsonl`` if it is there.

    Args:
        outdir: str.

    Raises:
        UserError: it cannot be removed.
    """
    path = os.path.join(outdir, RESULTS)
    try:
        if os.path.isfile(path):
            os.remove(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be replaced: {error.strerror}") from error
