"""Hidden states with a planted signal of known strength: are its layers found, and do intervals cover the truth?

Writes states files with the writer of extraction and runs scripts/fit_probes.py and the code of Table 2 on them. A
layer is a mixture of Gaussians whose means depend on the label, so that the true score of any linear probe is known.

| layer | holds |
|---|---|
| embeddings | nothing |
| block 1 | a weak signal |
| block 2 | decoy: the label is the product of two coordinates' signs, which no linear probe reads |
| block 3 | the strong signal |
| block 4 | decoy: a coordinate that reveals the label in the training split only |
| block 5 | the strong signal, in another direction and with its own noise |
| block 6 | a signal between the weak and the strong one |
| final norm | block 6, rescaled |
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from benchmarks.carried import print_carried
from benchmarks.first_layers import print_first_layers
from benchmarks.interval_coverage import print_shared_texts, print_windows
from benchmarks.known_said import print_known_said
from benchmarks.power import print_power
from benchmarks.shared_text_sizes import print_crossed_sizes
from benchmarks.specification_sizes import print_curves
from benchmarks.standard_errors import rate_errors
from benchmarks.stimuli import write_stimuli

from layerwise.compare.inputs import Model, Task
from layerwise.compare.statistics.choice import choose_layer
from layerwise.compare.statistics.gains import LabelItems, image_gains
from layerwise.compare.statistics.layers import compare_layers
from layerwise.compare.statistics.paired import paired_difference, worse_than
from layerwise.compare.statistics.swaps import enough_images, swap_test
from layerwise.probes.bootstrap import ranking_interval, resample_weights, score_interval
from layerwise.probes.fits import choose
from layerwise.probes.logistic.torch_engine import TorchEngine
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.probes.metrics.scored import ALWAYS
from layerwise.probes.problems import make_problems
from layerwise.states.store import StatesFile
from layerwise.states.writing import new_states, write_rows
from layerwise.tasks.labels import read_task

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ["embeddings", *(f"block {k}" for k in range(1, 7)), "final norm"]
WIDTH = 16
C = [0.001, 0.01, 0.1]
# The best accuracies that a linear probe could reach on the weak, middle and strong signal.
WEAK, MIDDLE, STRONG = 0.72, 0.9, 0.975
READABLE = {"weak (block 1)": 1, "strong (block 3)": 3, "strong (block 5)": 5, "middle (block 6)": 6}
NOTHING = {"nothing (embeddings)": 0, "decoy, product (block 2)": 2, "decoy, training only (block 4)": 4}


@dataclass(frozen=True)
class Shape:
    """A study: items per split and image, how similar the noise of an image's items is, and the number of labels.

    With ``texts``, every split has this many texts, each with many images, and ``texts_alike`` says how similar the
    noise of a text's items is. Without it, no text is shared.
    """

    train: int
    val: int
    test: int
    items_per_image: int
    alike: float
    labels: int
    texts: int = 0
    texts_alike: float = 0.0

    def __str__(self) -> str:
        shared = f", {self.texts} texts" if self.texts else ""
        return f"{self.test} items of {self.test // self.items_per_image} images{shared}"


def means(layer: int, y: np.ndarray, other: np.ndarray, training: np.ndarray) -> np.ndarray:
    """A layer's states of the items before noise, shape (n, WIDTH).

    Args:
        layer: index in LAYERS.
        y: labels as -1 and 1, shape (n,).
        other: a sign that is independent of the label, shape (n,).
        training: whether items are of the training split, shape (n,).
    """
    found = np.zeros((len(y), WIDTH))
    if layer in (1, 3, 5, 6, 7):
        strength = {1: WEAK, 3: STRONG, 5: STRONG}.get(layer, MIDDLE)
        # Another direction in every layer.
        direction = np.random.default_rng(min(layer, 6)).standard_normal(WIDTH)
        found += norm.ppf(strength) * np.outer(y, direction / np.linalg.norm(direction))
    elif layer == 2:
        found[:, 0], found[:, 1] = 3 * other, 3 * other * y
    elif layer == 4:
        found[:, 0] = 3 * np.where(training, y, other)
    return found


def plant(folder: Path, shape: Shape, seed: int) -> None:
    """Write ``states.h5`` and the task's two files; every label has its own items and is one replication."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    tables = []
    for label in range(shape.labels):
        for split in ("train", "val", "test"):
            index = np.arange(getattr(shape, split))
            table = pd.DataFrame({"label": f"l{label}", "split": split, "y": index % 2})
            table["group"] = [f"{label}-{split}-{k // shape.items_per_image}" for k in index]
            table["item_id"] = [f"{label}-{split}-item{k}" for k in index]
            # Any image may come with any text, and texts are about equally frequent.
            text = rng.permutation(index) % shape.texts if shape.texts else index
            table["text"] = [f"{label}-{split}-text{k}" for k in text]
            tables.append(table)
    table = pd.concat(tables, ignore_index=True).assign(image_id=lambda t: t["group"])
    y, training = 2 * table["y"].to_numpy() - 1, (table["split"] == "train").to_numpy()
    other = rng.choice([-1, 1], len(table))
    # For images and for texts: how many, and how similar their noise is.
    shared = [
        (np.unique(table[column], return_inverse=True)[1], alike)
        for column, alike in (("group", shape.alike), ("text", shape.texts_alike))
        if alike
    ]
    own = 1 - shape.alike - shape.texts_alike
    cell = {"model": "planted", "prompt": "plain"} | write_stimuli(folder / "stimuli", table["item_id"], table["text"])
    with new_states(
        *(folder / "states.h5",),
        positions=["last"],
        layers=LAYERS,
        rows=len(table),
        width=WIDTH,
        dtype="float32",
        item_ids=table["item_id"],
        row_of_item=range(len(table)),
        cell=cell,
    ) as datasets:
        states = np.empty((len(table), len(LAYERS), WIDTH), np.float32)
        for layer in range(len(LAYERS) - 1):
            noise = np.sqrt(own) * rng.standard_normal((len(table), WIDTH))
            for number, alike in shared:
                noise += np.sqrt(alike) * rng.standard_normal((number.max() + 1, WIDTH))[number]
            states[:, layer] = means(layer, y, other, training) + noise
        states[:, -1] = 0.1 * states[:, -2]
        write_rows(datasets["last"], 0, states)
    table.to_parquet(folder / "labels.parquet")
    names = list(table["label"].unique())
    task = {"task": "planted", "stimuli": "planted", "question": "global", "labels": names, "classes": ["no", "yes"]}
    task |= {"kind": "multilabel" if len(names) > 1 else "binary", "metric": "accuracy"}
    (folder / "task.json").write_text(json.dumps(task))


