"""Records of the gallery: their order, the numbers for the script, and counts of failure cases."""

from dgl.report.gallery import case_counts, list_images

ITEMS = [
    {
        "file": "a.jpg",
        "id": "a",
        "true_class": "dog",
        "ious": {"x": 0.2, "y": 0.9},
        "correct": True,
    },
    {"file": "a.jpg", "id": "b", "true_class": "cat", "ious": {"x": None, "y": 0.5}},
    {"file": "a.jpg", "id": "c", "true_class": "dog", "ious": {"x": 0.5}, "correct": False},
    {"file": "a.jpg", "id": "d", "ious": {"x": float("nan"), "y": 0.1}},
]
CASES = [{"x": "part", "y": "right"}, {"x": None, "y": "right"}, {"x": "right"}, {"y": "part"}]


def listed(items):
    return list_images("out", items, lambda path: "data:" + path)


def test_order_and_index():
    items = [dict(item, cases=case) for item, case in zip(ITEMS, CASES)]
    found = listed(items)
    assert found["entries"] == ["x", "y"]
    assert found["classes"] == ["cat", "dog"]
    assert found["cases"] == [("right", "right"), ("part", "a part of the object")]
    # By the first entry's IoU from the highest down; without one last, as they came.
    assert [image["id"] for image in found["images"]] == ["c", "a", "b", "d"]
    assert found["index"] == [
        {"c": 1, "k": 0, "i": [0.5, None], "r": [1, -1], "f": [0, -1]},
        {"c": 1, "k": 1, "i": [0.2, 0.9], "r": [0, 1], "f": [1, 0]},
        {"c": 0, "k": -1, "i": [None, 0.5], "r": [-1, 1], "f": [-1, 0]},
        {"c": -1, "k": -1, "i": [None, 0.1], "r": [-1, 0], "f": [-1, 1]},
    ]
    # As many verdicts as entries, since the script counts them.
    assert {len(image["verdicts"]) for image in found["images"]} == {2}
    assert found["judged"] and not found["folded"]


def test_nothing_known():
    found = listed([{"file": "a.jpg", "id": 3}])
    assert found["entries"] == found["classes"] == found["cases"] == []
    assert found["index"] == [{"c": -1, "k": -1, "i": [], "r": [], "f": []}]
    assert not found["judged"]


def test_case_counts():
    rows = case_counts([{"cases": case} for case in CASES] + [{}])
    assert rows == [("x", [1, 1, 0, 0, 2]), ("y", [2, 1, 0, 0, 3])]
    assert case_counts([{"cases": {"x": None}}]) == []
