"""How often intervals contain the truth if images share texts, and if windows are picked and changes are skewed.

Used by benchmarks/ground_truth.py, which asks the same of whole studies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.stats import norm

from layerwise.compare.statistics.flow_means import FEWEST_IMAGES, Resampled
from layerwise.probes.bootstrap import Units, difference_interval, score_interval
from layerwise.probes.clusters import FEWEST_TEXTS, Clusters
from layerwise.probes.metrics.catalogue import METRICS

N_WINDOWS, RESAMPLES = 24, 400


@dataclass(frozen=True)
class Crossing:
    """A test set whose items share images and texts; ``by_image`` and ``by_text`` are parts of the noise's variance."""

    images: int
    items: int
    texts: int
    by_image: float
    by_text: float

    def __str__(self) -> str:
        return f"{self.images * self.items} items of {self.images} images, {self.texts} texts"

    def units(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The items' images and texts; any image may come with any text, and each text is about as frequent."""
        image = np.repeat(np.arange(self.images), self.items)
        return image, rng.permutation(len(image)) % self.texts

    def noise(self, image: np.ndarray, text: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Of variance 1, shape (n,)."""
        own = np.sqrt(1 - self.by_image - self.by_text) * rng.standard_normal(len(image))
        of_image = np.sqrt(self.by_image) * rng.standard_normal(self.images)[image]
        return own + of_image + np.sqrt(self.by_text) * rng.standard_normal(self.texts)[text]


CROSSINGS = (
    Crossing(400, 1, 80, 0.1, 0.3),
    Crossing(400, 1, 80, 0.3, 0.0),
    Crossing(100, 4, 80, 0.1, 0.3),
    Crossing(100, 4, 80, 0.2, 0.1),
    Crossing(100, 4, 80, 0.3, 0.0),
    Crossing(400, 4, 80, 0.1, 0.3),
    Crossing(400, 4, FEWEST_TEXTS, 0.1, 0.3),
    Crossing(400, 4, FEWEST_TEXTS, 0.3, 0.0),
)


def crossed_coverage(crossing: Crossing, rates: Sequence[float], replications: int, seed: int) -> np.ndarray:
    """Coverage if images share texts: of the library's intervals, and of intervals by image alone.

    Returns:
        Shape (2, rates, 2): of an accuracy and of the difference of two layers that are equally good, at each true
        accuracy, the library's and that by image.
    """
    rng, covered = np.random.default_rng(seed), np.zeros((2, len(rates), 2))
    for _ in range(replications):
        image, text = crossing.units(rng)
        y = np.arange(len(image)) % 2
        common = crossing.noise(image, text, rng)
        layers = [np.sqrt(0.5) * (common + crossing.noise(image, text, rng)) for _ in range(2)]
        clusters = Clusters([image], [text])
        weights = clusters.weights(clusters.draw(RESAMPLES, rng), 0)
        weights = np.vstack([np.ones_like(weights[:1]), weights])
        for k, rate in enumerate(rates):
            margins = [np.where(noise < norm.ppf(rate), 1.0, -1.0) * (2 * y - 1) for noise in layers]
            first, second = (METRICS["accuracy"].values(y, each[:, None], weights, 2) for each in margins)
            for way in range(2):
                low, high = score_interval(first[0], *_evidence(clusters, first, crossing, way))
                covered[0, k, way] += low <= rate <= high
                low, high = difference_interval(
                    first[0] - second[0], *_evidence(clusters, first - second, crossing, way)
                )
                covered[1, k, way] += low <= 0 <= high
    return covered / replications


def _evidence(clusters: Clusters, values: np.ndarray, crossing: Crossing, way: int) -> tuple[np.ndarray, Units]:
    """Resamples and their units: the library's, or by images alone."""
    return (values[1 : 1 + RESAMPLES], crossing.images) if way else clusters.evidence(values[1:], 0)


def changes(shape: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Changes in percent of ``n`` images' answers in 24 windows, shape (n, 24), and their true mean.

    Neighbouring windows overlap as windows of seven blocks do, and images differ in all of them.

    Args:
        shape: ``normal``; ``skewed`` and ``very skewed`` - the logarithm of what is left of the probability is normal,
            with deviation 0.5 and 1; ``lost`` - the loss is exponential; ``1 in 20`` - one answer in 20 loses 80 %,
            and the rest changes little.
        n: images.
        rng: the source of randomness.
    """
    steps = np.cumsum(np.pad(rng.standard_normal((n, N_WINDOWS + 6)), ((0, 0), (1, 0))), axis=1)
    overlapping = (steps[:, 7:] - steps[:, :-7]) / np.sqrt(7)
    z = np.sqrt(0.7) * rng.standard_normal((n, 1)) + np.sqrt(0.3) * overlapping
    if shape == "normal":
        return 5 * z - 5, -5.0
    if shape in ("skewed", "very skewed"):
        deviation = {"skewed": 0.5, "very skewed": 1.0}[shape]
        return 100 * (np.exp(deviation * z - deviation**2 / 2 - 0.1) - 1), 100 * (np.exp(-0.1) - 1)
    if shape == "lost":
        return 10 * norm.logsf(z), -10.0
    return np.where(z > norm.isf(0.05), -80.0, 0.0) + 2 * rng.standard_normal(z.shape), -4.0


def window_coverage(shape: str, n: int, apart: float, replications: int, seed: int) -> float:
    """How often the interval of the strongest window contains the true mean of the window that was picked.

    Args:
        shape: see :func:`changes`.
        n: images.
        apart: how much weaker than the strongest window others are, in percent; 0 - all are equally strong.
        replications: how many studies.
        seed: of the randomness.
    """
    rng, covered = np.random.default_rng(seed), 0
    weaker = apart * (np.abs(np.arange(N_WINDOWS) - N_WINDOWS // 2) / 3).clip(0, 1)
    for _ in range(replications):
        values, truth = changes(shape, n, rng)
        place, low, high = Resampled.of(values + weaker, np.arange(n), 1000, rng).strongest()
        covered += low <= truth + weaker[place] <= high
    return covered / replications


def print_shared_texts(replications: int) -> None:
    """Coverage if many images share few texts, as a table."""
    print("**Shared texts**: coverage if images share texts, in percent. In brackets: intervals over images alone. "
          "*image, text* are the shares of the noise's variance that an image and a text contribute.\n")  # fmt: skip
    print("| test set | image, text | accuracy 0.7 | accuracy 0.97 | difference, 0.7 | difference, 0.97 |")
    print("|---|---|---:|---:|---:|---:|")
    for crossing in CROSSINGS:
        found = crossed_coverage(crossing, (0.7, 0.97), replications, 0).reshape(4, 2)
        numbers = " | ".join(f"{100 * ours:.1f} ({100 * by_image:.1f})" for ours, by_image in found)
        print(f"| {crossing} | {crossing.by_image}, {crossing.by_text} | {numbers} |", flush=True)


def print_windows(replications: int) -> None:
    """Coverage of the strongest window's interval, as a table."""
    print("\n**Strongest windows**: coverage of the interval of the window that was picked among 24, in percent. "
          "Either all windows are equally strong, or one is up to 10 % stronger.\n")  # fmt: skip
    print("| images | changes | equally strong | one is stronger |\n|---:|---|---:|---:|")
    for n, shape in product((FEWEST_IMAGES, 150), ("normal", "skewed", "very skewed", "lost", "1 in 20")):
        found = [window_coverage(shape, n, apart, replications, seed) for seed, apart in enumerate((0.0, 10.0))]
        print(f"| {n} | {shape} | {100 * found[0]:.1f} | {100 * found[1]:.1f} |", flush=True)