def fit(folder: Path, resamples: int, *flags: str) -> pd.DataFrame:
    """Run the program that fits probes; returns its scores."""
    command = [sys.executable, ROOT / "scripts/fit_probes.py", "--states", folder / "states.h5", "--cell", "{}"]
    command += [
        "--stimuli",
        folder / "stimuli",
        "--task",
        folder,
        "--position",
        "last",
        "--engine",
        "torch",
        "--C",
        *C,
        "--resamples",
        resamples,
    ]
    command += ["--seed", 0, "--threads", 1, "--memory-mb", 4000, "--work", folder / "work", *flags]
    command += ["--scores", folder / "plain.scores.parquet", "--predictions", folder / "plain.predictions.parquet"]
    command += ["--curve", folder / "plain.curve.parquet"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"fit_probes.py failed:\n{done.stderr}")
    return pd.read_parquet(folder / "plain.scores.parquet")


def truths(folder: Path, layer: int) -> dict[str, dict[str, float]]:
    """The true scores of the probes of one layer, by label and metric, computed from the weights of the same fits."""
    labels, task = read_task(folder)
    with StatesFile(folder / "states.h5") as file:
        problems = make_problems(labels, task["labels"], 2, file.item_ids, file.row_of_item)
        states = file.layer("last", layer)
    rows = np.concatenate([problem.rows["train"] for problem in problems])
    centre, scale = states[rows].mean(axis=0, dtype=np.float64), states[rows].std(axis=0, dtype=np.float64)
    states = ((states - centre) / scale).astype(np.float32)
    signs = np.array([(y, other) for y in (-1, 1) for other in (-1, 1)])
    components = means(layer, signs[:, 0], signs[:, 1], np.zeros(4, bool)) * (0.1 if layer == 7 else 1)
    found = {}
    for problem, path in zip(problems, TorchEngine(1).fit(states, problems, C), strict=True):
        chosen = choose(path, states, problem.rows["val"], problem.y["val"])
        weights = chosen.coefficients[0] / scale
        margins = components @ weights + chosen.intercepts[0] - weights @ centre
        deviation = np.linalg.norm(weights) * (0.1 if layer == 7 else 1)
        found[problem.label] = true_scores(margins[signs[:, 0] < 0], margins[signs[:, 0] > 0], deviation)
    return found


