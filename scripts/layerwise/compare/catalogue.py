"""The tables of comparisons, by the name of their file. To add one, write its module and name it here."""

from layerwise.catalogue import Catalogue
from layerwise.compare.entry import Comparison

COMPARISONS: Catalogue[Comparison] = Catalogue(
    "COMPARISON",
    {
        "headline": "layerwise.compare.headline",
        "best-layers": "layerwise.compare.best_layers",
        "interventions": "layerwise.compare.interventions",
        "learning": "layerwise.compare.learning",
        "within-blocks": "layerwise.compare.within_blocks",
        "specifications": "layerwise.compare.specifications",
        "complexity": "layerwise.compare.complexity",
        "layer-weights": "layerwise.compare.layer_weights",
        "flow-changes": "layerwise.compare.flow_changes",
        "flow-tracing": "layerwise.compare.flow_tracing",
        "flow-strongest": "layerwise.compare.flow_strongest",
    },
)
