"""How often the library's tests and swap tests call equally good layers different if images share texts.

Used by benchmarks/ground_truth.py, which asks the same of whole studies.
"""

import numpy as np
from benchmarks.interval_coverage import Crossing
from scipy.stats import norm

from layerwise.compare.statistics.gains import LabelItems, image_gains
from layerwise.compare.statistics.shared_texts import (
    CrossedDifference,
    difference_p_value,
    enough_texts,
    greatest_difference_test,
)
from layerwise.compare.statistics.swaps import greatest_swap_test, swap_test
from layerwise.probes.bootstrap import Crossed
from layerwise.probes.clusters import FEWEST_TEXTS, Clusters

LEVEL, N_LAYERS, DRAWS = 0.05, 12, 1999
CROSSINGS = (
    Crossing(400, 1, 80, 0.1, 0.3),
    Crossing(400, 1, 80, 0.3, 0.0),
    Crossing(400, 4, 80, 0.1, 0.3),
    Crossing(400, 4, 80, 0.3, 0.0),
    Crossing(400, 4, 64, 0.1, 0.3),
    Crossing(400, 4, FEWEST_TEXTS, 0.1, 0.3),
)


class _Study:
    """Accuracies of layers on one draw of a test set."""

    def __init__(self, crossing: Crossing, rng: np.random.Generator, draws: int = DRAWS):
        self.crossing, self.rng, self.draws = crossing, rng, draws
        self.image, self.text = crossing.units(rng)
        self.y = np.arange(len(self.image)) % 2
        self.clusters = Clusters([self.image], [self.text])
        # Without this there is nothing to compare.
        assert isinstance(self.clusters.units(), Crossed)

    def alike(self, n_layers: int) -> list[np.ndarray]:
        """Noise of layers that are exchangeable, half of it the same in all."""
        common = self._noise(self.crossing)
        return [np.sqrt(0.5) * (common + self._noise(self.crossing)) for _ in range(n_layers)]

    def by_items_and_by_texts(self) -> list[np.ndarray]:
        """Noise of two layers: one from single items, the other almost entirely from texts."""
        shape = self.crossing.images, self.crossing.items, self.crossing.texts
        return [self._noise(Crossing(*shape, 0.0, by_text)) for by_text in (0.0, 0.9)]

    def _noise(self, crossing: Crossing) -> np.ndarray:
        return crossing.noise(self.image, self.text, self.rng)

    def pair(self, first: np.ndarray, second: np.ndarray, rate: float) -> LabelItems:
        margins = [
            (np.where(noise < norm.ppf(rate), 1.0, -1.0) * (2 * self.y - 1))[:, None] for noise in (first, second)
        ]
        return LabelItems(self.y, *margins, self.image)

    def of(self, pair: LabelItems) -> CrossedDifference:
        gains = image_gains("accuracy", [pair], self.crossing.images, 2)
        return CrossedDifference.of(float(gains.by_part.sum()), "accuracy", [pair], 2, self.clusters)

    def two_sided(self, noise: list[np.ndarray], rate: float) -> tuple[float, float]:
        """P-values of the library where texts count, and of a swap test."""
        pair = self.pair(*noise, rate)
        gains = image_gains("accuracy", [pair], self.crossing.images, 2)
        return difference_p_value(self.of(pair)), swap_test(gains, self.draws, self.rng).value

    def greatest(self, noise: list[np.ndarray], rate: float, seed: int) -> tuple[float, float]:
        """The least adjusted p-value of all layers against the first, of both tests."""
        pairs = [self.pair(noise[0], other, rate) for other in noise[1:]]
        gains = [image_gains("accuracy", [pair], self.crossing.images, 2) for pair in pairs]
        ours = greatest_difference_test([self.of(pair) for pair in pairs], self.draws, seed)
        return min(ours), min(greatest_swap_test(gains, self.draws, seed))

    @property
    def shown(self) -> bool:
        """Whether the library gives a p-value."""
        return enough_texts("accuracy", [self.pair(*self.alike(2), 0.8)], [self.text], 2)


def crossed_sizes(
    crossing: Crossing, studies: int, seed: int, greatest: bool = True, draws: int = DRAWS
) -> dict[str, np.ndarray]:
    """How often equally good layers are called different at the level of 5 %.

    Args:
        crossing: of the test set.
        studies: how many are drawn.
        seed: of the draws.
        greatest: whether to include the test of several layers, which takes most of the time.
        draws: of swaps, and of the greatest statistic.

    Returns:
        By question, shape (2,): the library's test without its limit on texts, and the swap test.
    """
    rng, found = np.random.default_rng(seed), {}
    for k in range(studies):
        study = _Study(crossing, rng, draws)
        p_values = {"by texts 0.8": study.two_sided(study.by_items_and_by_texts(), 0.8)}
        noise = study.alike(N_LAYERS if greatest else 2)
        for rate in (0.8, 0.97):
            p_values[f"two-sided {rate}"] = study.two_sided(noise[:2], rate)
            if greatest:
                p_values[f"greatest {rate}"] = study.greatest(noise, rate, k)
        for question, of_study in p_values.items():
            found.setdefault(question, []).append(of_study)
    return {question: (np.array(p_values) <= LEVEL).mean(axis=0) for question, p_values in found.items()}


def print_crossed_sizes(studies: int) -> None:
    """A table of :func:`crossed_sizes`."""
    print("\n**Tests where images share texts**: how often equally good layers are called different at the level of "
          "5 %, in percent. In brackets: a test that swaps images and ignores texts. *image, text* are the shares of "
          "the noise's variance that an image and a text contribute; half of the noise is the same in all layers. *One "
          f"by texts*: one layer errs on single items, the other on whole texts. *Some of {N_LAYERS - 1}*: some layer "
          "is called worse than the reference, adjusted over the layers.\n")  # fmt: skip
    print(f"| test set | image, text | p-value given | 80 % right | 97 % right | one by texts, 80 % | some of "
          f"{N_LAYERS - 1}, 80 % | some of {N_LAYERS - 1}, 97 % |\n|---|---|---|---:|---:|---:|---:|---:|")  # fmt: skip
    for crossing in CROSSINGS:
        shown = "yes" if _Study(crossing, np.random.default_rng(0)).shown else "no"
        sizes = crossed_sizes(crossing, studies, 0)
        questions = ("two-sided 0.8", "two-sided 0.97", "by texts 0.8", "greatest 0.8", "greatest 0.97")
        numbers = (f"{100 * sizes[each][0]:.1f} ({100 * sizes[each][1]:.1f})" for each in questions)
        print(f"| {crossing} | {crossing.by_image}, {crossing.by_text} | {shown} | {' | '.join(numbers)} |", flush=True)
    print(f"\nEach row is over {studies:,} studies. If no p-value is given, the row shows the size that it would have.")
