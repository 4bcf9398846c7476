"""The parts of the page and its charts, by name.

To add a chart, write its module in ``views`` and name it here. Nothing else changes: not the page, nor its scripts.
"""

from layerwise.catalogue import Catalogue
from layerwise.explore.entry import Part, View

PARTS: Catalogue[Part] = Catalogue(
    "PART",
    {
        "answers": "layerwise.explore.parts.answers",
        "controls": "layerwise.explore.parts.controls",
        "charts": "layerwise.explore.parts.charts",
        "items": "layerwise.explore.parts.items",
        "tables": "layerwise.explore.parts.tables",
        "gallery": "layerwise.explore.parts.gallery",
    },
)
VIEWS: Catalogue[View] = Catalogue(
    "VIEW",
    {
        "curves": "layerwise.explore.views.curves",
        "strips": "layerwise.explore.views.strips",
        "heads": "layerwise.explore.views.heads",
        "sites": "layerwise.explore.views.sites",
        "knockout": "layerwise.explore.views.knockout",
        "objects": "layerwise.explore.views.objects",
        "flow-pictures": "layerwise.explore.views.flow_pictures",
        "flow-spans": "layerwise.explore.views.flow_spans",
        "logit-difference": "layerwise.explore.views.logit_difference",
        "tracing": "layerwise.explore.views.tracing",
        "flow-heads": "layerwise.explore.views.flow_heads",
        "transfer": "layerwise.explore.views.transfer",
        "used": "layerwise.explore.views.used",
        "used-between": "layerwise.explore.views.used_between",
        "used-above": "layerwise.explore.views.used_above",
        "known-said": "layerwise.explore.views.known_said",
        "complexity": "layerwise.explore.views.complexity",
        "learning": "layerwise.explore.views.learning",
        "test-parts": "layerwise.explore.views.test_parts",
        "pictures": "layerwise.explore.views.pictures",
        "layer-measures": "layerwise.explore.views.layer_measures",
        "layer-likeness": "layerwise.explore.views.layer_likeness",
        "positions": "layerwise.explore.views.positions",
        "tower": "layerwise.explore.views.tower",
        "patch-lens": "layerwise.explore.views.patch_lens",
        "pooled": "layerwise.explore.views.pooled",
    },
)
