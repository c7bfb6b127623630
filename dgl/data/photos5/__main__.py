"""``python -m dgl.data.photos5``."""

from dgl.data.photos5.data_set import main
from dgl.errors import run_script

if __name__ == "__main__":
    run_script(main)
