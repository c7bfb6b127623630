"""The short way: images of any size in, class, probability, map and box of each out."""

import os

import numpy as np
import pytest
from PIL import Image
from sample_images import blob_image

from dgl.data import image_io
from dgl.data.image_io import read_image
from dgl.data.views import demo_input
from dgl.datasets import SHIPPED_CHECKPOINT
from dgl.errors import UserError
from dgl.localizer import Localization, Localizer
from dgl.predict.postprocess import largest_box, normalize, resize_map

IMAGES = [blob_image(1), blob_image(2, 180, 260), blob_image(3, 64, 64)]


@pytest.fixture(scope="module")
def localizer():
    with Localizer.from_checkpoint(SHIPPED_CHECKPOINT, batch=2, gpu="-1") as made:
        yield made


@pytest.fixture(scope="module")
def bird(root):
    return os.path.join(root, "images", "bird_violet_fan.jpg")


def by_hand(image, predictor, entry, threshold, class_index=None):
    """The same from the predictor: one image a run."""
    view = demo_input(image, predictor.image_size)[None]
    prediction = predictor(view, None if class_index is None else [class_index])
    resized = resize_map(normalize(prediction.maps[entry][0]), *image.shape[:2])
    index = int(prediction.class_index[0])
    box, name = tuple(largest_box(resized, threshold)), predictor.class_name(index)
    probability = float(prediction.probability[0, index])
    return Localization(index, probability, resized, box, name, image, threshold)


@pytest.mark.parametrize("class_index", [None, 3, [0, 5, 2]])
def test_it_is_what_the_predictor_and_the_boxes_give(localizer, class_index):
    found = localizer(IMAGES, class_index)
    assert len(found) == len(IMAGES)
    for i, (image, one) in enumerate(zip(IMAGES, found)):
        wanted = class_index[i] if isinstance(class_index, list) else class_index
        expected = by_hand(image, localizer.predictor, localizer.entry, 0.2, wanted)
        assert one.class_index == expected.class_index
        assert one.probability == pytest.approx(expected.probability, abs=1e-5)
        assert one.map.shape == image.shape[:2] and one.map.dtype == np.float32
        # Another batch, another order of sums.
        np.testing.assert_allclose(one.map, expected.map, rtol=0, atol=1e-4)
        assert np.abs(np.subtract(one.box, expected.box)).max() <= 1
        assert one.class_name == expected.class_name


def test_it_finds_the_bird_of_a_path_and_draws_it(localizer, bird):
    (found,), (of_pixels,) = localizer([bird]), localizer([read_image(bird)])
    assert found.box == of_pixels.box and found.class_index == of_pixels.class_index
    np.testing.assert_array_equal(found.map, of_pixels.map)
    assert localizer.class_name(found.class_index) == "Violet_Fan"
    assert found.probability > 0.9
    assert all(type(value) is int for value in found.box)
    drawn = found.overlay()
    height, width = found.image.shape[:2]
    assert drawn.size[1] == height and drawn.size[0] > width
    assert found._repr_png_().startswith(b"\x89PNG")


def test_without_arguments_it_knows_the_classes_of_imagenet(shared_data):
    path = os.path.join(shared_data, "ilsvrc_samples", "ILSVRC2012_val_00000082.JPEG")
    with Localizer(gpu="-1") as localizer:
        (hound,) = localizer([path])
        (person,) = localizer([path], "n02088094")
    assert (hound.class_name, hound.class_index) == ("Afghan hound", 160)
    assert person.box == hound.box


def test_another_method_layer_and_threshold(localizer, bird):
    settings = {"method": "layercam", "layer": "conv5_1", "threshold": 0.5}
    with Localizer.from_checkpoint(SHIPPED_CHECKPOINT, **settings) as other:
        assert other.entry == ("layercam", "conv5_1")
        (found,) = other([bird])
        boxes = [by_hand(found.image, other.predictor, other.entry, t).box for t in (0.1, 0.5, 0.9)]
    assert found.box == boxes[1] != boxes[0]
    for wrong in ({"threshold": float("nan")}, {"batch": 0}):
        with pytest.raises(ValueError, match="threshold nan|batch 0"):
            Localizer.from_checkpoint(SHIPPED_CHECKPOINT, **wrong)


@pytest.mark.parametrize("images", [Image.fromarray(IMAGES[0]), [IMAGES[0] / 255], IMAGES[0][None]])
def test_every_kind_of_image_is_taken(localizer, images):
    (found,), (expected,) = localizer(images), localizer([IMAGES[0]])
    np.testing.assert_array_equal(found.map, expected.map)
    assert found[:2] + (found.box, found.size) == expected[:2] + (expected.box, (400, 300))


def test_several_images_and_none(localizer):
    found = localizer((image for image in IMAGES), [5, "golden cap", np.int64(2)])
    assert [one.class_index for one in found] == [5, 1, 2]
    assert [one.box for one in found] == [one.box for one in localizer(IMAGES, [5, 1, 2])]
    assert {one.class_index for one in localizer(IMAGES, "Golden")} == {1}
    assert localizer([]) == []


@pytest.mark.parametrize(
    "images, classes, kind, words",
    [
        ([IMAGES[0] - 300.0], None, ValueError, "-300"),
        (["nowhere.jpg"], None, UserError, "nowhere.jpg"),
        (IMAGES, [1, 2], ValueError, "expected 3 classes.*got 2"),
        (IMAGES, "golden cup", UserError, "class 'golden cup': .*; nearest: 1 Golden_Cap"),
        (IMAGES, 99, UserError, "class 99 is out of range"),
    ],
)
def test_images_and_classes_that_do_not_fit(localizer, images, classes, kind, words):
    with pytest.raises(kind, match=words):
        localizer(images, classes)


def test_boxes_of_a_reduced_file_are_in_its_own_pixels(localizer, bird, monkeypatch):
    (whole,) = localizer(bird)
    monkeypatch.setattr(image_io, "REDUCED_PIXELS", whole.image[..., 0].size // 2)
    (found,) = localizer(bird)
    assert found.size == whole.size == whole.image.shape[1::-1]
    assert found.image.shape[:2] == found.map.shape == tuple(-(-n // 2) for n in whole.map.shape)
    np.testing.assert_allclose(found.box, whole.box, atol=0.03 * max(whole.size))
    assert found.overlay().size[1] == len(found.image)
