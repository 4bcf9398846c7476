"""Where in a multimodal LLM does an image's meaning live? The library behind the workflow, split by stage.

For analyses of your own::

    from layerwise import Study

    study = Study.load("my-study.yaml")
    layer = study.states("llava", "objects", "category", layer=12)
    labels = study.labels("objects")
    x, y = layer.of(labels["item_id"]), labels["y"]

A stage imports from the stages before it, never from those after it:
``datasets`` -> ``stimuli`` / ``models`` -> ``tasks`` -> ``states`` -> ``probes`` / ``flow`` -> ``compare`` ->
``figures``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from layerwise.torchvision_import import mend_torchvision

if TYPE_CHECKING:
    from layerwise.errors import InputError
    from layerwise.states.shards import open_states
    from layerwise.study import Study

__all__ = ["InputError", "Study", "open_states"]

mend_torchvision()

# Imported on first use, because every program and job imports this package.
_MODULES = {"InputError": "layerwise.errors", "Study": "layerwise.study", "open_states": "layerwise.states.shards"}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
