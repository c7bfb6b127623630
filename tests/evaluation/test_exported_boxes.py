"""Labels exported as COCO, YOLO or VOC are read as a data set, and evaluate as the boxes they were."""

import numpy as np
import pytest
from fake_predictor import make_dataset, rows_of, store_turned
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_labels import CLASSES, an_object, header
from PIL import Image

from dgl.data import check_files, detect_layout, load_data, read_image
from dgl.data.image_io import image_size
from dgl.data.sample import DataSet
from dgl.errors import UserError
from dgl.labeling.formats import ExportOptions, export
from dgl.labeling.labels import ImageLabels
from dgl.labeling.store import LabelStore

FORMATS = ("coco", "voc", "yolo")
every_format = pytest.mark.parametrize("name", FORMATS)


def stored(out, folder, labels, **changes):
    """Write labels to a store below ``out``; returns it as str."""
    with LabelStore(str(out), header(folder, len(labels), **changes)) as store:
        store.append(labels)
    return str(out)


def read_all(folder):
    """The samples of both splits, by id; a format without splits has everything in either."""
    datasets = []
    for split in ("train", "val"):
        try:
            datasets.append(load_data(folder, split, layout=detect_layout(folder)))
        except UserError as error:  # an empty list
            assert "no images" in str(error)
    check_files(*datasets)
    return datasets[0], {sample.id: sample for part in datasets for sample in part.samples}


sides = st.floats(0, 1)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(sides, sides, sides, sides, st.booleans()), min_size=1, max_size=4),
    st.sampled_from([(1, 1), (7, 3), (640, 480)]),
    st.sampled_from(FORMATS),
)
@example([(370.92 / 576, 0.1, 370.93 / 640, 0.5, False)], (640, 480), "voc")  # across no border
def test_any_boxes(tmp_path_factory, rows, size, name):
    folder = tmp_path_factory.mktemp("boxes")
    Image.new("RGB", size).save(str(folder / "a.png"))
    objects = []
    for u, v, s, t, is_second in rows:
        x0, y0 = u * size[0] * 0.9, v * size[1] * 0.9
        box = (x0, y0, max(x0 + 1e-3, s * size[0]), max(y0 + 1e-3, t * size[1]))
        objects.append(an_object(tuple(round(side, 2) for side in box), int(is_second)))
    objects = [o for o in objects if o.box[0] < o.box[2] and o.box[1] < o.box[3]]
    if not objects:
        return
    out = str(folder / "out")
    with LabelStore(out, header(folder, 1)) as store:
        store.append([ImageLabels("a.png", size[0], size[1], None, tuple(objects))])
    dataset, found = read_all(export(out, name))
    boxes = [
        (dataset.class_name(sample.class_index), box)
        for sample in found.values()
        for box in sample.boxes
    ]
    wanted = sorted(((o.class_name, o.box) for o in objects), key=lambda pair: pair[0])
    assert [name for name, _ in boxes] == [name for name, _ in wanted]
    # A pixel is the least that VOC can say.
    most = 1.0 if name == "voc" else 0.01
    for (_, box), (_, labeled) in zip(boxes, wanted):
        narrow = min(labeled[2] - labeled[0], labeled[3] - labeled[1]) < 1
        assert np.abs(np.subtract(box, labeled)).max() <= (most if narrow else min(most, 0.5))


@every_format
def test_exported_boxes_evaluate_as_the_true_ones(evaluate, tmp_path, name):
    images = tmp_path / "images"
    images.mkdir()
    made = make_dataset(images, 5, classes=2)
    labels = []
    for sample, orientation in zip(made.samples, (None, 3, 6, 8, None)):
        image = read_image(sample.path)
        if orientation is not None:
            store_turned(sample.path, image, orientation)
        height, width = image.shape[:2]
        assert read_image(sample.path).shape[:2] == (height, width)
        objects = (an_object(tuple(map(float, sample.boxes[0])), sample.class_index),)
        labels.append(ImageLabels(sample.id, width, height, sample.class_index, objects))
    out = stored(tmp_path / "labels", images, labels)
    dataset = load_data(export(out, name, ExportOptions(val_fraction=0.0)), "train")
    assert dataset.class_names == CLASSES
    truth = DataSet("t", "folder", "val", made.samples, CLASSES, 2)
    found, expected = (
        rows_of(evaluate(data)[1], "wsolevaluation")["seeing", "layer/1"]
        for data in (dataset, truth)
    )
    assert found["max_box_acc"] == 100
    # The same to the figure at an IoU of 0.7, too.
    assert found["max_box_acc_v2"] == expected["max_box_acc_v2"]


@every_format
def test_any_folders_and_names_of_classes(tmp_path, name):
    """Folders named as those of the format, and names with quotes and what is no letter."""
    classes = ("001.no", "002.é \U0001f600", "003.'a': \"b\"", "yes")
    names = ["images/a.png", "a.png", "x/images/labels/a.png", "labels/Annotations/a.jpg"]
    labels = []
    for place, image in enumerate(names):
        path = tmp_path / image
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20 + place, 10)).save(str(path))
        found = an_object((1, 2, 3 + place, 4))._replace(class_index=2, class_name=classes[2])
        labels.append(ImageLabels(image, 20 + place, 10, None, (found,)))
    out = stored(tmp_path / "out", tmp_path, labels, classes=classes)
    dataset, samples = read_all(export(out, name))
    assert dataset.class_names == classes
    assert {sample.class_index for sample in samples.values()} == {2}
    found = {image_size(sample.path): sample.boxes for sample in samples.values()}
    assert len(samples) == len(names)
    for place in range(len(names)):
        assert found[20 + place, 10] == (pytest.approx((1, 2, 3 + place, 4), abs=1e-3),)
