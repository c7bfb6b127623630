"""Results on disk: stored by batch, merged from shards, refused when damaged."""

import dataclasses
import json
import os

import pytest
from made_results import PLAIN, filled

from dgl.errors import UserError
from dgl.evaluation.results import Store, has_records, read_records, write_records


def test_batches_come_back_as_they_were(tmp_path):
    store = Store(tmp_path, PLAIN)
    assert store.done() == []
    for chunk, positions in ((1, range(8, 16)), (0, range(8))):
        store.write(chunk, filled(positions, broken=(3,)))
    again = Store(tmp_path, PLAIN)
    assert again.done() == [0, 1]
    assert again.read(0).state_dict() == filled(range(8), broken=(3,)).state_dict()
    assert not has_records(tmp_path)
    again.finish(filled(range(17)))
    assert os.listdir(str(tmp_path)) == ["records.json"] and has_records(tmp_path)
    found = read_records(tmp_path)
    assert found.state_dict() == filled(range(17)).state_dict() and found.plan == PLAIN


def test_a_store_of_another_plan_is_kept_until_told_otherwise(tmp_path):
    Store(tmp_path, PLAIN).write(0, filled(range(8)))
    other = dataclasses.replace(PLAIN, step=0.1)
    with pytest.raises(UserError, match="unfinished results of another evaluation, .* in step;"):
        Store(tmp_path, other)
    assert Store(tmp_path, PLAIN).done() == [0]
    assert Store(tmp_path, other, restart=True).done() == []


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff\xfe", b"[" * 100000, b'{"plan": {}}'])
def test_damaged_results_are_one_line(tmp_path, text):
    (tmp_path / "records.json").write_bytes(text)
    with pytest.raises(UserError, match=r"records\.json: damaged") as caught:
        read_records(tmp_path)
    assert "\n" not in str(caught.value)
    store = Store(tmp_path, PLAIN)
    (tmp_path / "partial" / "batch-000000.json").write_bytes(text)
    with pytest.raises(UserError, match=r"batch-000000\.json: damaged"):
        store.read(0)
    (tmp_path / "partial" / "plan.json").write_bytes(text)
    with pytest.raises(UserError, match=r"plan\.json: .*--restart"):
        Store(tmp_path, PLAIN)


def test_results_of_other_entries_or_images_are_damaged(tmp_path):
    write_records(tmp_path, filled(range(4)))
    path = tmp_path / "records.json"
    record = json.loads(path.read_text())
    for change in (
        {"names": record["results"]["names"][:2]},
        {"evaluators": record["results"]["evaluators"][:2]},
        {"evaluators": record["results"]["evaluators"][::-1]},
    ):
        path.write_text(json.dumps(dict(record, results=dict(record["results"], **change))))
        with pytest.raises(UserError, match="damaged results"):
            read_records(tmp_path)


def test_batches_without_a_plan_are_dropped(tmp_path):
    store = Store(tmp_path, PLAIN)
    store.write(0, filled(range(8)))
    (tmp_path / "partial" / "plan.json").unlink()
    assert Store(tmp_path, PLAIN).done() == []
