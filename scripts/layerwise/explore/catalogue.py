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
    },
)
