"""All targets by name."""

from benchmarks.fuzz.targets import annotations, images, lists, results, weights

TARGETS = {
    target.name: target
    for module in (lists, annotations, images, weights, results)
    for target in module.TARGETS
}
