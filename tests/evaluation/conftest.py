"""A small checkpoint and two data sets for tests of the command line; the profile of property tests."""

import hypothesis_profile  # noqa: F401
import pytest
from command_runs import CLASSES, IMAGES, blob_rows, write_network
from fake_predictor import FakePredictor, Run, make_dataset
from sample_images import blob_image, write_list


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A checkpoint ``tiny.npz`` with its card, and five images with boxes; the last has none."""
    folder = tmp_path_factory.mktemp("evaluate")
    write_network(folder)
    rows = [
        (f"{i}.jpg", blob_image(i + 1, 90 + 10 * i, 120), i % CLASSES, [(20, 10, 90, 70)])
        for i in range(IMAGES)
    ]
    rows[-1] = rows[-1][:3] + ((),)
    write_list(folder / "data", "val", rows)
    return folder


@pytest.fixture(scope="session")
def many(folder):
    """A data set of two splits, 12 and 8 images; one of each cannot be read."""
    data = folder / "many"
    for split, count, seed in (("val", 12, 0), ("train", 8, 50)):
        write_list(data, split, blob_rows(count, split + "{}.jpg", seed))
        (data / split / (split + "3.jpg")).write_bytes(b"no image")
    return data


@pytest.fixture
def evaluate(tmp_path):
    """Runs an evaluation; gives it and its metrics."""

    def run(dataset=None, predictor=None, **settings):
        dataset = dataset or make_dataset(tmp_path)
        found = Run(predictor or FakePredictor(), dataset, str(tmp_path / "out"), **settings)
        return found, found.metrics

    return run
