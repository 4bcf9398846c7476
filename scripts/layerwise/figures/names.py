"""Names for reading: of metrics, and of flows."""

METRIC_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
}


def metric_name(metric: str) -> str:
    """A metric as axis titles and tables write it."""
    return METRIC_NAMES.get(metric, metric.replace("_", " "))


def arrow(flow: str) -> str:
    """A flow as legends and tables write it: with an arrow for ``->``."""
    return flow.replace("->", " \N{RIGHTWARDS ARROW} ")
