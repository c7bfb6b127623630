"""Valid and damaged results of evaluations, which later runs read again."""

import copy
import json

from made_results import PLAIN, filled

from .case import GOOD, Case
from .data_sets import ESCAPE
from .mutate import REPLACEMENTS, around, refused

KIND = "results"
RECORDS, PLAN, BATCH = "records.json", "partial/plan.json", "partial/batch-000000.json"


def _encoded(values):
    return json.dumps(values).encode("ascii")


def sound():
    """An output folder with finished results and with a batch of an unfinished run."""
    whole = filled(range(PLAIN.images), broken=(3,))
    return {
        RECORDS: _encoded({"plan": PLAIN.to_json(), "results": whole.state_dict()}),
        PLAN: _encoded(PLAIN.to_json()),
        BATCH: _encoded(filled(range(PLAIN.batch)).state_dict()),
    }


def _paths(values, path=()):
    """Where the leaves of JSON values are."""
    if isinstance(values, dict):
        for key in values:
            yield from _paths(values[key], path + (key,))
    elif isinstance(values, list) and values:
        yield from _paths(values[0], path + (0,))
    else:
        yield path


def _changed(values, path, new):
    values = copy.deepcopy(values)
    place = values
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = new
    return values


_NEW = (
    None, -1, 0, 10**12, 10**30, 1e-300, float("nan"), float("inf"), "", "a", ESCAPE, [], {},
    [[]], True, "../../x",
)  # fmt: skip


def cases():
    """Yields every :class:`~benchmarks.robustness.case.Case` of results."""
    files = sound()
    yield from around(KIND, "results", files, [RECORDS, PLAN, BATCH], flips=12)
    for target in (RECORDS, PLAN, BATCH):
        values = json.loads(files[target].decode("ascii"))
        for path in _paths(values):
            for number, new in enumerate(_NEW):
                # A name or a text of another value is as good.
                name = "{} | {} is {!r}".format(target, "/".join(map(str, path)), new)
                changed = dict(files, **{target: _encoded(_changed(values, path, new))})
                yield Case(KIND, name, changed, slow=number % 4 != len(path) % 4)
        for name, data in (
            ("deep", b"[" * 200000),
            ("a list", b"[]"),
            ("a number", b"7"),
            ("a long number", b"7" * 1000000),
            ("no text", b"\xff\xfe" * 50),
        ):
            yield Case(KIND, f"{target} is {name}", dict(files, **{target: data}))
    for name in ("batch-999999.json", "batch-000001.json", "batch-x.json"):
        for what, make in REPLACEMENTS:
            node = {"partial/" + name: make}
            yield Case(KIND, f"{name} is {what}", files, nodes=node)
    yield Case(KIND, "nothing but a batch", {RECORDS: files[RECORDS], BATCH: files[BATCH]}, GOOD)
    yield refused(KIND, "no results", {"other.json": b"{}"})
