"""Figures of classification and localization: pure NumPy, fed a batch at a time and mergeable."""
