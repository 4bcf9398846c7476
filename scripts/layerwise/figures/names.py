"""Names for reading: of metrics, and of flows."""

from layerwise.probes.metrics.catalogue import METRICS


def metric_name(metric: str) -> str:
    """A metric as axis titles and tables write it."""
    return METRICS[metric].label


def arrow(flow: str) -> str:
    """A flow as legends and tables write it: with an arrow for ``->``."""
    return flow.replace("->", " \N{RIGHTWARDS ARROW} ")
