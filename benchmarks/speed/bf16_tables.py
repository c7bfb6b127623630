"""The Markdown of the section `bf16`, beside its ratios."""

from benchmarks.speed.peers_tables import markdown, three


def instructions_table(section):
    """A row an instruction: what a core executes of it, and what that makes in multiply-adds."""
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
    """A row a kind of kernel: milliseconds of an image, whose kernel it is."""
    lines = [["contender", "kernel, instructions", "ms an image"]]
    for row in section["kernels"]:
        lines.append([row["contender"], row["kernel"], "{:.1f}".format(row["ms"])])
    return markdown(lines)
