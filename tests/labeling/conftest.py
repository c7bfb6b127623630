"""Modules of this folder and of ``tests`` are importable."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