def true_scores(negative: np.ndarray, positive: np.ndarray, deviation: float) -> dict[str, float]:
    """Scores of a margin that is a mixture of Gaussians in both of two equally frequent classes.

    Args:
        negative: the components' means in the first class.
        positive: the components' means in the second class.
        deviation: the standard deviation of all components.
    """
    low = norm.cdf(0, negative, deviation).mean()
    high = norm.sf(0, positive, deviation).mean()
    # Thresholds from above all margins to below.
    ends = np.concatenate([negative, positive])
    threshold = np.linspace(ends.max() + 8 * deviation, ends.min() - 8 * deviation, 4001)[:, None]
    recall, false = (norm.sf(threshold, centre, deviation).mean(axis=1) for centre in (positive, negative))
    precision = recall / np.maximum(recall + false, 1e-300)
    return {
        "accuracy": (low + high) / 2,
        "balanced_accuracy": (low + high) / 2,
        "f1": 2 * high / (2 * high + (1 - low) + (1 - high)),
        "roc_auc": float(np.trapezoid(recall, false)),
        "average_precision": float(np.trapezoid(precision, recall)),
    }


def coverage(shape: Shape, resamples: int, seed: int) -> Iterator[dict]:
    """How often the interval of a test score covers the probe's true score, by layer, as rows of a table."""
    with tempfile.TemporaryDirectory(prefix="planted-") as name:
        folder = Path(name)
        plant(folder, shape, seed)
        scores = fit(folder, resamples)
        scores = scores[(scores["probe"] == "logistic") & (scores["split"] == "test") & (scores["label"] != "macro")]
        for title, layer in (READABLE | NOTHING).items():
            truth = truths(folder, layer)
            of_layer = scores[scores["layer"] == layer]
            true = np.array([truth[row.label][row.metric] for row in of_layer.itertuples()])
            covers = ((of_layer["low"] <= true) & (true <= of_layer["high"])).groupby(of_layer["metric"]).mean()
            accuracy = of_layer["metric"] == "accuracy"
            yield {
                "test set": str(shape),
                "layer": title,
                "true accuracy": true[accuracy].mean(),
                "found": of_layer.loc[accuracy, "value"].mean(),
                **covers[list(ALWAYS)],
            }


def redrawn_coverage(shape: Shape, resamples: int, draws: int, seed: int) -> Iterator[dict]:
    """How often two intervals cover what probes of new training images score on average, as rows of a table.

    Each label of the study has training and test images of its own. So labels are replications of a study that is drawn
    anew, and the mean of their probes' true scores is the score of a probe of so many images.
    """
    with tempfile.TemporaryDirectory(prefix="planted-") as name:
        folder = Path(name)
        plant(folder, shape, seed)
        scores = fit(folder, resamples, "--training-draws", str(draws))
        scores = scores.query("split == 'test' and metric == 'accuracy' and label != 'macro'")
        for title, layer in READABLE.items():
            if layer == 5:
                # As strong as block 3.
                continue
            truth = [found["accuracy"] for found in truths(folder, layer).values()]
            row = {"title": title, "true": np.mean(truth), "deviation": np.std(truth)}
            for probe in ("logistic", "redrawn"):
                rows = scores[(scores["layer"] == layer) & (scores["probe"] == probe)]
                row[probe] = ((rows["low"] <= row["true"]) & (row["true"] <= rows["high"])).mean()
                row[f"{probe} length"] = (rows["high"] - rows["low"]).mean()
            yield row


