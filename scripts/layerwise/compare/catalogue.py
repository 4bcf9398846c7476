"""The tables of comparisons, by the name of their file. To add one, write its module and name it here."""

from layerwise.catalogue import Catalogue
from layerwise.compare.entry import Comparison

COMPARISONS: Catalogue[Comparison] = Catalogue(
    "COMPARISON",
    {
        "headline": "layerwise.compare.headline",
        "best-layers": "layerwise.compare.best_layers",
        "which-layer": "layerwise.compare.which_layer",
        "twin-differences": "layerwise.compare.twin_differences",
        "test-parts": "layerwise.compare.test_parts",
        "interventions": "layerwise.compare.interventions",
        "routes": "layerwise.compare.routes",
        "language-models": "layerwise.compare.language_models",
        "shortcuts": "layerwise.compare.shortcuts",
        "learning": "layerwise.compare.learning",
        "carried": "layerwise.compare.carried",
        "within-blocks": "layerwise.compare.within_blocks",
        "picture-controls": "layerwise.compare.picture_controls",
        "picture-positions": "layerwise.compare.picture_positions",
        "number-headline": "layerwise.compare.number_headline",
        "numbers": "layerwise.compare.numbers",
        "specifications": "layerwise.compare.specifications",
        "complexity": "layerwise.compare.complexity",
        "layer-weights": "layerwise.compare.layer_weights",
        "flow-changes": "layerwise.compare.flow_changes",
        "flow-tracing": "layerwise.compare.flow_tracing",
        "flow-strongest": "layerwise.compare.flow_strongest",
        "flow-heads": "layerwise.compare.flow_heads",
        "flow-strongest-heads": "layerwise.compare.flow_strongest_heads",
        "flow-differences": "layerwise.compare.flow_differences",
        "flow-strongest-differences": "layerwise.compare.flow_strongest_differences",
        "said": "layerwise.compare.said",
        "known-said": "layerwise.compare.known_said",
        "known-said-top": "layerwise.compare.known_said_top",
        "used": "layerwise.compare.used",
        "used-across": "layerwise.compare.used_across",
        "used-above": "layerwise.compare.used_above",
    },
)
