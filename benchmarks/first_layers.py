"""Layers that know something from a planted block on: is the first one found, and never too early?

Also how often a layer is called better than several draws of an untrained twin that is as good, and how often a layer
that is worse by just the margin is called nearly as good as the best.
"""

import numpy as np
import pandas as pd
from benchmarks.standard_errors import rate_errors
from scipy.stats import norm

from layerwise.compare.statistics.firsts import first_of
from layerwise.compare.statistics.paired import better_than, less_worse_than

# Layers of a model, the embeddings among them.
LAYERS = 13


def drawn_layers(rng: np.random.Generator, rates: np.ndarray, n_images: int, items: int) -> list[pd.DataFrame]:
    """Predictions of layers with given true accuracies, whose errors layers and items of an image share in part."""
    image = np.repeat(np.arange(n_images), items)
    y = np.arange(len(image)) % 2
    common = np.sqrt(0.3) * rng.standard_normal(n_images)[image] + np.sqrt(0.7) * rng.standard_normal(len(image))
    table = pd.DataFrame({"label": "x", "item_id": np.arange(len(image)), "group": image, "y": y})
    layers = []
    for rate in rates:
        own = np.sqrt(0.8) * common + np.sqrt(0.2) * rng.standard_normal(len(image))
        margin = np.where(own < norm.ppf(np.clip(rate, 0.01, 0.99)), 1.0, -1.0) * (2 * y - 1)
        layers.append(table.assign(scores=[[value] for value in margin]))
    return layers


def twins_rates(rng: np.random.Generator, rate: float, deviation: float) -> np.ndarray:
    """True accuracies of a draw's layers: draws differ, most of it alike in all layers."""
    common = np.sqrt(0.7) * rng.standard_normal() + np.sqrt(0.3) * rng.standard_normal(LAYERS)
    return rate + deviation * common


def p_of_row(
    rng: np.random.Generator, rates: np.ndarray, draws: int, deviation: float, n_images: int, items: int, seed: int
) -> np.ndarray:
    """P-values of one row: shape (layers, references), against chance, a twin and the text alone, all at 50 %."""
    model = drawn_layers(rng, rates, n_images, items)
    twins = [drawn_layers(rng, twins_rates(rng, 0.5, deviation), n_images, items) for _ in range(draws)]
    text = drawn_layers(rng, np.full(LAYERS, 0.5), n_images, items)
    pairs = []
    for place, layer in enumerate(model):
        always = layer.assign(scores=[[-1.0]] * len(layer))
        pairs += [(layer, [always]), (layer, [twin[place] for twin in twins]), (layer, [text[place]])]
    return np.reshape(better_than(pairs, "accuracy", 2, 999, seed), (LAYERS, 3))


def first_found(start: int, rate: float, draws: int, n_images: int, studies: int, seed: int) -> dict[str, float]:
    """How often the first layer above all is too early, right, the next one, later, or none.

    Layers below ``start`` are at chance. From it on they are right at the ``rate``; the layer in the middle of these is
    the best.
    """
    rng = np.random.default_rng(seed)
    rates = np.where(np.arange(LAYERS) < start, 0.5, rate)
    counts = dict.fromkeys(("too early", "right", "one late", "later", "none", "some layer too early"), 0)
    for study in range(studies):
        above = p_of_row(rng, rates, draws, 0.01, n_images, 2, study) <= 0.05
        found = set(map(int, np.flatnonzero(above.all(axis=1))))
        first = first_of(found, (start + LAYERS) // 2)
        if first is None:
            counts["none"] += 1
        else:
            late = first - start
            counts["too early" if late < 0 else ("right", "one late")[late] if late < 2 else "later"] += 1
        counts["some layer too early"] += bool(above[:start].any())
    return {name: count / studies for name, count in counts.items()}


def false_above_twins(draws: int, deviation: float, n_images: int, studies: int, seed: int) -> float:
    """How often some layer is called better than its twins, though it is as good as draws are on average."""
    rng, wrong = np.random.default_rng(seed), 0
    for study in range(studies):
        model = drawn_layers(rng, np.full(LAYERS, 0.7), n_images, 2)
        twins = [drawn_layers(rng, twins_rates(rng, 0.7, deviation), n_images, 2) for _ in range(draws)]
        pairs = [(layer, [twin[place] for twin in twins]) for place, layer in enumerate(model)]
        wrong += min(better_than(pairs, "accuracy", 2, 999, study)) <= 0.05
    return wrong / studies


def false_equivalence(margin: float, rate: float, n_images: int, layers: int, studies: int, seed: int) -> float:
    """How often some layer is called less than the margin worse than the best, though it is worse by the margin."""
    rng, wrong = np.random.default_rng(seed), 0
    for study in range(studies):
        best, *others = drawn_layers(rng, np.array([rate] + [rate - margin] * layers), n_images, 2)
        wrong += min(less_worse_than(best, others, "accuracy", 2, margin, 999, study)) <= 0.05
    return wrong / studies


def print_first_layers(studies: int) -> None:
    """Tables of all of these, in percent."""
    print(f"\n**Which layer knows it?** Of {LAYERS} layers those below *start* are at chance, as are the twins and the "
          "text alone; the others are right at the given rate, on two items of each image. Where the first layer above "
          f"all three is found, in percent of {studies} studies ({rate_errors(studies)}). *Some layer too early* "
          "counts any layer below start that is called above anything.\n")  # fmt: skip
    names = ["too early", "right", "one late", "later", "none", "some layer too early"]
    print(f"| start | rate | images | twins | {' | '.join(names)} |\n|---:|---:|---:|---:|{'---:|' * len(names)}")
    for start, rate, draws, n_images in ((6, 0.6, 1, 200), (6, 0.7, 1, 200), (6, 0.7, 3, 200), (6, 0.6, 3, 400),
                                         (12, 0.7, 1, 200)):  # fmt: skip
        row = first_found(start, rate, draws, n_images, studies, 0)
        numbers = " | ".join(f"{100 * row[name]:.1f}" for name in names)
        print(f"| {start} | {rate} | {n_images} | {draws} | {numbers} |", flush=True)
    print("\n**Draws of a twin**: how often some layer is called above its twins though it is as good as draws are on "
          "average, in percent of as many studies, by the standard deviation of a draw's true accuracy.\n")  # fmt: skip
    deviations = (0, 0.01, 0.03, 0.1)
    print(f"| draws | {' | '.join(map(str, deviations))} |\n|---:|{'---:|' * len(deviations)}")
    for draws in (3, 5):
        rates = [false_above_twins(draws, deviation, 200, studies, 0) for deviation in deviations]
        print(f"| {draws} | {' | '.join(f'{100 * rate:.1f}' for rate in rates)} |", flush=True)
    print("\n**Margins**: how often some layer is called less than the margin worse than the best, though it is worse "
          "by the margin, in percent of as many studies.\n")  # fmt: skip
    print("| margin | accuracy | images | layers | rate |\n|---:|---:|---:|---:|---:|")
    for margin, rate, n_images, layers in ((0.02, 0.8, 1000, 1), (0.02, 0.8, 1000, 12), (0.02, 0.97, 400, 12),
                                           (0.01, 0.99, 400, 12)):  # fmt: skip
        found = false_equivalence(margin, rate, n_images, layers, studies, 0)
        print(f"| {margin} | {rate} | {n_images} | {layers} | {100 * found:.1f} |", flush=True)
