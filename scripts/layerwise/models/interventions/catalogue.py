"""The kinds of intervention that a model entry may name.

A new kind is a module with a ``KIND`` and a line here. The code digest of a cell whose model has an intervention covers
the module of its kind, ``INTERVENTIONS.file(kind)``.
"""

from layerwise.catalogue import Catalogue
from layerwise.models.interventions.kind import InterventionKind

INTERVENTIONS: Catalogue[InterventionKind] = Catalogue(
    "KIND",
    {
        "bypass": "layerwise.models.interventions.bypass",
        "ablate-image": "layerwise.models.interventions.ablate_image",
        "cut-image": "layerwise.models.interventions.cut_image",
        "erase": "layerwise.models.interventions.erase",
        "steer": "layerwise.models.interventions.steer",
        "route": "layerwise.models.interventions.route",
    },
)
