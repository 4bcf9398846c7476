"""Names for reading: of metrics, and of flows."""

from layerwise.probes.metrics.catalogue import METRICS

# Metrics of numbers, which are no entries of the catalogue.
OF_NUMBERS = {"r2": "R²"}


def metric_name(metric: str) -> str:
    """A metric as axis titles and tables write it."""
    return OF_NUMBERS.get(metric) or METRICS[metric].label


def arrow(flow: str) -> str:
    """A flow as legends and tables write it: with an arrow for ``->``, and spans by their names alone."""
    return flow.replace("span:", "").replace("->", " \N{RIGHTWARDS ARROW} ")
