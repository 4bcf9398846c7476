"""Which metrics a cell is scored by."""

# Every task is scored by these beside its own, so that tables of different studies can be compared. It is no list of
# all metrics: one that is added to the catalogue is scored where a task names it, and makes no other cell stale.
ALWAYS = ("accuracy", "balanced_accuracy", "f1", "roc_auc", "average_precision")


def scored_metrics(metric: str) -> list[str]:
    """The metrics of a task's scores, by name.

    Args:
        metric: the task's own.
    """
    return list(dict.fromkeys([*ALWAYS, metric]))
