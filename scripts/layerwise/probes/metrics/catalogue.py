"""The metrics that a task may name."""

from typing import TYPE_CHECKING

from layerwise.catalogue import Catalogue

if TYPE_CHECKING:
    from layerwise.probes.metrics.metric import Metric

METRICS: "Catalogue[Metric]" = Catalogue(
    "METRIC",
    {
        "accuracy": "layerwise.probes.metrics.accuracy",
        "balanced_accuracy": "layerwise.probes.metrics.balanced_accuracy",
        "f1": "layerwise.probes.metrics.f1",
        "roc_auc": "layerwise.probes.metrics.roc_auc",
        "average_precision": "layerwise.probes.metrics.average_precision",
    },
)