def print_redrawn(labels: int) -> None:
    """A table of :func:`redrawn_coverage`."""
    print("\n**Training images.** How often 95 % intervals cover the accuracy that probes of new training images have "
          f"on average, in percent of {labels} replications ({rate_errors(labels)}). Each has training and test images "
          "of its own, with two items an image. The plain interval takes the fitted probe as given; the other one has "
          "20 draws of the training images.\n")  # fmt: skip
    print("| training images | test images | layer | true accuracy, ± over training sets | plain interval: length | "
          "covers | training redrawn: length | covers |\n|---:|---:|---|---:|---:|---:|---:|---:|")  # fmt: skip
    for seed, (train, test) in enumerate(((20, 400), (40, 400), (80, 400), (240, 400))):
        for row in redrawn_coverage(Shape(2 * train, train, 2 * test, 2, 0.3, labels), 400, 20, seed):
            numbers = [f"{row[f'{p} length']:.3f} | {100 * row[p]:.1f}" for p in ("logistic", "redrawn")]
            print(f"| {train} | {test} | {row['title']} | {row['true']:.3f} ± {row['deviation']:.3f} | "
                  f"{' | '.join(numbers)} |", flush=True)  # fmt: skip


def macro_coverage(n_images: int, n_labels: int, rate: float, replications: int, seed: int) -> float:
    """The same for a mean over labels whose items share images, so that errors are correlated."""
    rng, covered = np.random.default_rng(seed), 0
    for _ in range(replications):
        common = np.sqrt(0.3) * rng.standard_normal((n_images, 1))
        right = common + np.sqrt(0.7) * rng.standard_normal((n_images, n_labels)) < norm.ppf(rate)
        y = np.arange(n_images) % 2
        weights = np.vstack([np.ones(n_images), resample_weights(np.arange(n_images), 400, rng)])
        scores = np.where(right, 1, -1) * (2 * y - 1)[:, None]
        per_label = [METRICS["accuracy"].values(y, scores[:, [k]], weights, 2) for k in range(n_labels)]
        values = np.mean(per_label, axis=0)
        low, high = score_interval(values[0], values[1:], n_images)
        covered += low <= rate <= high
    return covered / replications


def ranking_coverage(n_images: int, items: int, area: float, replications: int, seed: int) -> dict[str, list[float]]:
    """The same for a ranking by Gaussian margins whose ROC AUC is ``area``, near 1, and for Wilson's interval of it."""
    rng, y = np.random.default_rng(seed), np.arange(n_images * items) % 2
    image, distance = np.repeat(np.arange(n_images), items), np.sqrt(2) * norm.ppf(area)
    truth = true_scores(np.array([0.0]), np.array([distance]), 1.0)
    alike = 0.3 if items > 1 else 0.0
    covered = {metric: [0, 0] for metric in METRICS if METRICS[metric].ranks}
    for _ in range(replications):
        common = np.sqrt(alike) * rng.standard_normal(n_images)[image]
        margins = distance * y + common + np.sqrt(1 - alike) * rng.standard_normal(len(y))
        weights = np.vstack([np.ones(len(y)), resample_weights(image, 400, rng)])
        for metric, counts in covered.items():
            values = METRICS[metric].values(y, margins[:, None], weights, 2)
            for k, interval in enumerate((ranking_interval, score_interval)):
                low, high = interval(values[0], values[1:], n_images)
                counts[k] += low <= truth[metric] <= high
    return {metric: [count / replications for count in counts] for metric, counts in covered.items()}


