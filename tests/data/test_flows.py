"""Training and validation flows: batches, their order, and worker processes."""

import itertools
import os
import signal
import time

import numpy as np
import pytest
from PIL import Image
from refusals import check_refusal, refusal

from dgl.data.flows import FailureKeeper, ProcessMapData, Share, ShuffledDraws, ValidationFlow
from dgl.data.flows import training_flow as make_training_flow
from dgl.data.sample import Sample
from dgl.data.views import validation_view
from dgl.errors import UserError
from dgl.utils import parallel

from tensorpack.dataflow import DataFlow, DataFromList, ProxyDataFlow  # isort: skip

SIZE = 32


def noise(index):
    """uint8 RGB (H, W, 3) of the index's own shape."""
    shape = (20 + 3 * index, 50 - 4 * index, 3)
    return np.random.RandomState(index).randint(0, 256, shape, dtype="uint8")


@pytest.fixture
def samples(tmp_path):
    """Seven noise images of different shapes, stored without loss; classes 0, 10, 20, ..."""
    made = [Sample(f"{n}.png", str(tmp_path / f"{n}.png"), 10 * n) for n in range(7)]
    for index, sample in enumerate(made):
        Image.fromarray(noise(index)).save(sample.path)
    return made


def broken(tmp_path):
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe0 no image")
    return Sample(path.name, str(path), 99)


def take(flow, count):
    """The first ``count`` points of a flow."""
    flow.reset_state()
    return list(itertools.islice(iter(flow), count))


def test_draws_give_every_sample_once_an_epoch():
    draws = ShuffledDraws(list("abcdefgh"), seed=1)
    points = take(draws, 24)
    orders = ["".join(sample for sample, _ in points[start : start + 8]) for start in (0, 8, 16)]
    assert [sorted(order) for order in orders] == [list("abcdefgh")] * 3
    assert len(set(orders)) == 3
    assert len({int(seed) for _, seed in points}) == 24


def drawn(count, **settings):
    flow = ShuffledDraws(list("abcdefghijk"), seed=7, **settings)
    return [(sample, int(seed)) for sample, seed in take(flow, count)]


@pytest.mark.parametrize("start", [0, 10, 11, 12])
def test_draws_begin_anywhere(start):
    assert drawn(30, start=start) == drawn(start + 30)[start:]


@pytest.mark.parametrize("count", [1, 3, 4])
@pytest.mark.parametrize("start", [0, 24])
def test_processes_share_every_batch_out(count, start):
    """Slice after slice their batches are the joint ones; so in a pass no sample comes twice."""
    batch, batches = 12, 8
    each = batch // count
    shares = [
        drawn(each * batches, share=Share(batch, i, count), start=start) for i in range(count)
    ]
    slices = [slice(each * number, each * (number + 1)) for number in range(batches)]
    joint = [point for part in slices for own in shares for point in own[part]]
    assert joint == drawn(start + batch * batches)[start:]
    assert len({sample for sample, _ in joint[:11]}) == 11 or start % 11


def test_points_before_a_failure_are_counted(samples):
    class Failing(ProxyDataFlow):
        def __iter__(self):
            yield from itertools.islice(iter(self.ds), 3)
            raise UserError("gone")

    flow = FailureKeeper(Failing(ShuffledDraws(samples, seed=1)))
    points = take(flow, 5)
    assert (flow.given, str(flow.error)) == (3, "gone")
    assert points[2] is points[3] is points[4]


