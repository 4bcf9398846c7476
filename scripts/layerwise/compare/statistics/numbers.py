"""Ridge regressions of two layers on the same test items: the difference of R², its interval, and a p-value.

With the test items given, R² is 1 less a sum over items, so that the difference of two layers is a sum of what images
add: the difference of both layers' squared errors, over the spread of the numbers. The tests are those of
:mod:`layerwise.compare.statistics.swaps`, or where images share texts of
:mod:`layerwise.compare.statistics.shared_texts`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from layerwise.compare.inputs import CELL, Model, Task, read_estimates
from layerwise.compare.rows import headline_scores
from layerwise.compare.statistics.choice import choose_layer
from layerwise.compare.statistics.gains import Gains, LabelItems
from layerwise.compare.statistics.layers import BOUNDED, check_same_run
from layerwise.compare.statistics.paired import PairedDifference
from layerwise.compare.statistics.shared_texts import CrossedDifference, difference_p_value, greatest_difference_test
from layerwise.compare.statistics.significance import LEVEL, with_holm
from layerwise.compare.statistics.swaps import PValue, greatest_swap_test, swap_test
from layerwise.errors import InputError
from layerwise.probes.bootstrap import Crossed, Units, difference_interval
from layerwise.probes.clusters import Clusters
from layerwise.probes.number_metrics import number_values

# Effective numbers of images, and of texts where these are shared, below which there is no p-value. Squared errors have
# no upper limit, so that a few images may decide. Suppose that one layer errs by single items and the other by whole
# images, whose errors differ in scale by a factor of two (standard deviation of the logarithm 0.6). Then equally good
# layers are called different in 9 % of cases at the level of 5 % with 80 images, and in 5 % with 150.
LEAST_IMAGES = LEAST_TEXTS = 150


@dataclass(frozen=True)
class NumberPair:
    """Two layers' estimates of the same numbers.

    Attributes:
        labels: each with ``y`` and both layers' estimates, all of shape (n,), and the items' images.
        texts: per label, shape (n,), numbers that are equal where items read the same.
        n_images: over all labels.
    """

    labels: list[LabelItems]
    texts: list[np.ndarray]
    n_images: int

    @classmethod
    def of(cls, first: pd.DataFrame, second: pd.DataFrame) -> "NumberPair":
        """From two layers' rows, see :func:`layerwise.compare.inputs.read_estimates`.

        Raises:
            InputError: The two are of different items.
        """
        for column in ("label", "item_id", "group", "y"):
            if len(first) != len(second) or (first[column].to_numpy() != second[column].to_numpy()).any():
                raise InputError("the estimates compared are of different items; run the probes of this cell again")
        groups, codes = np.unique(first["group"].to_numpy().astype(str), return_inverse=True)
        columns = first["y"].to_numpy(), *(frame["estimate"].to_numpy(np.float64) for frame in (first, second)), codes
        places = first.groupby("label", sort=False).indices.values()
        labels = [LabelItems(*(column[rows] for column in columns)) for rows in places]
        return cls(labels, [first["text"].to_numpy()[rows] for rows in places], len(groups))

    def values(self) -> tuple[float, float]:
        """Both layers' R², averaged over labels."""
        first, second = np.mean([self._r2(label, np.ones((1, len(label.y)))) for label in self.labels], axis=0)
        return float(first[0]), float(second[0])

    def compared(self, n_resamples: int, n_permutations: int, rng: np.random.Generator) -> PairedDifference:
        """The difference of R², first less second, with its interval and two-sided p-value."""
        first, second = self.values()
        low, high = difference_interval(first - second, *self._resampled(n_resamples, rng), bound=np.inf)
        if not self.can_be_tested:
            return PairedDifference(first, second, first - second, low, high, np.nan)
        p = PValue(difference_p_value(self.crossed)) if self.is_crossed else swap_test(self.gains, n_permutations, rng)
        return PairedDifference(first, second, first - second, low, high, p.value, p.is_bound)

    @cached_property
    def item_gains(self) -> list[np.ndarray]:
        """Per label, what each item adds to the mean difference over labels, shape (n,)."""
        return [
            (np.square(label.y - label.second) - np.square(label.y - label.first))
            / (np.square(label.y - label.y.mean()).sum() * len(self.labels))
            for label in self.labels
        ]

    @cached_property
    def gains(self) -> Gains:
        """What each image adds to the difference."""
        by_part = [self._by_image(gains, label) for gains, label in zip(self.item_gains, self.labels, strict=True)]
        weights = np.stack([self._by_image(np.full(len(label.y), 1 / len(label.y)), label) for label in self.labels])
        return Gains(np.stack(by_part), weights, weights.mean(axis=0, keepdims=True))

    @property
    def is_crossed(self) -> bool:
        """Whether images share texts so much that texts count as units too."""
        return isinstance(self._clusters.units(), Crossed)

    @property
    def crossed(self) -> CrossedDifference:
        """What images, texts and pairs of both add to the difference, if texts count as units."""
        units = self._clusters.units()
        if not isinstance(units, Crossed):
            raise TypeError("groups that share no texts have no difference by text; use a swap test")
        first, second = self.values()
        residuals = [gains - gains.mean() for gains in self.item_gains]
        return CrossedDifference(first - second, tuple(self._clusters.sums(residuals)), units)

    @property
    def can_be_tested(self) -> bool:
        """Whether there are enough images (and texts, where they count) for a p-value. Depends on counts alone."""
        if round(self.gains.effective_images, 6) < LEAST_IMAGES:
            return False
        units = self._clusters.units()
        return not isinstance(units, Crossed) or round(units.texts, 6) >= LEAST_TEXTS

    @cached_property
    def _clusters(self) -> Clusters:
        return Clusters([label.images for label in self.labels], self.texts)

    @staticmethod
    def _r2(label: LabelItems, weights: np.ndarray) -> list[np.ndarray]:
        """Both layers' R² under each weighting."""
        return [number_values("r2", label.y, estimates, weights) for estimates in (label.first, label.second)]

    def _by_image(self, values: np.ndarray, label: LabelItems) -> np.ndarray:
        return np.bincount(label.images, values, self.n_images)

    def _resampled(self, n_resamples: int, rng: np.random.Generator) -> tuple[np.ndarray, Units]:
        draws, found = self._clusters.draw(n_resamples, rng), []
        for place, label in enumerate(self.labels):
            weights = self._clusters.weights(draws, place)
            first, second = self._r2(label, weights)
            found.append(first - second)
        return self._clusters.evidence(np.mean(found, axis=0))