def alike_layers(rng: np.random.Generator, rates: np.ndarray, n_images: int, items: int) -> list[pd.DataFrame]:
    """Predictions of layers with given accuracies, whose errors are shared between layers and items of an image."""
    image = np.repeat(np.arange(n_images), items)
    y = np.arange(len(image)) % 2
    common = np.sqrt(0.3) * rng.standard_normal(n_images)[image] + np.sqrt(0.7) * rng.standard_normal(len(image))
    table = pd.DataFrame({"label": "x", "item_id": np.arange(len(image)), "group": image, "y": y})
    layers = []
    for rate in rates:
        own = np.sqrt(0.9) * common + np.sqrt(0.1) * rng.standard_normal(len(image))
        margin = np.where(own < norm.ppf(rate), 1.0, -1.0) * (2 * y - 1)
        layers.append(table.assign(scores=[[value] for value in margin]))
    return layers


def false_positives(n_layers: int, rate: float, n_images: int, items: int, studies: int, seed: int) -> dict[str, float]:
    """How often some test finds a difference between equally good layers, at the level of 5 %."""
    rng = np.random.default_rng(seed)
    counts = dict.fromkeys(("best against top", "the same, chosen on test", "some layer not as good", "covers 0"), 0)

    def accuracy(layers: list[pd.DataFrame]) -> pd.DataFrame:
        values = [(np.vstack(layer["scores"])[:, 0] > 0).astype(int) == layer["y"] for layer in layers]
        return pd.DataFrame(
            {"layer": range(n_layers), "n_layers": n_layers - 1, "value": [hit.mean() for hit in values]}
        )

    for k in range(studies):
        validation, test = (alike_layers(rng, np.full(n_layers, rate), n_images, items) for _ in range(2))
        best, best_on_test = choose_layer(accuracy(validation)), choose_layer(accuracy(test))
        for title, chosen in (("best against top", best), ("the same, chosen on test", best_on_test)):
            pair = paired_difference(test[chosen], test[-1], "accuracy", 2, 400, 999, rng)
            counts[title] += chosen != n_layers - 1 and pair.p_value <= 0.05
            if title == "best against top":
                counts["covers 0"] += pair.low <= 0 <= pair.high
        others = [layer for place, layer in enumerate(test) if place != best]
        counts["some layer not as good"] += min(worse_than(test[best], others, "accuracy", 2, 999, seed=k)) <= 0.05
    return {title: count / studies for title, count in counts.items()}


def uneven_images(spread: str, n_images: int, rng: np.random.Generator) -> np.ndarray:
    """Numbers of items of images: all four, geometric about five, or lognormal, where few images hold most items."""
    if spread == "even":
        return np.full(n_images, 4)
    drawn = rng.geometric(0.2, n_images) if spread == "geometric" else np.ceil(rng.lognormal(1, 1, n_images))
    return drawn.astype(int)


def equally_good(
    rng: np.random.Generator, sizes: np.ndarray, shares: tuple[float, float], rate: float
) -> list[LabelItems]:
    """Two layers with the same true scores, given how much of each one's noise all items of an image share.

    If the shares differ, the layers are not exchangeable: one errs on single items, the other on whole images.
    """
    image = np.repeat(np.arange(len(sizes)), sizes)
    # Items of an image have one class, so that a ranking never compares two items of one image.
    y, common = image % 2, rng.standard_normal(len(image))
    margins = []
    for share in shares:
        own = np.sqrt(share) * rng.standard_normal(len(sizes))[image]
        # Half of the items' own noise is the same in both layers.
        own += np.sqrt((1 - share) / 2) * (common + rng.standard_normal(len(image)))
        margins.append((norm.ppf(rate) * (2 * y - 1) + own)[:, None])
    return [LabelItems(y, *margins, image)]


def swap_sizes(
    metric: str, spread: str, n_images: int, shares: tuple[float, float], studies: int, seed: int
) -> dict[str, float]:
    """How often a swap test calls equally good layers different at the level of 5 %, with few and uneven images.

    Returns:
        ``images``, the mean effective number; ``shown``, the share of studies in which these are enough for a p-value;
        ``size`` in these; and ``all``, the size in all studies if every study had a p-value.
    """
    rng, found, images, shown = np.random.default_rng(seed), [], [], []
    for _ in range(studies):
        labels = equally_good(rng, uneven_images(spread, n_images, rng), shares, 0.8)
        gains = image_gains(metric, labels, n_images, 2)
        images.append(gains.effective_images)
        found.append(swap_test(gains, 1999, rng).value)
        shown.append(enough_images(gains, metric))
    wrong = np.array(found) <= 0.05
    size = wrong[shown].mean() if any(shown) else np.nan
    return {"images": np.mean(images), "size": size, "shown": np.mean(shown), "all": wrong.mean()}


