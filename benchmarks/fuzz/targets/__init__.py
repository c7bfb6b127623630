"""All targets by name."""

from benchmarks.fuzz.targets import annotations, lists, pictures, results, weights

TARGETS = {
    target.name: target
    for module in (lists, annotations, pictures, weights, results)
    for target in module.TARGETS
}