def compare_number_layers(
    scores: pd.DataFrame,
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    estimates_root: str | Path,
    n_resamples: int,
    n_permutations: int,
    seed: int,
) -> pd.DataFrame:
    """Compare, in every cell, the layer chosen on validation with the topmost block on the test split.

    Args:
        scores: All cells' tidy rows of ridge regressions.
        tasks: Descriptions of tasks about numbers; cells of other tasks are left out.
        models: Model descriptions; they give the order of the rows.
        estimates_root: Folder with {model}/{task}/{prompt}.estimates.parquet.
        n_resamples: Bootstrap resamples for the interval of the difference.
        n_permutations: Swaps drawn for each p-value, and for each set of layers.
        seed: Seed; each cell draws from its own stream.

    Returns:
        One row per cell; :mod:`layerwise.compare.numbers` lists the columns.

    Raises:
        InputError: A model has no description, or the estimates do not give the scores.
    """
    validation, test = (headline_scores(scores, tasks, split, probe="ridge") for split in ("val", "test"))
    if unknown := sorted(set(test["model"]) - set(models)):
        raise InputError(f"no model.json describes {', '.join(unknown)}; give one for every model in the scores")
    of_validation = dict(list(validation.groupby(CELL)))
    baseline = headline_scores(scores, tasks, "test", probe="mean").set_index(CELL)["value"]
    selectivity = None
    if "selectivity" in set(scores["probe"]):
        selectivity = headline_scores(scores, tasks, "test", probe="selectivity").set_index([*CELL, "layer"])
    errors = scores[(scores["probe"] == "ridge") & (scores["metric"] == "mae") & (scores["split"] == "test")]
    errors = errors.set_index([*CELL, "layer", "label"])
    rows = []
    for cell, of_cell in test.groupby(CELL, sort=False):
        model, task, prompt = cell
        by_layer = of_cell.set_index("layer")
        best, top = choose_layer(of_validation[cell]), int(of_cell["n_layers"].iloc[0])
        path = Path(estimates_root) / model / task / f"{prompt}.estimates.parquet"
        rng = np.random.default_rng([seed, *hashlib.sha256("\0".join(cell).encode()).digest()])
        others = [layer for layer in by_layer.index if layer <= top and layer != best]
        described = {"model": model, "weights": models[model].weights, "task": task, "prompt": prompt}
        described |= {"label": tasks[task].headline_label, "n_layers": top, "best_layer": best, "top_layer": top}
        for name, layer in (("best", best), ("top", top), ("norm", top + 1)):
            described |= {name + suffix: by_layer[column].get(layer, np.nan) for column, suffix in BOUNDED}
        described |= _differences(path, best, top, others, by_layer["value"], n_resamples, n_permutations, rng)
        described |= {"n": int(by_layer.loc[best, "n"]), "n_groups": int(by_layer.loc[best, "n_groups"])}
        for column, suffix in BOUNDED:
            above = np.nan if selectivity is None else selectivity.loc[(*cell, best), column]
            described[f"selectivity{suffix}"] = above
        # Labels of different units have no mean error.
        of_best = (*cell, best, tasks[task].headline_label)
        for column, suffix in BOUNDED:
            described[f"error{suffix}"] = errors[column].get(of_best, np.nan)
        described["unit"] = tasks[task].units.get(tasks[task].headline_label, "")
        rows.append(described | {"training_mean": baseline[cell]})
    table = with_holm(pd.DataFrame(rows))
    place = {"task": list(tasks), "model": list(models)}
    return table.sort_values(
        ["task", "model"], key=lambda column: column.map(place[column.name].index), kind="stable", ignore_index=True
    )


