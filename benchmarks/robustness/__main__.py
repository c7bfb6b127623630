"""``python -m benchmarks.robustness --out benchmarks/results/hostile.json``."""

from .record import main, run

__all__ = ["main"]

if __name__ == "__main__":
    run()
