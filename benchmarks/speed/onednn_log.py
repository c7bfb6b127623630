"""Parse oneDNN's log (``ONEDNN_VERBOSE=1``) into seconds per kernel."""

ENVIRONMENT = {"ONEDNN_VERBOSE": "1"}
_MARK, _EXECUTED = "onednn_verbose", "exec"


def kernel_seconds(text):
    """Seconds by kind of kernel and instructions that it is made of.

    Args:
        text: str, what a process printed.

    Returns:
        ordered (kind, instructions), as in ``("convolution", "avx512_core")``, -> seconds; the longest
        first.
    """
    found = {}
    for line in text.splitlines():
        fields = line.strip().split(",")
        if fields[0] != _MARK or _EXECUTED not in fields:
            continue
        # ...,exec,cpu,convolution,brg_conv_fwd:avx512_core,...,milliseconds
        kind, kernel = fields[fields.index(_EXECUTED) + 2 :][:2]
        key = kind, kernel.split(":")[-1]
        found[key] = found.get(key, 0.0) + float(fields[-1]) / 1000
    return dict(sorted(found.items(), key=lambda item: -item[1]))
