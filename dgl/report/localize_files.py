"""Files that ``dgl localize`` writes for each image: maps, box and a JSON record.

The record is written last, so its presence means that the other files are complete.
"""

import dataclasses
import io
import json
import math
import os
import re
from collections import Counter
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from dgl.data.image_io import Decoded
from dgl.errors import UserError
from dgl.predict import postprocess
from dgl.predict.overlay import draw_boxes, heat_with_region, overlay, write_image
from dgl.predict.postprocess import MINMAX, Normalization
from dgl.utils.files import read_bounded, write_atomically, write_json

Entry = Tuple[str, str]
Record = Dict[str, Any]

RESULTS = "results.jsonl"
_MOST_BYTES = 1 << 20  # a record has a few hundred bytes


class Finding(NamedTuple):
    """A class in one image: JSON values of its record, and its raw maps, float (h, w)."""

    facts: Mapping[str, Any]
    maps: Mapping[Entry, np.ndarray]


@dataclasses.dataclass
class ImageFiles:
    """Writes the files of images, and finds those of an earlier run with the same flags.

    Attributes:
        entries: (method, layer) of each map.
        mode: backbone name, with which file names begin.
        method: the method whose map gives the box.
        threshold: fraction of that map's maximum.
        save_maps: whether raw maps are written as ``.npy`` too.
        settings: JSON values that the result depends on; they are the last ones of every record.
        published: draw as the published code does, and find a box in a map that is nowhere positive.
        normalization: of the map that gives the box.
        draws: whether maps and box are drawn, which takes longer than a small network.
    """

    entries: Sequence[Entry]
    mode: str
    method: str
    threshold: float
    save_maps: bool
    settings: Mapping[str, Any]
    published: bool = True
    normalization: Normalization = MINMAX
    draws: bool = True

    def __post_init__(self) -> None:
        self._stems = {}
        for name, layer in self.entries:
            plain = re.sub(r"[^\w.+-]+", "_", layer).strip("_")
            middle = "cam" if name == "cam" else f"{plain}_{name}"
            self._stems[name, layer] = f"{self.mode}_{middle}"
        self._box_entry = next(entry for entry in self._stems if entry[0] == self.method)

    def write(
        self, path: str, decoded: Decoded, findings: Sequence[Finding], outdir: str
    ) -> Record:
        """Write all files of one image.

        Args:
            path: the image's file.
            decoded: the image; boxes of the record are in pixels of its file.
            findings: one per class that was localized, the first one for the record itself; the files
                of the others are numbered.
            outdir: folder.

        Returns:
            the record.
        """
        width, height = decoded.size
        boxes = [
            # Numbers of classes count from 1, and the first one has none.
            self._write_maps(decoded, found.maps, outdir, f"_top{rank}" if rank > 1 else "")
            for rank, found in enumerate(findings, 1)
        ]
        keys = ("class_index", "class_name", "probability")
        classes = [
            {**{key: found.facts[key] for key in keys}, "box": box}
            for found, box in zip(findings, boxes)
        ]
        record = {
            "image": path,
            "width": width,
            "height": height,
            **self._flags(),
            **findings[0].facts,
            "box": boxes[0],
            "threshold": self.threshold,
            **({"classes": classes} if len(classes) > 1 else {}),
            **self.settings,
        }
        self._remove_ranks_above(len(findings), outdir)
        write_json(self._record_path(outdir), record)
        return record

    def _remove_ranks_above(self, kept: int, outdir: str) -> None:
        """Remove the files of further classes that an earlier run left, perhaps of another image."""
        stems = "|".join(map(re.escape, self._stems.values()))
        pattern = re.compile(rf"(?:{stems})_top([0-9]+)(?:_box)?\.(?:png|npy)")
        for name in os.listdir(outdir) if os.path.isdir(outdir) else ():
            found = pattern.fullmatch(name)
            if found and int(found.group(1)) > kept:
                os.remove(os.path.join(outdir, name))

    def _write_maps(
        self, decoded: Decoded, maps: Mapping[Entry, np.ndarray], outdir: str, suffix: str
    ) -> Optional[List[int]]:
        """Write maps and box of one class; returns the box, ``None`` where there is no region."""
        image = decoded.image
        height, width = image.shape[:2]
        found: Optional[np.ndarray] = None
        for entry, stem in self._stems.items():
            is_main = entry == self._box_entry
            if not (self.draws or self.save_maps or is_main):
                continue
            # Threshold and normalization were chosen for the map of the box; another is drawn as usual.
            threshold = self.threshold if is_main else postprocess.DEFAULT_THRESHOLD
            normalization = self.normalization if is_main else MINMAX
            # Maps may differ in resolution, so each is resized to the image by itself.
            score_map = postprocess.score_map(maps[entry], height, width, normalization)
            box: Optional[np.ndarray] = None
            if self.published or maps[entry].max() > 0:
                largest = postprocess.largest_box(score_map, threshold)
                box = largest if largest.any() else None
            if is_main:
                found = box
            path = os.path.join(outdir, stem + suffix)
            if self.draws:
                if self.published:
                    drawn = overlay(image, score_map)
                else:
                    drawn = heat_with_region(image, score_map, threshold, box)
                write_image(path + ".png", drawn)
            if self.save_maps:
                buffer = io.BytesIO()
                np.save(buffer, maps[entry])
                write_atomically(path + ".npy", buffer.getvalue())
        if self.draws:
            path = os.path.join(outdir, self._stems[self._box_entry] + suffix + "_box.png")
            write_image(path, draw_boxes(image, predicted=found))
        return None if found is None else [int(value) for value in decoded.to_file(found)]

    def find(self, path: str, class_index: Optional[int], outdir: str) -> Optional[Record]:
        """The record of an image from an earlier run with the same flags.

        ``None`` if a file is missing, older than the image, or from other flags. ``class_index`` is
        ``None`` for the most probable class.
        """
        record_path = self._record_path(outdir)
        names = [self._stems[self._box_entry] + "_box.png"] if self.draws else []
        for stem in self._stems.values():
            names += [stem + ".png"] * self.draws + [stem + ".npy"] * self.save_maps
        others = [path, *(os.path.join(outdir, name) for name in names)]
        try:
            # Newer files mean that the image changed or that a run with other flags wrote them.
            if max(map(os.path.getmtime, others)) > os.path.getmtime(record_path):
                return None
            text = read_bounded(record_path, _MOST_BYTES, "a record") or b""
            record = json.loads(text.decode("utf-8"))
        except (OSError, ValueError, RecursionError, UserError):
            return None
        if not isinstance(record, dict) or not {"box", "predicted_index"} <= set(record):
            return None
        wanted = dict(self.settings, image=path, threshold=self.threshold, **self._flags())
        wanted["class_index"] = record["predicted_index"] if class_index is None else class_index
        return record if all(record.get(key) == wanted[key] for key in wanted) else None

    def _flags(self) -> Dict[str, str]:
        method, layer = self._box_entry
        return {"mode": self.mode, "method": method, "layer": layer}

    def _record_path(self, outdir: str) -> str:
        return os.path.join(outdir, self._stems[self._box_entry] + ".json")


