"""``python -m dgl.cli``: the `dgl` command where it is not installed."""

from dgl.cli import entry

if __name__ == "__main__":
    entry()
