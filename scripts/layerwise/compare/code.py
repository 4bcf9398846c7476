"""Digests of the code that makes comparisons: the program's, and that of the catalogue entries that it uses.

Imports neither NumPy nor pandas, because the Snakefile asks each time it plans.
"""

from collections.abc import Iterable

from layerwise.code_digest import code_digest
from layerwise.compare.catalogue import COMPARISONS
from layerwise.probes.metrics.catalogue import METRICS


def comparison_code(comparison: str, metrics: Iterable[str]) -> str:
    """The code that makes a table of comparisons.

    Metrics count here too, not only by the scores that they change: what an item adds to the difference of two layers
    is asked by comparisons alone.

    Args:
        comparison: one of :data:`COMPARISONS`.
        metrics: of the tasks that are compared, some of :data:`METRICS`; those of information flow have none.
    """
    used = [] if COMPARISONS[comparison].per_flow else sorted(set(metrics))
    return code_digest("compare.py", COMPARISONS.file(comparison), *map(METRICS.file, used))


def carry_code(metric: str) -> str:
    """The code that lets kept probes read the states of a task.

    Args:
        metric: of the task, one of :data:`METRICS`.
    """
    return code_digest("carry_probes.py", *map(METRICS.file, dict.fromkeys((metric, "roc_auc"))))