@pytest.mark.parametrize("workers", [0, 2])
def test_training_channels_are_bgr_and_labels_belong_to_their_images(tmp_path, workers):
    colors = [(250, 120, 10), (30, 60, 90), (0, 0, 255)]
    made = [Sample(str(index), str(tmp_path / f"{index}.png"), index) for index in range(3)]
    for sample, color in zip(made, colors):
        Image.new("RGB", (30, 20), color).save(sample.path)
    seen = set()
    for images, labels in take(make_training_flow(made, SIZE, 3, workers, seed=2), 4):
        for image, label in zip(images, labels):
            assert (image == np.array(colors[label])[::-1]).all()
            seen.add(int(label))
    assert seen == {0, 1, 2}


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_processes_changes_nothing(samples, workers):
    here, elsewhere = (
        take(make_training_flow(samples, SIZE, 4, count, seed=4), 20) for count in (0, workers)
    )
    for point, other in zip(here, elsewhere):
        for array, same in zip(point, other):
            np.testing.assert_array_equal(array, same)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_image_is_left_out_of_training(samples, tmp_path, workers):
    assert "broken.jpg" in refusal(make_training_flow, [broken(tmp_path)] * 3, SIZE, 4, workers)
    assert "list is empty" in refusal(make_training_flow, [], SIZE, 4, workers)
    flow = make_training_flow(samples + [broken(tmp_path)], SIZE, 4, workers, seed=1)
    labels = [label for _, batch in take(flow, 12) for label in batch.tolist()]
    assert len(labels) == 48
    assert set(labels) == {10 * index for index in range(7)}


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("batch, lengths", [(3, [3, 3, 1]), (7, [7]), (10, [7])])
def test_validation_goes_through_the_list_in_order(samples, batch, lengths, workers):
    assert "list is empty" in refusal(ValidationFlow, [], SIZE, batch, workers)
    flow = ValidationFlow(samples, SIZE, batch, workers)
    batches = take(flow, 100)
    assert len(flow) == len(batches)
    assert [len(labels) for _, labels in batches] == lengths
    assert all(images.dtype == np.uint8 and labels.dtype == np.int32 for images, labels in batches)
    images, labels = map(np.concatenate, zip(*batches))
    np.testing.assert_array_equal(labels, [10 * index for index in range(7)])
    for index, image in enumerate(images):
        np.testing.assert_array_equal(image, validation_view(noise(index), SIZE)[..., ::-1])


@pytest.mark.parametrize("workers", [1, 2])
def test_validation_ends_at_an_unreadable_image(samples, tmp_path, workers):
    flow = ValidationFlow(samples[:4] + [broken(tmp_path)] + samples[4:], SIZE, 2, workers)
    flow.reset_state()
    points = iter(flow)
    assert [next(points)[1].tolist() for _ in range(2)] == [[0, 10], [20, 30]]
    assert "broken.jpg" in refusal(next, points)


def square(point):
    """Slower for some, so that processes overtake one another."""
    time.sleep(0.002 * (point[0] % 3))
    return None if point[0] % 7 == 6 else [point[0] ** 2, os.getpid()]


def flow_of(points, workers, function=square):
    """The function of points in processes; ``points`` is a flow or a number."""
    if isinstance(points, int):
        points = DataFromList([[i] for i in range(points)], shuffle=False)
    flow = ProcessMapData(points, function, workers)
    flow.reset_state()
    return flow


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("count", [0, 4, 33])
def test_order_ends_and_repetition(workers, count):
    flow = flow_of(count, workers)
    for _ in range(3):
        points = list(flow)
        assert [value for value, _ in points] == [i**2 for i in range(count) if i % 7 != 6]
        assert os.getpid() not in {process for _, process in points}
    assert len({process for _, process in points}) <= workers


@pytest.mark.parametrize("workers", [1, 3])
def test_a_killed_process_ends_the_flow(workers):
    points = iter(flow_of(100000, workers))
    os.kill(next(points)[1], signal.SIGKILL)
    check_refusal("process .*--workers", list, itertools.islice(points, 1000))


def fails(point):
    raise ValueError("as a broken augmentation or a wrong seed would")


class Fails(DataFlow):
    def __iter__(self):
        yield [1]
        fails(None)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("points, function", [(3, fails), (Fails(), square)])
def test_an_error_is_raised_where_the_flow_is_iterated(points, function, workers):
    with pytest.raises(ValueError, match="as a broken augmentation"):
        for _ in flow_of(points, workers, function):
            pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_processes_end_with_their_parent(monkeypatch):
    monkeypatch.setattr(parallel, "_PARENT_CHECK_SECONDS", 0.1)
    there, here = os.pipe()
    parent = os.fork()
    if not parent:
        try:
            points = iter(flow_of(10**6, 3))
            os.write(here, repr([next(points)[1] for _ in range(60)]).encode() + b"\n")
            time.sleep(60)
        finally:
            os._exit(1)
    os.close(here)
    with os.fdopen(there) as stream:
        processes = set(eval(stream.readline()))
    assert processes and all(map(is_alive, processes))
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    deadline = time.time() + 20
    while any(map(is_alive, processes)) and time.time() < deadline:
        time.sleep(0.1)
    assert not any(map(is_alive, processes))


def is_alive(process):
    try:
        with open(f"/proc/{process}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
