"""Claims from several seeds: means with their spread, and differences with their intervals."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student

from layerwise.errors import InputError

LEVEL = 0.95
# The share of the greatest rise above chance at which a layer counts as knowing.
RISEN = 0.9


@dataclass(frozen=True)
class Sample:
    """One quantity by seed, in percent or in layers."""

    by_seed: pd.Series

    @property
    def mean(self) -> float:
        return float(self.by_seed.mean())

    @property
    def least(self) -> float:
        return float(self.by_seed.min())

    @property
    def greatest(self) -> float:
        return float(self.by_seed.max())

    def __str__(self) -> str:
        """Mean and standard deviation over seeds."""
        if self.by_seed.empty:
            return "–"
        spread = f" ± {self.by_seed.std(ddof=1):.1f}" if len(self.by_seed) > 1 else ""
        return f"{_rounded(self.mean)}{spread}"


@dataclass(frozen=True)
class Difference:
    """A quantity less another, seed by seed, with Student's interval for the mean over seeds."""

    by_seed: pd.Series
    unit: str = "points"

    @property
    def mean(self) -> float:
        return float(self.by_seed.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval; without limits for fewer than two seeds."""
        n = len(self.by_seed)
        if n < 2:
            return -np.inf, np.inf
        half = student.ppf((1 + LEVEL) / 2, n - 1) * self.by_seed.std(ddof=1) / n**0.5
        return self.mean - half, self.mean + half

    @property
    def more(self) -> bool:
        """Whether the first is greater: in every seed, and the interval holds no 0."""
        return bool(len(self.by_seed) > 1 and (self.by_seed > 0).all() and self.interval[0] > 0)

    @property
    def less(self) -> bool:
        """Whether the first is smaller: in every seed, and the interval holds no 0."""
        return bool(len(self.by_seed) > 1 and (self.by_seed < 0).all() and self.interval[1] < 0)

    @property
    def nothing(self) -> bool:
        """Whether both are the same number in every seed."""
        return bool((self.by_seed == 0).all())

    @property
    def at_most(self) -> str:
        """The greatest difference, to either side, within the interval."""
        return f"{max(map(abs, self.interval)):.1f}"

    def __str__(self) -> str:
        low, high = map(_rounded, self.interval)
        higher, n = int((self.by_seed > 0).sum()), len(self.by_seed)
        mean = _rounded(self.mean, sign=True)
        return f"{mean} {self.unit} [{low}, {high}], higher in {higher} of {n} seeds"


class Findings:
    """Queries of the table of a study (:mod:`layerwise.findings.gather`), for the template of a document.

    It counts the comparisons that are made, because their intervals are not corrected for each other.

    Raises:
        InputError: by any method, when the table has no such rows.
    """

    def __init__(self, table: pd.DataFrame):
        keys = ["task", "prompt", "model", "objective"]
        table = table.assign(**table[keys].fillna("").astype(str))
        # A document asks thousands of times: arrays are indexed faster than tables, numbers compared faster than words.
        self._columns = {
            column: table[column].to_numpy(object if column in (*keys, "what") else None) for column in table
        }
        coded = {column: pd.factorize(values) for column, values in self._columns.items() if column != "value"}
        self._codes = {
            column: (codes, {value: code for code, value in enumerate(values)})
            for column, (codes, values) in coded.items()
        }
        self._pivoted: dict[frozenset[tuple[str, str | int]], pd.DataFrame] = {}
        self.comparisons = 0

    def has(self, **where: str | int) -> bool:
        """Whether the table has such rows."""
        return bool(self._found(where).any())

    def names(self, column: str, **where: str | int) -> list[str]:
        """The distinct values of a column in such rows, sorted."""
        return sorted(set(self._columns[column][self._found(where)].tolist()))

    @property
    def seeds(self) -> int:
        """How many trainings of the model there are."""
        return self._rows({"what": "held-out", "objective": "both"})["seed"].nunique()

    @property
    def layers(self) -> list[int]:
        """The layers of the model, 0 (the embedding output) to the topmost block."""
        return sorted(self._rows({"what": "test", "model": "trained"})["layer"].unique().tolist())

    @property
    def top(self) -> int:
        """The topmost block."""
        return self.layers[-1]

    def sample(self, what: str, model: str = "trained", objective: str = "both", **where: str | int) -> Sample:
        """A quantity by seed."""
        objective = "" if model == "untrained" else objective
        layer = where.pop("layer", None)
        by_layer = self._by_layer({"what": what, "model": model, "objective": objective, **where})
        if layer is None and len(by_layer.columns) == 1:
            layer = by_layer.columns[0]
        if layer not in by_layer:
            said = ", ".join(f"{key} {value}" for key, value in (where | {"layer": layer}).items())
            raise InputError(f"the findings have no single {what} by seed of {model} {objective} ({said})")
        return Sample(by_layer[layer].dropna())

    def score(self, task: str, prompt: str, layer: int, model: str = "trained", objective: str = "both") -> Sample:
        """Test score of the probe of a layer, in percent."""
        return self.sample("test", model, objective, task=task, prompt=prompt, layer=layer)

    def chance(self, task: str) -> float:
        """The majority baseline's test score, in percent."""
        return float(self._rows({"what": "chance", "task": task})["value"].iloc[0])

    def best(self, task: str, prompt: str, objective: str = "both", what: str = "test") -> Sample:
        """Test score, or another quantity, of each seed's best layer.

        The layer is chosen on validation, so that the choice does not favour it.
        """
        cell = {"task": task, "prompt": prompt, "objective": objective, "model": "trained"}
        chosen = self._by_layer(cell | {"what": "validation"}).idxmax(axis=1)
        tested = self._by_layer(cell | {"what": what})
        return Sample(pd.Series({seed: tested.loc[seed, layer] for seed, layer in chosen.items()}))

    def said(self, task: str, prompt: str, objective: str = "both", how: str = "said") -> Sample:
        """Test score of the model's own answer, in percent.

        Args:
            task, prompt, objective: the cell.
            how: "said", the most probable class, or "said at threshold".
        """
        return self.sample(how, "trained", objective, task=task, prompt=prompt, layer=self.top + 1)

    def used_in(self, task: str, prompt: str, objective: str = "both") -> dict[int, str]:
        """The blocks in which some seed uses the task's concept, and how many of the seeds that answer do."""
        by_block = self._by_layer(
            {"what": "used", "task": task, "prompt": prompt, "objective": objective, "model": "trained"}
        )
        counts = by_block.gt(0).sum()
        return {int(block): f"{n} of {len(by_block)} seeds" for block, n in counts.items() if n}

    def rises_at(self, task: str, prompt: str, objective: str = "both") -> Sample:
        """The first layer, by seed, that is nine tenths as far above chance as the highest layer of the seed."""
        cell = {"task": task, "prompt": prompt, "objective": objective, "model": "trained"}
        above = self._by_layer(cell | {"what": "test"}) - self.chance(task)
        return Sample(above.ge(RISEN * above.max(axis=1), axis=0).idxmax(axis=1).astype(float))

    def off_chance(self, task: str, prompt: str, model: str = "trained") -> float:
        """The greatest distance from chance of any layer of any seed, in points."""
        rows = self._rows({"what": "test", "model": model, "task": task, "prompt": prompt})
        return float((rows["value"] - self.chance(task)).abs().max())

    def compare(self, first: Sample, second: Sample | float, unit: str = "points") -> Difference:
        """The first less the second, over the seeds that both have."""
        self.comparisons += 1
        other = second.by_seed if isinstance(second, Sample) else second
        return Difference((first.by_seed - other).dropna(), unit)

    def known(self, task: str, prompt: str, objective: str = "both") -> bool:
        """Whether the best layer, chosen on validation, is above chance."""
        return self.compare(self.best(task, prompt, objective), self.chance(task)).more

    def strongest(self, kind: str, flow: str) -> tuple[int, Sample, int]:
        """The strongest window on average over seeds, the change in a seed's strongest window, and the number of seeds
        whose strongest window it is.

        The window of a seed is chosen by the other seeds, so that the choice does not favour it.
        """
        changes = self._by_layer({"what": "flow", "task": kind, "prompt": flow})
        window = int(changes.mean().idxmin())
        others = {seed: changes.drop(seed) if len(changes) > 1 else changes for seed in changes.index}
        chosen = {seed: changes.loc[seed, rest.mean().idxmin()] for seed, rest in others.items()}
        return window, Sample(pd.Series(chosen)), int((changes.idxmin(axis=1) == window).sum())

    def cells(self) -> Iterator[tuple[str, str]]:
        """Every task and prompt of the trained model."""
        found = self._found({"what": "test", "model": "trained", "objective": "both"})
        yield from sorted(set(zip(*(self._columns[name][found] for name in ("task", "prompt")), strict=True)))

    def _found(self, where: Mapping[str, str | int]) -> np.ndarray:
        found = np.ones(len(self._columns["value"]), dtype=bool)
        for column, value in where.items():
            codes, code_of = self._codes[column]
            found &= codes == code_of.get(value, -1)
        return found

    def _rows(self, where: Mapping[str, str | int]) -> pd.DataFrame:
        """``seed``, ``layer`` and ``value`` of such rows."""
        found = self._found(where)
        return pd.DataFrame({name: self._columns[name][found] for name in ("seed", "layer", "value")})

    def _by_layer(self, where: Mapping[str, str | int]) -> pd.DataFrame:
        """Seeds down, layers across."""
        key = frozenset(where.items())
        if key not in self._pivoted:
            rows = self._rows(where)
            if rows.empty or rows.duplicated(["seed", "layer"]).any():
                raise InputError(
                    f"the findings have no single number by seed and layer of {', '.join(map(str, where.values()))}"
                )
            self._pivoted[key] = rows.pivot(index="seed", columns="layer", values="value")
        return self._pivoted[key]


def _rounded(value: float, sign: bool = False) -> str:
    """To a tenth, without the sign of a zero, with a true minus sign as in the tables."""
    if np.isinf(value):
        return "−∞" if value < 0 else "∞"
    value = round(value, 1) + 0.0
    return f"{value:{'+' if sign and value else ''}.1f}".replace("-", "−")
