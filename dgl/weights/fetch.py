"""Fetch published weights into the cache folder (``DGL_HOME``), in the form that `--load` takes.

``dgl fetch vgg16`` downloads the file that ``--load vgg16`` stands for into ``downloads/`` there,
checks it, and writes ``pretrain_model/vgg16.npz``. ``fetched.json`` has the SHA-256 of everything that
was fetched.
"""

import contextlib
import datetime
import fcntl
import json
import os
import re
import shutil
import tarfile
import tempfile
import zipfile
from functools import partial
from typing import IO, Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from tqdm import tqdm

from dgl.backbones.published import PUBLISHERS
from dgl.errors import UserError, first_line
from dgl.utils.files import cache_folder, read_bounded, write_atomically, write_json
from dgl.weights.checkpoint import Checkpoint, open_checkpoint, read_weights
from dgl.weights.convert import convert
from dgl.weights.formats.npz import save_npz
from dgl.weights.identify import recognize
from dgl.weights.restore import check_fit, network_variables, options_from
from dgl.weights.sources import Source, direct_address, find_source, sources

TIMEOUT = 30.0  # seconds without a byte
_BLOCK = 1 << 16
_RECORD = "fetched.json"
_MOST_RECORD = 1 << 24
_MOST_UNPACKED = 8 << 30
_WEIGHTS_IN_ARCHIVE = re.compile(r"(\.index|\.data-\d{5}-of-\d{5}|\.ckpt|\.npz)$")


class Fetched(NamedTuple):
    """What was done."""

    source: Source
    out: str  # the file for `--load`
    sha256: str  # of the published file, hexadecimal
    checked: str  # what it was checked with, for people
    is_new: bool  # whether anything was done


