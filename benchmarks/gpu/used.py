"""What erasing and steering at every block costs, as benchmarks/used.py measures it."""

from contextlib import redirect_stdout

import used

from gpu.card import Card
from gpu.results import Results


class _Page:
    """Standard output that goes to the results as it is written."""

    def __init__(self, results: Results):
        self.results, self.rest = results, ""

    def write(self, text: str) -> int:
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            self.results.line(line)
        return len(text)

    def flush(self) -> None:
        """Whole lines are written at once."""


def run(card: Card, results: Results) -> None:
    """The table of benchmarks/used.py for one model."""
    with redirect_stdout(_Page(results)):
        used.main_gpu(card.shape, card.device, card.rounds)