# Of swap tests: metric, spread of the images' sizes, number of images, and how much of each layer's noise images share.
UNEVEN = [
    ("accuracy", "geometric", 12, (0.0, 1.0)),
    ("accuracy", "geometric", 20, (0.0, 1.0)),
    ("accuracy", "even", 30, (0.0, 1.0)),
    ("accuracy", "geometric", 60, (0.0, 1.0)),
    ("accuracy", "geometric", 60, (0.5, 0.5)),
    ("accuracy", "lognormal", 90, (0.0, 1.0)),
    ("balanced_accuracy", "geometric", 120, (0.0, 1.0)),
    ("f1", "geometric", 120, (0.0, 1.0)),
    ("roc_auc", "geometric", 200, (0.0, 1.0)),
    ("roc_auc", "geometric", 200, (0.5, 0.5)),
    ("average_precision", "geometric", 380, (0.0, 1.0)),
    ("average_precision", "geometric", 380, (0.5, 0.5)),
]


def print_swap_sizes(studies: int) -> None:
    """A table of :func:`swap_sizes`."""
    print("\n**Swap tests with few and uneven images**: how often equally good layers are called different at the "
          "level of 5 %, in percent. *shares* says for each of the two layers which share of its noise all items of "
          "an image have in common. If the shares differ, the layers err differently but have the same true score. "
          "*images of equal size* counts uneven images as fewer (except for accuracy, in the rarer class). If they "
          "are too few for the metric, there is no p-value.\n")  # fmt: skip
    print("| metric | images, items per image | shares | images of equal size | p-value given | size | size without "
          "the limit |\n|---|---|---|---:|---:|---:|---:|")  # fmt: skip
    for metric, spread, n_images, shares in UNEVEN:
        row = swap_sizes(metric, spread, n_images, shares, studies, 0)
        size = "–" if np.isnan(row["size"]) else f"{100 * row['size']:.1f}"
        print(f"| {metric} | {n_images}, {spread} | {shares[0]:g}, {shares[1]:g} | {row['images']:.0f} | "
              f"{100 * row['shown']:.0f} | {size} | {100 * row['all']:.1f} |", flush=True)  # fmt: skip


