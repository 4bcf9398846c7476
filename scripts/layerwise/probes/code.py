"""Digests of the code that makes a task's scores: the program's, and that of the catalogue entries that it uses.

Works on a validated config and imports neither NumPy nor torch, because the Snakefile asks each time it plans.
"""

from typing import Any

from layerwise.code_digest import code_digest
from layerwise.probes.kinds.catalogue import PROBE_KINDS
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.probes.metrics.scored import scored_metrics


def probe_code(config: dict[str, Any], task: str) -> str:
    """The code that fits and scores a task's probes."""
    metrics = scored_metrics(config["tasks"][task]["metric"])
    return code_digest("fit_probes.py", PROBE_KINDS.file(config["probes"]["engine"]), *map(METRICS.file, metrics))


def site_probe_code(config: dict[str, Any], task: str) -> str:
    """The code that fits and scores a task's probes of attention, MLP and heads; they have the task's metric alone."""
    metric = config["tasks"][task]["metric"]
    return code_digest("fit_site_probes.py", PROBE_KINDS.file(config["probes"]["engine"]), METRICS.file(metric))


def metric_files(config: dict[str, Any]) -> list[str]:
    """The modules of all metrics that a study's tasks name, for digests of what compares scores."""
    return sorted({METRICS.file(task["metric"]) for task in config["tasks"].values()})
