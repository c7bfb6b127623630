"""Old module names of this package, kept importable after modules moved."""

import importlib
import importlib.abc
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Optional

# Old name -> new name of the modules that documentation, examples and published scripts have used.
RENAMED = {
    "dgl.backbones.keras_layers": "dgl.backbones.published",
    "dgl.boxes": "dgl.predict.postprocess",
    "dgl.data.birds": "dgl.datasets.birds",
    "dgl.data.birds.__main__": "dgl.datasets.birds.__main__",
    "dgl.data.bundled": "dgl.datasets",
    "dgl.data.photos5": "dgl.datasets.photos5",
    "dgl.demo": "dgl.cli.localize",
    "dgl.evaluation.batches": "dgl.evaluation.loop",
    "dgl.evaluation.command": "dgl.cli.evaluate",
    "dgl.evaluation.flags": "dgl.cli.evaluate",
    "dgl.evaluation.literature": "dgl.report.page",
    "dgl.evaluation.store": "dgl.evaluation.results",
    "dgl.files": "dgl.utils.files",
    "dgl.graph_predictor": "dgl.predict.graph_predictor",
    "dgl.graphs": "dgl.foreign",
    "dgl.graphs.preprocessing": "dgl.foreign.preprocessing",
    "dgl.inference": "dgl.predict",
    "dgl.predict.folding": "dgl.predict.frozen",
    "dgl.predict.model_predictor": "dgl.predict.predictor",
    "dgl.predict.normalize": "dgl.predict.postprocess",
    "dgl.predictor": "dgl.predict.predictor",
    "dgl.rendering": "dgl.report",
    "dgl.rendering.overlay": "dgl.predict.overlay",
    "dgl.shipped": "dgl.datasets",
    "dgl.training.command": "dgl.training.resolve",
    "dgl.training.flags": "dgl.cli.train",
    "dgl.training.initial_weights": "dgl.training.resolve",
    "dgl.training.statistics": "dgl.training.log_folder",
    "dgl.utils.cpu": "dgl.utils.devices",
}


class _RenamedFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Import finder and loader that returns a renamed module under its old name."""

    def find_spec(self, fullname: str, *_: Any) -> Optional[ModuleSpec]:
        if fullname not in RENAMED:
            return None
        is_package = any(name.startswith(fullname + ".") for name in RENAMED)
        return ModuleSpec(fullname, self, is_package=is_package)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        # The module itself, so that old and new names share their state.
        module = importlib.import_module(RENAMED[spec.name])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The module has already run. importlib has replaced its spec.
        alias = module.__spec__
        module.__spec__ = alias.loader_state if alias else None

    def get_code(self, fullname: str) -> Any:
        # For `python -m`.
        spec = importlib.util.find_spec(RENAMED[fullname])
        loader: Any = spec.loader if spec else None
        return loader.get_code(RENAMED[fullname])


def install() -> None:
    """Make the old names importable."""
    if not any(isinstance(finder, _RenamedFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _RenamedFinder())
