"""Digests of the code that makes scores: the program's, and that of the catalogue entries that it uses.

Imports neither NumPy nor torch, because the Snakefile asks each time it plans.
"""

from collections.abc import Iterable

from layerwise.code_digest import code_digest
from layerwise.probes.kinds.catalogue import PROBE_KINDS
from layerwise.probes.logistic.engines.catalogue import ENGINES
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.probes.metrics.scored import scored_metrics


def probe_code(engine: str, metric: str) -> str:
    """The code that fits and scores the probes of a task.

    Args:
        engine: of the study, one of :data:`ENGINES`.
        metric: of the task, one of :data:`METRICS`.
    """
    return code_digest("fit_probes.py", ENGINES.file(engine), *map(METRICS.file, scored_metrics(metric)))


def site_probe_code(engine: str, metric: str) -> str:
    """The code that fits and scores the probes of attention, MLP and heads, which are scored by the metric alone.

    Arguments are those of :func:`probe_code`.
    """
    return code_digest("fit_site_probes.py", ENGINES.file(engine), METRICS.file(metric))


def position_probe_code(engine: str, metric: str) -> str:
    """The code that fits and scores the probes of the positions of single pictures, scored by the metric alone.

    Arguments are those of :func:`probe_code`.
    """
    return code_digest("fit_position_probes.py", ENGINES.file(engine), METRICS.file(metric))


def task_position_code(engine: str, metric: str) -> str:
    """The code that fits and scores the probes of further positions of a task, scored by the metric alone.

    Arguments are those of :func:`probe_code`.
    """
    return code_digest("fit_task_position.py", ENGINES.file(engine), METRICS.file(metric))


def shortcut_code(engine: str, metric: str) -> str:
    """The code that fits and scores a task's probes on simple features.

    Arguments are those of :func:`probe_code`.
    """
    return code_digest(
        "fit_shortcuts.py", ENGINES.file(engine), *map(METRICS.file, dict.fromkeys(("accuracy", metric)))
    )


def tower_probe_code(engine: str, metric: str) -> str:
    """The code that fits and scores a task's probes in the vision tower.

    Arguments are those of :func:`probe_code`.
    """
    scored = dict.fromkeys(("accuracy", metric))
    return code_digest("fit_tower_probes.py", ENGINES.file(engine), *map(METRICS.file, scored))


def pooled_probe_code(engine: str, metric: str) -> str:
    """The code that fits and scores a task's probes over image tokens.

    Arguments are those of :func:`probe_code`.
    """
    scored = dict.fromkeys(("accuracy", metric))
    return code_digest("fit_pooled_probes.py", ENGINES.file(engine), *map(METRICS.file, scored))


def kind_code(kind: str, metric: str) -> str:
    """The code that fits and scores a further kind of probe. It holds that of no other kind.

    Args:
        kind: of the study, one of :data:`PROBE_KINDS`.
        metric: of the task, one of :data:`METRICS`.
    """
    scored = dict.fromkeys(("accuracy", metric))
    return code_digest("fit_probe_kind.py", PROBE_KINDS.file(kind), *map(METRICS.file, scored))


def specification_code(engine: str, kinds: Iterable[str], metrics: Iterable[str]) -> str:
    """The code that compares layers under many specifications.

    Args:
        engine: of the study, one of :data:`ENGINES`.
        kinds: of probes, beside logistic regression.
        metrics: of the task, and those beside it.
    """
    used = [ENGINES.file(engine), *map(PROBE_KINDS.file, sorted(kinds)), *map(METRICS.file, sorted(set(metrics)))]
    return code_digest("fit_specifications.py", *used)
