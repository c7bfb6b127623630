"""Markdown tables of the sections `peers` and `bf16`."""

from benchmarks.recorded import markdown


def three(values, form):
    """A cell with median, least and most; ``form`` is the format of each number."""
    text = f"{{median:{form}}} ({{least:{form}}} to {{most:{form}}})"
    return text.format(**values)


def _by_batch(rows, key, batches):
    """For each key, in order, its rows by batch size; ``None`` where a row is missing."""
    found = {}
    for row in rows:
        found.setdefault(key(row), {})[row["batch"]] = row
    return [[own.get(batch) for batch in batches] for own in found.values()]


def ratios_table(section):
    """One row per ratio and layer: the ratio for each batch size, and the bound."""
    batches = section["batches"]
    lines = [["times as long", "layer"] + [f"batch {batch}" for batch in batches]]
    lines[0].append(f"bound at batch {batches[0]}")
    for own in _by_batch(section["rows"], lambda row: (row["name"], row["layer"]), batches):
        cells = [own[0]["name"], own[0]["layer"]]
        for row in own:
            if row is None:
                cells.append("")
            elif "ratio" in row:
                cells.append(three(row["ratio"], ".2f"))
            else:
                cells.append(row["not_measured"])
        bound = own[0].get("bound")
        text = "{kind} {bound:.2f}".format(**bound) if bound else ""
        cells.append(text + (", not met" if bound and bound["met"] is False else ""))
        lines.append(cells)
    return markdown(lines)


def memory_table(section):
    """One row per contender and layer: milliseconds per image and peak memory for each batch size."""
    batches = section["batches"]
    times = {}
    for row in section["times"]:
        # Of this project's maps the first is the raw one, the second with resizing.
        times.setdefault((row["contender"], row["layer"], row["batch"]), row["ms"])
    lines = [["contender", "layer"]]
    lines[0] += [f"ms an image, batch {batch}" for batch in batches]
    lines[0] += [f"peak MB, batch {batch}" for batch in batches]
    for own in _by_batch(section["memory"], lambda row: (row["contender"], row["layer"]), batches):
        first = own[0]
        cells = [first["contender"], first["layer"]]
        for batch in batches:
            ms = times.get((first["contender"], first["layer"], batch))
            cells.append(three(ms, ".0f") if ms else "")
        cells += [str(row.get("megabytes", row.get("not_measured"))) for row in own]
        lines.append(cells)
    return markdown(lines)


def instructions_table(section):
    """One row per instruction: how many a core executes per second, and the multiply-adds of them."""
    heading = ["a core, AVX-512", "G instructions a second", "multiply-adds in one"]
    lines = [heading + ["G multiply-adds a second"]]
    for row in section["instructions"]:
        lines.append(
            [
                row["instruction"],
                three(row["giga_a_second"], ".2f"),
                str(row["multiply_adds"]),
                three(row["giga_multiply_adds_a_second"], ".0f"),
            ]
        )
    if section["most"]:
        lines.append(["the second over the first", "", "", three(section["most"], ".2f")])
    return markdown(lines)


def kernels_table(section):
    """One row per kind of kernel: its milliseconds per image."""
    lines = [["contender", "kernel, instructions", "ms an image"]]
    for row in section["kernels"]:
        lines.append([row["contender"], row["kernel"], "{:.1f}".format(row["ms"])])
    return markdown(lines)
