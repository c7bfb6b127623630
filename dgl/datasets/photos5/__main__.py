"""``python -m dgl.datasets.photos5``."""

from dgl.datasets.photos5.data_set import main
from dgl.errors import run_script

if __name__ == "__main__":
    run_script(main)