def found_layers(shape: Shape, studies: int) -> pd.DataFrame:
    """Table 2 of several studies of one label each: one row per study."""
    rows = []
    for seed in range(studies):
        with tempfile.TemporaryDirectory(prefix="planted-") as name:
            folder = Path(name) / "planted" / "planted"
            plant(folder, shape, seed)
            scores = fit(folder, 300, "--random-labels", "1", "--description-length")
            task = Task("planted", "planted", "global", "binary", ["l0"], ["no", "yes"], "accuracy")
            scores = scores.assign(model="planted", task="planted", prompt="plain")
            model = Model("planted", "planted", "pretrained", n_layers=6, width=WIDTH)
            table = compare_layers(scores, {"planted": task}, {"planted": model}, name, 300, 1999, seed)
            bits = scores[scores["metric"] == "code_bits"].set_index("layer")["value"]
            rows.append(table.iloc[0].to_dict() | {"shortest code": int(bits.loc[:6].idxmin())})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="the default; about eight minutes")
    size.add_argument("--full", action="store_true", help="more studies, 16 times the intervals; about two hours")
    full = parser.parse_args().full
    # With 2,400 replications, half a percent is noise. With 600, the worst of 28 rows is two percent low by chance.
    scale, intervals = (4, 16) if full else (1, 1)

    shapes = [
        Shape(240, 60, 120, 1, 0.0, labels=150 * intervals),
        Shape(240, 60, 400, 1, 0.0, labels=60 * intervals),
        Shape(240, 60, 120, 2, 0.3, labels=150 * intervals),
        Shape(240, 60, 400, 4, 0.3, labels=60 * intervals),
        Shape(240, 60, 400, 1, 0.0, 60 * intervals, texts=80, texts_alike=0.3),
        Shape(240, 60, 400, 4, 0.2, 60 * intervals, texts=80, texts_alike=0.2),
    ]
    print("**Coverage** of 95 % intervals of test scores, in percent: how often they contain the probe's true score.\n")
    print(f"| test set | layer | true accuracy | found | {' | '.join(ALWAYS)} |")
    print(f"|---|---|---:|---:|{'---:|' * len(ALWAYS)}")
    for seed, shape in enumerate(shapes):
        for row in coverage(shape, 400, seed):
            numbers = [f"{100 * row[metric]:.1f}" for metric in ALWAYS]
            print(f"| {row['test set']}, {shape.labels} replications | {row['layer']} | {row['true accuracy']:.3f} | "
                  f"{row['found']:.3f} | {' | '.join(numbers)} |", flush=True)  # fmt: skip
    print_redrawn(200 if full else 40)
    print("\nCoverage of means over labels that share images, 97 % and 70 % right, in percent:", end=" ")
    found = [macro_coverage(n, k, rate, 500 * scale, 0) for n, k in ((60, 4), (200, 8)) for rate in (0.97, 0.7)]
    print(", ".join(f"{100 * value:.1f}" for value in found), "(60 images, 4 labels; 200 images, 8 labels).\n")

    print("Coverage for rankings near 1, in percent. In brackets: Wilson's interval, which is meant for shares.\n")
    print("| test set | true ROC AUC | roc_auc | average_precision |\n|---|---:|---:|---:|")
    for n_images, items in ((120, 1), (400, 1), (60, 2), (100, 4)):
        for seed, area in enumerate((0.97, 0.99, 0.995, 0.999)):
            found = ranking_coverage(n_images, items, area, 250 * scale, seed)
            numbers = [f"{100 * own:.1f} ({100 * wilson:.1f})" for own, wilson in found.values()]
            print(f"| {n_images * items} items of {n_images} images | {area} | {' | '.join(numbers)} |", flush=True)

    print()
    print_shared_texts(300 * scale)
    print_windows(300 * scale)
    print("\n**False positives** at the level of 5 %, in percent, in studies whose layers are all equally good.\n")
    titles = ["best against top", "the same, chosen on test", "some layer not as good", "covers 0"]
    print("| layers | accuracy | test set | best against top | the same, chosen on test | some layer not as good | "
          "interval of the difference covers 0 |\n|---|---|---|---:|---:|---:|---:|")  # fmt: skip
    for n_layers, rate, n_images, items in ((24, 0.7, 400, 1), (24, 0.97, 120, 1), (24, 0.8, 100, 4)):
        rates = false_positives(n_layers, rate, n_images, items, 150 * scale, 0)
        numbers = " | ".join(f"{100 * rates[title]:.1f}" for title in titles)
        print(f"| {n_layers} | {rate} | {n_images * items} items of {n_images} images | {numbers} |", flush=True)

    print_swap_sizes(500 * scale)
    print_crossed_sizes(500 * scale)
    print_known_said(*((200, 2000) if full else (15, 150)))
    print_carried(*((1000, 40) if full else (250, 5)))
    print_first_layers(200 if full else 20)
    print_power(400 * scale)
    print_curves(300 if full else 30)

    shape = Shape(240, 120, 400, 2, 0.3, labels=1)
    table = found_layers(shape, 6 * scale)
    right = table["best_layer"].isin([3, 5]).sum()
    print(f"\n**Layers.** Two strong layers are truly the best. Of {len(table)} studies ({shape}), {right} choose one "
          f"of them, and {(table['p_holm'] <= 0.05).sum()} correctly call it better than the topmost block. "
          f"{table['not_worse'].isin(['3 5']).sum()} list exactly these two layers as equally good, and "
          f"{sum({3, 5} <= set(map(int, layers.split())) for layers in table['not_worse'])} list at least these two. "
          f"In {table['shortest code'].isin([3, 5]).sum()}, one of them has the shortest code.")  # fmt: skip


if __name__ == "__main__":
    main()
