"""The speed benchmark: time and memory of maps, compared with the forward pass and with other libraries.

`python -m benchmarks.speed` runs every section (one module each in `sections/`) and keeps what they
measured in one record.
"""
