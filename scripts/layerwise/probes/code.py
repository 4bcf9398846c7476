"""Digests of the code that makes scores: the program's, and that of the catalogue entries that it uses.

Imports neither NumPy nor torch, because the Snakefile asks each time it plans.
"""

from collections.abc import Iterable

from layerwise.code_digest import code_digest
from layerwise.probes.kinds.catalogue import PROBE_KINDS
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.probes.metrics.scored import scored_metrics


def probe_code(engine: str, metric: str) -> str:
    """The code that fits and scores the probes of a task.

    Args:
        engine: of the study, one of :data:`PROBE_KINDS`.
        metric: of the task, one of :data:`METRICS`.
    """
    return code_digest("fit_probes.py", PROBE_KINDS.file(engine), *map(METRICS.file, scored_metrics(metric)))


def site_probe_code(engine: str, metric: str) -> str:
    """The code that fits and scores the probes of attention, MLP and heads, which are scored by the metric alone.

    Arguments are those of :func:`probe_code`.
    """
    return code_digest("fit_site_probes.py", PROBE_KINDS.file(engine), METRICS.file(metric))


def specification_code(engine: str, metrics: Iterable[str]) -> str:
    """The code that compares layers under many specifications.

    Args:
        engine: of the study, one of :data:`PROBE_KINDS`.
        metrics: of the task, and those beside it.
    """
    return code_digest("fit_specifications.py", PROBE_KINDS.file(engine), *map(METRICS.file, sorted(set(metrics))))
