"""Refuses a metric that does not suit a task."""

from layerwise.errors import InputError
from layerwise.probes.metrics.catalogue import METRICS


def check_suits(metric: str, task_kind: str, key: str) -> None:
    """Raise InputError when a metric does not suit a kind of task.

    Args:
        metric: one of :data:`METRICS`.
        task_kind: binary, multiclass or multilabel.
        key: of the config, for the message.
    """
    suited = METRICS[metric].task_kinds
    if task_kind not in suited:
        others = [name for name in METRICS if task_kind in METRICS[name].task_kinds]
        raise InputError(
            f"{key}: {metric} is for tasks that are {' or '.join(suited)}, and this one is {task_kind}; take "
            f"{', '.join(others)}"
        )
