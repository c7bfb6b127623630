"""``python -m tests.hostile --out benchmarks/results/hostile.json``."""

from .record import run

if __name__ == "__main__":
    run()
