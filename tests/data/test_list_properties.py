"""What is written into a list of images is read from it; numbers are those that Python takes."""

import contextlib
import functools
import os
import pathlib
import tempfile

from generators import boxes_of, whole_boxes
from hypothesis import assume, example, given
from hypothesis import strategies as st
from refusals import refusal
from trees import cub, make

from dgl.data import load_data
from dgl.data.class_names import read_class_names
from dgl.data.image_files import IMAGE_EXTENSIONS
from dgl.data.layouts.ilsvrc import list_split
from dgl.data.layouts.label_list import parse_line
from dgl.data.layouts.registry import Request, get_layout
from dgl.data.layouts.wsolevaluation import read_metadata
from dgl.data.sample import Sample
from dgl.data.text_files import BadLines, is_number
from dgl.errors import quote
from dgl.evaluation.saved_maps import read_records, write_metadata

load_cub = functools.partial(load_data, layout="cub200")

# What can be the name of a file and stand in a line.
characters = st.characters(blacklist_categories=("Cs",), blacklist_characters="\0\n\r/\\")
parts = st.text(characters, min_size=1, max_size=8)
extensions = st.sampled_from(IMAGE_EXTENSIONS + (".JPEG", ".Png"))
coordinates = st.floats(-1e8, 1e8, allow_nan=False)


@st.composite
def paths(draw):
    """An image's path below its folder, as a list has it."""
    path = "/".join(draw(st.lists(parts, min_size=1, max_size=3))) + draw(extensions)
    assume(os.path.normpath(path) == path and not path.startswith(".."))
    # Lines are stripped of these, and a byte order mark may begin a file.
    assume(path[0] not in " \t\r\ufeff")
    return path


@contextlib.contextmanager
def _tree(files):
    with tempfile.TemporaryDirectory() as folder:
        yield make(pathlib.Path(folder), files)


def _rows(*fields):
    """One to five rows of an image's path and more fields."""
    row = st.tuples(paths(), *fields)
    return st.lists(row, min_size=1, max_size=5, unique_by=lambda row: row[0])


separators = st.sampled_from([" ", "\t", "  ", " \t "])
endings = st.sampled_from(["\n", "\r\n", "\n\n", " \n"])


@given(
    _rows(st.integers(0, 9), st.lists(boxes_of(coordinates, coordinates), max_size=3)),
    separators,
    endings,
    st.sampled_from(["imagenet", "cub"]),
)
@example([("a.jpg 0 1.png", 3, [])], " ", "\n", "imagenet")
@example([("\u3000\x85.bmp", 0, [])], " ", "\n", "cub")
def test_a_label_list_is_read_as_it_was_written(images, separator, ending, root):
    lines = [
        separator.join([path, str(label)] + [repr(v) for box in boxes for v in box])
        for path, label, boxes in images
    ]
    with _tree({"labels/x/val.txt": "".join(line + ending for line in lines)}) as folder:
        found = get_layout(root).load(Request(root, folder, "val", None, None, True))
    assert [(s.id, s.class_index, list(s.boxes)) for s in found.samples] == images
    assert found.classes == max(label for _, label, _ in images) + 1
    assert all(os.path.isabs(sample.path) for sample in found.samples)


# Not bounded by an extension, a name ends before the numbers at the end of its line.
@given(parts, st.integers(0, 9), whole_boxes(500))
def test_a_name_without_extension(name, label, box):
    name = "n" + name.strip() + "n"
    line = "{} {} {}".format(name, label, " ".join(map(str, box)))
    assert parse_line(line, "x") == (name, label, (box,))


inner_boxes = boxes_of(*[st.floats(0, 999999998)] * 2)


