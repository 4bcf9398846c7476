"""The solvers of logistic regression that ``probes.engine`` of a study may name."""

from typing import TYPE_CHECKING

from layerwise.catalogue import Catalogue

if TYPE_CHECKING:
    from layerwise.probes.logistic.engines.engine import Engine

ENGINES: "Catalogue[Engine]" = Catalogue(
    "ENGINE",
    {
        "torch": "layerwise.probes.logistic.engines.torch_logistic",
        "sklearn": "layerwise.probes.logistic.engines.sklearn_logistic",
    },
)
