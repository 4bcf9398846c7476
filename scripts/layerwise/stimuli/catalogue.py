"""The kinds of stimuli, by their names in a config. Each module has a class ``Entry`` for its config entry."""

from layerwise.catalogue import Catalogue
from layerwise.config.stimuli import StimuliEntry

KINDS: Catalogue[type[StimuliEntry]] = Catalogue(
    "Entry",
    {
        "coco-entailment": "layerwise.stimuli.entailment",
        "snli-ve": "layerwise.stimuli.hypotheses",
        "coco-objects": "layerwise.stimuli.objects",
        "coco-relations": "layerwise.stimuli.relations",
        "table": "layerwise.stimuli.own_table",
    },
)
