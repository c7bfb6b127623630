"""Evaluation of a checkpoint on a data set; the evaluators of :mod:`dgl.metrics` are here too."""

from dgl.metrics import *  # noqa: F403
from dgl.utils.table import format_table as format_table
from dgl.utils.table import write_csv as write_csv
