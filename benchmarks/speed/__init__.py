"""The speed benchmark: how long maps take, and how much memory, beside the forward pass and beside peers.

`python -m benchmarks.speed` runs every section (one module each in `sections/`) and keeps what they
measured in one record.
"""
