"""``python -m dgl.datasets.birds``."""

from dgl.datasets.birds.data_set import main
from dgl.errors import run_script

if __name__ == "__main__":
    run_script(main)