class Record:
    """``fetched.json`` in the cache folder: SHA-256 by address, and what each file for `--load` is of."""

    def __init__(self) -> None:
        self.path = os.path.join(cache_folder(), _RECORD)
        self.files: Dict[str, Any] = {}
        self.made: Dict[str, Any] = {}
        data = read_bounded(self.path, _MOST_RECORD, "the record of `dgl fetch`")
        if data is None:
            return
        try:
            content = json.loads(data.decode("utf-8"))
            self.files, self.made = dict(content["files"]), dict(content["made"])
            for entry in list(self.files.values()) + list(self.made.values()):
                str(entry["sha256"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(
                f"{self.path}: not the record of `dgl fetch` ({first_line(error)}); remove it to begin anew"
            ) from None

    def add(self, source: Source, sha256: Optional[str], made: Dict[str, Any]) -> None:
        """Note what was made, and the digest of what was fetched if it is the published file."""
        if sha256 is not None:
            today = datetime.date.today().isoformat()
            self.files.setdefault(source.file.url, {"sha256": sha256, "first_fetched": today})
        self.made[os.path.basename(source.out)] = made
        write_json(self.path, {"files": self.files, "made": self.made})


def is_ready(source: Source, record: Record, keep_first_layer: Optional[bool] = None) -> bool:
    """Whether the file for ``--load`` is there and was made of this source, in the way that is given."""
    made = record.made.get(os.path.basename(source.out), {})
    same = keep_first_layer in (None, made.get("keep_first_layer"))
    return made.get("url") == source.file.url and same and os.path.isfile(source.out)


def fetch(name: str, brought: Optional[str] = None, keep_first_layer: bool = False) -> Fetched:
    """Bring weights into the cache folder.

    Args:
        name: a name of :func:`sources`.
        brought: the published file, if it was downloaded by hand.
        keep_first_layer: see :func:`~dgl.weights.convert.convert`.

    Raises:
        UserError: no connection, a broken or changed download, other weights than expected. Nothing
            is left but the part of an interrupted download, which the next call continues.
    """
    source = find_source(name)
    record = Record()
    if brought is not None:
        source = _named_like(source, brought)
    elif is_ready(source, record, keep_first_layer):
        sha256 = str(record.made[os.path.basename(source.out)]["sha256"])
        return Fetched(source, source.out, sha256, "fetched before", False)
    path = source.download_path if brought is None else brought
    if not os.path.isfile(path):
        if brought is not None:
            raise UserError(f"--from {path}: no such file; expected {source.file.url}")
        download(source.file.url, path, f"bring it by hand: dgl fetch {name} --from FILE")
    try:
        is_whole = brought is None or _is_whole(brought, source)
        sha256, checked = _check(path, source, record, is_whole)
        _make(path, source, keep_first_layer)
    except UserError as error:
        if brought is not None or str(error).startswith(source.out):  # not its fault
            raise
        with contextlib.suppress(OSError):
            os.remove(path)
        raise UserError(f"{source.file.url}: what it answered is refused: {error}") from None
    made = {"url": source.file.url, "sha256": sha256, "keep_first_layer": keep_first_layer}
    record.add(source, sha256 if is_whole else None, made)
    return Fetched(source, source.out, sha256, checked, True)


def download(url: str, path: str, by_hand: str) -> None:
    """Download a file, or the rest of it after an interruption.

    Pooch's own ``retrieve`` begins anew each time, and wants the whole of a digest. ``by_hand`` is what an
    error advises to do.

    Raises:
        UserError: there is no file then; what came of it waits in ``path + ".part"``.
    """
    part_path, tag_path = path + ".part", path + ".part.tag"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(part_path, "ab") as stream:
            _lock(stream, part_path)
            fault, total = _receive(url, stream, tag_path)
            size = stream.seek(0, os.SEEK_END)
        if fault is None:
            os.replace(part_path, path)
            os.remove(tag_path)
            return
        is_begun = size > 0 and (total is None or size < total)
        if not is_begun:
            os.remove(part_path)
            with contextlib.suppress(FileNotFoundError):
                os.remove(tag_path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    again = ""
    if is_begun:
        of = "" if total is None else f" of {total / 1e6:.1f}"
        again = f"; {size / 1e6:.1f}{of} MB are there, and the same command continues"
    raise UserError(f"{url}: {fault}{again}; {by_hand}")


def _lock(stream: IO[bytes], path: str) -> None:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"{path}: another `dgl fetch` is downloading it") from None
    except OSError:
        return  # a file system without locks


def _receive(url: str, stream: IO[bytes], tag_path: str) -> Tuple[Optional[str], Optional[int]]:
    """Append a server's answer to the part of a file that is there, of the version that ``tag_path`` tells.

    Returns:
        (what went wrong or ``None``, size of the whole file if the server tells it).
    """
    import requests

    start = stream.seek(0, os.SEEK_END)
    total: Optional[int] = None
    headers = {"Accept-Encoding": "identity"}  # lengths count
    if start:
        headers["Range"] = f"bytes={start}-"
        known = read_bounded(tag_path, 1 << 12, "a version of a file")
        if known:
            headers["If-Range"] = known.decode("latin-1")
    address = direct_address(url)
    try:
        with requests.get(address, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            fault = _fault_of(answer, start)
            if fault is not None:
                # Whatever is there, it is no part of what the server has now.
                if answer.ok or answer.status_code == 416:
                    stream.truncate(0)
                return fault, None
            if answer.status_code != 206:
                start = 0
                stream.truncate(0)
            length = answer.headers.get("Content-Length", "")
            if length.isdigit() and "Content-Encoding" not in answer.headers:
                total = start + int(length)
            tag = answer.headers.get("ETag", "")
            tag = answer.headers.get("Last-Modified", "") if tag.startswith("W/") else tag
            write_atomically(tag_path, tag.encode("latin-1"))
            with tqdm(
                total=total, initial=start, desc=url.rsplit("/", 1)[1], unit="B",
                unit_scale=True, disable=None,
            ) as bar:  # fmt: skip
                for block in answer.iter_content(_BLOCK):
                    stream.write(block)
                    bar.update(len(block))
    except requests.exceptions.Timeout:
        return f"no answer within {TIMEOUT:g} seconds", total
    except requests.exceptions.ConnectionError:
        return "cannot be reached" if total is None else "broke off", total
    except requests.exceptions.ChunkedEncodingError:
        return "broke off", total
    except requests.exceptions.RequestException as error:
        return f"cannot be fetched ({first_line(error)})", total
    size = stream.seek(0, os.SEEK_END)
    if total is not None and size != total:
        return "broke off", total
    return None if size else "answered with an empty file", total


def _fault_of(answer: Any, start: int) -> Optional[str]:
    """What is wrong with an answer, before its body is read, to a request from byte ``start`` on."""
    if not answer.ok:
        return f"answered {answer.status_code} {answer.reason}"
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        return "answered with a web page instead of the file"
    told = answer.headers.get("Content-Range", "")
    if answer.status_code == 206 and not told.startswith(f"bytes {start}-"):
        return "answered with another part of the file than was asked for"
    return None


def _named_like(source: Source, brought: str) -> Source:
    """The source of the same network whose published file has the name of the one that was brought."""
    for other in () if source.is_released else sources():
        names = (other.file.file_name, other.file.url.rsplit("/", 1)[1])
        if other.backbone is source.backbone and os.path.basename(brought) in names:
            return other
    return source


def _is_whole(brought: str, source: Source) -> bool:
    """Whether it can be compared: not what somebody took out of a published archive."""
    is_archive = source.file.url.endswith(".tar.gz")
    return not source.is_released and is_archive == _is_tar(brought)


def _is_tar(path: str) -> bool:
    with contextlib.suppress(Exception):
        return tarfile.is_tarfile(path)
    return False


def _check(path: str, source: Source, record: Record, is_whole: bool) -> Tuple[str, str]:
    """Compare a file with what its publisher or the record says: (SHA-256, what it agrees with)."""
    import pooch

    try:
        sha256 = pooch.file_hash(path)
        kind, _, expected = source.file.digest.partition(":")
        found = sha256 if kind in ("", "sha256") else pooch.file_hash(path, alg=kind)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if expected:
        if not found.startswith(expected):
            raise UserError(
                f"{path}: its {kind} is {found}, expected {expected} as {source.publisher} says"
            )
        return sha256, f"as {source.publisher} says ({kind} {expected})"
    if not is_whole:
        return sha256, "brought by hand, not compared with anything"
    known = record.files.get(source.file.url)
    if known is None:
        return sha256, f"recorded now, since {source.publisher} gives none"
    if sha256 != known["sha256"]:
        raise UserError(
            f"{path}: SHA-256 {sha256}, but {known['sha256']} when it was first fetched "
            f"({known.get('first_fetched', 'before')}); to trust the new one, remove {record.path}"
        )
    return sha256, "as at the first fetch"


def _make(path: str, source: Source, keep_first_layer: bool) -> None:
    """Write the file for ``--load`` from a published one."""
    with _unpacked(path) as inner:
        checkpoint = open_checkpoint(inner)
        if source.is_released:
            _make_released(checkpoint, source)
            return
        found = recognize(checkpoint.shapes)
        if found is not None and found.publisher != source.file.publisher:
            raise UserError(
                f"{path}: holds weights of {PUBLISHERS[found.publisher]}, expected "
                f"{source.file.file_name} of {source.publisher}"
            )
        convert(
            inner,
            source.out,
            mode=source.backbone.mode,
            published_as=source.file.file_name,
            keep_first_layer=keep_first_layer,
            force=True,
        )


def _make_released(checkpoint: Checkpoint, source: Source) -> None:
    """Write the variables of the network, without the optimizer's."""
    backbone = source.backbone
    if not backbone.matches(checkpoint.shapes):
        raise UserError(f"{checkpoint.path}: expected a checkpoint of {backbone.mode}")
    wanted = network_variables(backbone, options_from(backbone, checkpoint))
    check_fit(wanted, checkpoint, backbone.mode)
    save_npz(source.out, {name: read_weights(checkpoint, name) for name in wanted})


@contextlib.contextmanager
def _unpacked(path: str) -> Iterator[str]:
    """Yield the checkpoint in an archive, or ``path`` itself if it is none."""
    with contextlib.ExitStack() as stack:
        try:
            members = _members(path, stack)
            if members:
                os.makedirs(cache_folder(), exist_ok=True)
                folder = stack.enter_context(tempfile.TemporaryDirectory(dir=cache_folder()))
                for name, open_member in members.items():
                    with open_member() as stream, open(os.path.join(folder, name), "wb") as out:
                        shutil.copyfileobj(stream, out)
                index = [name for name in members if name.endswith(".index")]
                path = os.path.join(folder, (index or sorted(members))[0])
        except Exception as error:  # whatever may be wrong with it
            raise UserError(f"{path}: cannot be unpacked ({first_line(error)})") from None
        yield path


def _members(path: str, stack: contextlib.ExitStack) -> Dict[str, Callable[[], Any]]:
    """The weight files in an archive: name -> function that opens it."""
    found: List[Tuple[str, int, Callable[[], Any]]] = []
    if zipfile.is_zipfile(path):
        archive = stack.enter_context(zipfile.ZipFile(path))
        for entry in archive.infolist():
            found.append((entry.filename, entry.file_size, partial(archive.open, entry)))
    elif _is_tar(path):
        tar = stack.enter_context(tarfile.open(path))  # noqa: SIM115
        for member in filter(tarfile.TarInfo.isfile, tar.getmembers()):
            found.append((member.name, member.size, partial(tar.extractfile, member)))
    weights = [entry for entry in found if _WEIGHTS_IN_ARCHIVE.search(entry[0])]
    if sum(size for _, size, _ in weights) > _MOST_UNPACKED:
        raise ValueError(f"more than {_MOST_UNPACKED >> 30} GB")
    return {os.path.basename(name): open_member for name, _, open_member in weights}