def json_number(value: float) -> Union[float, str]:
    """A float for JSON, which has no infinity: ``"inf"`` instead."""
    return value if math.isfinite(value) else "inf"


def folder_names(paths: Sequence[str]) -> List[str]:
    """A folder name of its own for each of several images.

    It is the image's name without its extension, or with it where that would clash with another image's
    folder or with ``results.jsonl``. Images of the same name from several folders are numbered from the
    second one on.
    """
    names = [os.path.basename(path) for path in paths]
    stems = [os.path.splitext(name)[0] for name in names]
    count = Counter(os.path.splitext(name)[0] for name in set(names))
    taken = {name for name, stem in zip(names, stems) if count[stem] > 1}
    taken.add(RESULTS)
    folders = [
        name if count[stem] > 1 or stem in taken else stem for name, stem in zip(names, stems)
    ]
    used = set(folders)
    times: Dict[str, int] = Counter()
    numbered = []
    for name in folders:
        times[name] += 1
        folder = name
        while times[name] > 1 and folder in used:
            folder = f"{name}-{times[name]}"
            times[name] += folder in used
        used.add(folder)
        numbered.append(folder)
    return numbered


def write_results(outdir: str, records: Iterable[Record]) -> None:
    """Write ``results.jsonl``, one record per line."""
    text = "".join(json.dumps(record) + "\n" for record in records)
    write_atomically(os.path.join(outdir, RESULTS), text.encode("utf-8"))


def remove_results(outdir: str) -> None:
    """Remove ``results.jsonl`` if it exists."""
    path = os.path.join(outdir, RESULTS)
    try:
        if os.path.isfile(path):
            os.remove(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be replaced: {error.strerror}") from error