def _differences(
    path: Path,
    best: int,
    top: int,
    others: list[int],
    scores: pd.Series,
    n_resamples: int,
    n_permutations: int,
    rng: np.random.Generator,
) -> dict[str, object]:
    """The best layer against the topmost block, and which of the other layers are not shown to be worse."""
    reference = read_estimates(path, best, "test")
    try:
        pairs = {layer: NumberPair.of(reference, read_estimates(path, layer, "test")) for layer in others}
        # Where validation leaves nothing to test, the row is not in the family.
        found = PairedDifference(scores[best], scores[top], 0.0, 0.0, 0.0, np.nan)
        if best != top:
            found = pairs[top].compared(n_resamples, n_permutations, rng)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    for layer, value in ((best, found.first), (top, found.second)):
        check_same_run(path, layer, "r2", value, scores[layer])
    not_worse: list[int] = []
    # All layers have the same items, so that all can be tested or none.
    if pairs and all(pair.can_be_tested for pair in pairs.values()):
        drawn = int(rng.integers(2**32))
        if all(pair.is_crossed for pair in pairs.values()):
            p_values = greatest_difference_test([pair.crossed for pair in pairs.values()], n_permutations, drawn)
        else:
            p_values = greatest_swap_test([pair.gains for pair in pairs.values()], n_permutations, drawn)
        not_worse = sorted([best, *(layer for layer, p in zip(pairs, p_values, strict=True) if p > LEVEL)])
    return {
        "difference": found.difference,
        "difference_low": found.low,
        "difference_high": found.high,
        "p_value": found.p_value,
        "p_is_bound": found.p_is_bound,
        "not_worse": " ".join(map(str, not_worse)),
    }
