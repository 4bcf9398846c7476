"""The kinds of stimuli that a study may name. Each module has a class ``Entry`` for its config entry."""

from typing import TYPE_CHECKING, Any

from layerwise.catalogue import Catalogue

if TYPE_CHECKING:
    from layerwise.stimuli.kind import StimulusKind

# By the `kind` of an entry of `stimuli`.
KINDS: "Catalogue[StimulusKind[Any]]" = Catalogue(
    "KIND",
    {
        "coco-entailment": "layerwise.stimuli.kinds.coco_entailment",
        "snli-ve": "layerwise.stimuli.kinds.snli_ve",
        "coco-objects": "layerwise.stimuli.kinds.coco_objects",
        "coco-relations": "layerwise.stimuli.kinds.coco_relations",
        "frames": "layerwise.stimuli.kinds.frames",
        "table": "layerwise.stimuli.kinds.table",
    },
)