@given(_rows(st.integers(0, 9), st.lists(inner_boxes, min_size=1, max_size=2)))
@example([("\x1f,1.jpg", 0, [(0.0, 0.0, 1.0, 1.0)]), ("\u3000,.png", 2, [(0.5, 0.0, 1.0, 1.0)])])
def test_metadata_of_wsolevaluation_are_read_as_they_were_written(images):
    samples = [Sample(path, "/p/" + path, label, tuple(boxes)) for path, label, boxes in images]
    size = (999999999, 999999998)
    with tempfile.TemporaryDirectory() as folder:
        written = write_metadata(folder, samples, [size] * len(samples))
        assert [root for _, root in written] == [None]
        found = read_metadata(written[0][0])
        unlabeled = read_records(written[0][0])
    expected = [(s.id, s.class_index, s.boxes, size) for s in samples]
    assert [(r.id, r.label, r.boxes, r.size) for r in found] == expected
    assert [r._replace(label=0) for r in found] == [r._replace(label=0) for r in unlabeled]


@given(_rows(st.booleans(), whole_boxes(500)))
@example([("a\tb.jpg", False, (0, 0, 1, 1)), ("\x1f/0.jpg", True, (0, 0, 1, 1))])
def test_cub_is_read_as_it_was_written(images):
    rows = [(path, n, is_train, box) for n, (path, is_train, box) in enumerate(images)]
    with _tree(cub(rows, [f"class{n}" for n, _ in enumerate(images)])) as folder:
        for split, is_train in (("train", True), ("test", False)):
            own = [(path, n, (box,)) for path, n, trained, box in rows if trained is is_train]
            if own:
                found = load_cub(folder, split)
                assert [(s.id, s.class_index, s.boxes) for s in found.samples] == own
            else:
                assert "no image of the" in refusal(load_cub, folder, split)


@given(st.lists(st.tuples(paths(), st.integers(0, 10**9 - 1)), min_size=1, max_size=5), separators)
@example([("a\tb.JPEG", 1), ("\u3000.jpg", 2)], "\t")
def test_a_list_of_ilsvrc_is_read_as_it_was_written(images, separator):
    text = "\n".join(f"{path}{separator}{number}" for path, number in images)
    with _tree({"ImageSets/CLS-LOC/val.txt": text}) as folder:
        found = list_split(folder, "val", BadLines())
    expected = [p if p.lower().endswith(IMAGE_EXTENSIONS) else p + ".JPEG" for p, _ in images]
    assert [entry.relative for entry in found] == expected


names = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Zs", "Zl", "Zp", "Cf")), min_size=1, max_size=9
)


@given(st.lists(names.map("c{}".format), min_size=1, max_size=6), st.sampled_from([0, 1]))
def test_class_names_with_and_without_numbers(expected, start):
    numbered = [f"{n} {name}" for n, name in enumerate(expected, start)]
    prefixed = [f"{n:03d}.{name}" for n, name in enumerate(expected, 1)]
    # Numbered names in any order: the numbers say where a name belongs.
    for lines in (expected, numbered[::-1], prefixed):
        with _tree({"classes.txt": "\n".join(lines)}) as folder:
            path = os.path.join(folder, "classes.txt")
            assert read_class_names(path) == tuple(expected)
            if lines is prefixed:
                assert read_class_names(path, with_numbers=True) == tuple(prefixed)


@given(st.text("0123456789+-.eEinfaty_ \t\u0661\u00b2", max_size=10))
def test_a_number_is_what_python_takes_of_plain_decimals(text):
    try:
        float(text)
        expected = text.isascii() and not set(text) & set("_ \t")
    except ValueError:
        expected = False
    assert is_number(text) is expected


@given(st.text(max_size=200), st.integers(4, 90))
def test_a_quoted_text_is_one_printable_line_of_bounded_length(text, limit):
    shown = quote(text, limit)
    assert len(shown.splitlines()) == 1 and shown.isprintable()
    # Escapes are up to ten characters.
    assert len(shown) <= 2 + 10 * limit
    if shown == f"'{text}'":
        assert len(text) <= limit
