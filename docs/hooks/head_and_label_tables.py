"""The tables of what `dgl refine` and `dgl label` bring, from their records."""

from records import record_of, table, tested, with_interval


def refined(*names):
    """A row a network and method: boxes of a taught head and of the maps that taught it."""
    lines = [["network", "method", "IoU 0.5", "IoU 0.7", "MaxBoxAccV2", "MaxBoxAcc", "BoxAcc"]]
    records = [record_of(name) for name in names]
    masks = all("pxap" in record["rows"][0] for record in records)
    lines[0] += ["PxAP"] * masks
    for record in records:
        for row in record["rows"]:
            cells = [record["mode"], row["method"] + (", --flip" if record.get("flip") else "")]
            cells += ["{:.1f}".format(row[key]["mean"]) for key in ("iou_50", "iou_70")]
            cells += [
                "{:.1f} ({:.1f} to {:.1f})".format(row[key]["mean"], *row[key]["interval"])
                for key in ("max_box_acc_v2", "max_box_acc", "box_acc", *["pxap"] * masks)
            ]
            lines.append(cells)
    return table(lines)


def refined_tests(name):
    """A row a comparison of a taught head's method with DGL's maps, by MaxBoxAccV2."""
    return table([["A", "B", "A - B, points", "p"], *map(tested, record_of(name)["comparisons"])])


def refined_times(*names):
    """A row a network: times over the forward pass."""
    records = [record_of(name) for name in names]
    methods = [method for method in records[0]["time_over_forward"] if method != "forward"]
    lines = [["network", *methods]]
    for record in records:
        ratios = record["time_over_forward"]
        lines.append([record["mode"], *(f"{ratios[method]:.2f}" for method in methods)])
    return table(lines)


def teachers(name):
    """A row a method: boxes of its maps and of the head that they taught, tested against DGL's pupil."""
    record = record_of(name)
    tests = {row["b"]: row for row in record["comparisons"] if row["a"] == "dgl's pupil"}
    lines = [["teacher", "layer", "IoU 0.5", "0.7", "V2", "pupil: 0.5", "0.7", "V2"]]
    lines[0] += ["DGL's pupil - it, V2", "p"]
    for row in sorted(record["rows"], key=lambda row: -row["pupil"]["max_box_acc_v2"]["mean"]):
        cells = [row["method"], ", ".join(dict.fromkeys(row["layers"]))]
        for kind in ("teacher", "pupil"):
            cells += ["{:.1f}".format(row[kind][key]["mean"]) for key in ("iou_50", "iou_70")]
            v2 = row[kind]["max_box_acc_v2"]
            cells.append("{:.1f} ({:.1f} to {:.1f})".format(v2["mean"], *v2["interval"]))
        test = tests.get(row["method"] + "'s pupil")
        if test is None:
            cells += ["", ""]
        else:
            cells += tested(test)[2:]
        lines.append(cells)
    ranks = record["rank_correlation"]
    return table(lines) + (
        "\n\nRank correlation (Spearman) of teachers and pupils: "
        f"{ranks['max_box_acc_v2']:.2f} by V2, {ranks['iou_50']:.2f} at IoU 0.5, "
        f"{ranks['iou_70']:.2f} at 0.7."
    )


def label_boxes(*names):
    """A row a run of `dgl label`: its boxes and confidences beside the true boxes."""
    heading = ["data", "method", "labels", "masks", "IoU 0.5", "IoU 0.7", "calibration error"]
    lines = [[*heading, "IoU 0.5, more and less certain half"]]
    for name in names:
        record = record_of(name)
        for row in record["rows"]:
            options, network = row["options"], row["network"]
            cells = [record["data"], network["method"] + (", --flip" if network["flip"] else "")]
            cells += ["predicted" if options["predict"] else "known"]
            cells += ["refined" if options["masks"] else "no"]
            cells += [with_interval(row, key) for key in ("iou_0.5", "iou_0.7")]
            halves = [row.get(f"right_of_{half}_half") for half in ("confident", "other")]
            error = row.get("expected_calibration_error")
            cells += ["-"] if error is None else [f"{error:.3f}"]
            cells += ["-"] if error is None else ["{:.1f}, {:.1f}".format(*halves)]
            lines.append(cells)
    return table(lines)


def label_masks(*names):
    """A row a network: IoU of the map's region and of the refined mask with the true mask."""
    lines = [["network", "images", "map's region", "refined"]]
    for name in names:
        for row in record_of(name)["rows"]:
            cells = [row["mode"], str(row["images"])]
            lines.append(cells + [with_interval(row, key) for key in ("before", "after")])
    return table(lines)


def label_detector(name):
    """A row a source of training boxes: figures of the regressor trained on them."""
    lines = [
        ["trained on", "of these right", "IoU 0.5", "IoU 0.7", "mean IoU", "of full supervision"]
    ]
    for row in record_of(name)["rows"]:
        cells = [row["trained_on"], "{:.1f}".format(row["labels_right"])]
        cells += [with_interval(row, key) for key in ("iou_0.5", "iou_0.7")]
        cells += ["{:.1f}".format(row["mean_iou"]), with_interval(row, "of_full_supervision")]
        lines.append(cells)
    return table(lines)
