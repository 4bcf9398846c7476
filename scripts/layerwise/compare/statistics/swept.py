"""One sweep as arrays: what a model answers while a concept is erased or steered, block by block, on the same items."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from layerwise.compare.statistics.gains import Gains
from layerwise.errors import InputError
from layerwise.probes.bootstrap import resample_weights, standard_error
from layerwise.probes.metrics.margins import class_margins
from layerwise.used.results import gold_margins

FREE, ERASE, STEER = "free", "erase", "steer"
OWN, CONTROL, OTHER = "own", "control", "other"
RUN = ["block", "change", "strength", "source", "of", "draw"]


@dataclass(frozen=True)
class Items:
    """The items of a cell, and means over them in which the classes count alike.

    A change may push all answers towards one class. In a mean over items that would look like an effect if one class
    has more items than another; in a mean over classes of the means over their items it cancels.

    Attributes:
        y: class indices, shape (n,).
        images: number of each item's image, shape (n,), from 0.
        n_classes: K.
    """

    y: np.ndarray
    images: np.ndarray
    n_classes: int

    @property
    def n_images(self) -> int:
        return int(self.images.max()) + 1

    @property
    def has_all_classes(self) -> bool:
        """Whether each class has items."""
        return len(np.unique(self.y)) == self.n_classes

    @cached_property
    def shares(self) -> np.ndarray:
        """What each item counts in the mean of each class that has items: shape (S, n), rows with the sum 1."""
        of_class = np.equal.outer(np.unique(self.y), self.y).astype(float)
        return of_class / of_class.sum(axis=1, keepdims=True)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Means over classes of the means over their items: shape (...), of values of shape (..., n)."""
        return np.asarray(values @ self.shares.mean(axis=0))

    def residuals(self, values: np.ndarray) -> np.ndarray:
        """What each item adds to :meth:`means`, less the average of its class: shape (..., n)."""
        of_class = values @ self.shares.T
        at = np.searchsorted(np.unique(self.y), self.y)
        return np.asarray((values - of_class[..., at]) * self.shares.mean(axis=0))

    def gains(self, values: np.ndarray) -> Gains:
        """What images add to the mean of values of shape (n,), class by class, for swaps of whole images."""
        by_image = np.zeros((self.n_images, len(self.y)))
        by_image[self.images, np.arange(len(self.y))] = 1
        shares = self.shares @ by_image.T
        return Gains((self.shares * values) @ by_image.T / len(shares), shares, shares)

    def errors(self, values: np.ndarray, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
        """Standard errors of :meth:`means` by a bootstrap over images: shape (Q,), of values of shape (Q, n)."""
        weights = resample_weights(self.images, n_resamples, rng).astype(float)
        found = np.zeros((n_resamples, len(values)))
        with np.errstate(invalid="ignore"):
            for of_class in self.shares > 0:
                sums = weights[:, of_class] @ values[:, of_class].T
                found += sums / weights[:, of_class].sum(axis=1, keepdims=True) / len(self.shares)
        return np.array([standard_error(column, self.n_images) for column in found.T])


@dataclass(frozen=True)
class Swept:
    """The runs of one cell over the same items.

    Attributes:
        model, task, prompt: of the cell.
        n_layers: blocks of the model.
        items: in the order of the scores.
        runs: the index of a run's scores, by :data:`RUN`.
        scores: log probability of each class among the answers, shape (runs, n, K), float64.
        pseudo: for controls of erasing the class that the draw gives each item, else -1; shape (runs, n).
    """

    model: str
    task: str
    prompt: str
    n_layers: int
    items: Items
    runs: pd.Series
    scores: np.ndarray
    pseudo: np.ndarray

    @classmethod
    def of(
        cls, cell: tuple[str, str, str], table: pd.DataFrame, scores: np.ndarray, n_layers: int, file: str
    ) -> "Swept":
        """From the table of a sweep.

        Args:
            cell: its model, task and prompt.
            table: a row per item and run; see :mod:`layerwise.used.results`.
            scores: of the rows, shape (rows, K).
            n_layers: blocks of the model.
            file: its name, for errors.

        Raises:
            InputError: a run lacks items or has one twice, there is no free run, or a score is no number.
        """
        # Names may be categories, which would give groups without rows.
        table = table.assign(
            **{name: table[name].astype(str) for name in ("item_id", "image", "change", "source", "of")}
        )
        order = table.reset_index(drop=True).sort_values([*RUN, "item_id"], kind="stable").index.to_numpy()
        table, scores = table.iloc[order].reset_index(drop=True), scores[order].astype(np.float64)
        run = table.groupby(RUN, sort=True).ngroup().to_numpy()
        if not np.isfinite(scores).all():
            bad = table.loc[~np.isfinite(scores).all(axis=1)].iloc[0]
            raise InputError(
                f"{file}: the scores of item {bad['item_id']!r} at block {bad['block']} ({bad['change']}, "
                f"{bad['source']}) are no numbers; delete it and run again"
            )
        free = table[table["change"] == FREE]
        if free.empty:
            raise InputError(f"{file}: has no free run to compare with; delete it and run again")
        n, ids = len(free), table["item_id"].to_numpy()
        sizes = np.bincount(run)
        if (sizes != n).any() or (ids.reshape(-1, n) != free["item_id"].to_numpy()).any():
            odd = table.loc[run == int(np.flatnonzero(sizes != n)[0] if (sizes != n).any() else 0), RUN].iloc[0]
            raise InputError(
                f"{file}: the run {', '.join(f'{name} {value}' for name, value in odd.items())} is not of the items "
                f"of the free run, each once; delete it and run again"
            )
        first = table.iloc[::n][RUN].reset_index(drop=True)
        runs = pd.Series(np.arange(len(first)), index=pd.MultiIndex.from_frame(first))
        images = rankdata(free["image"].to_numpy(), "dense").astype(int) - 1 if n else np.zeros(0, int)
        items = Items(free["y"].to_numpy().astype(int), images, scores.shape[1])
        pseudo = table["pseudo"].to_numpy().astype(int).reshape(-1, n)
        return cls(*cell, n_layers, items, runs, scores.reshape(len(first), n, -1), pseudo)

    @property
    def name(self) -> str:
        """As other cells call its concept."""
        return f"{self.task}/{self.prompt}"

    def places(self, **run: Any) -> pd.Series:
        """The runs with the given values of :data:`RUN`: where their scores are."""
        wanted = np.ones(len(self.runs), bool)
        for name, value in run.items():
            wanted &= self.runs.index.get_level_values(name) == value
        return self.runs[wanted]

    @property
    def free(self) -> np.ndarray:
        """Scores of the free run, shape (n, K)."""
        return self.scores[int(self.places(change=FREE).iloc[0])]

    def gold(self, scores: np.ndarray) -> np.ndarray:
        """Signed gold margins: log odds of the right class against all others, shape (..., n)."""
        flat = scores.reshape(-1, *scores.shape[-2:])
        found = np.empty(flat.shape[:2])
        for k in np.unique(self.items.y):
            of_class = self.items.y == k
            part = flat[:, of_class].reshape(-1, flat.shape[-1])
            found[:, of_class] = class_margins(part, int(k)).reshape(len(flat), -1)
        return found.reshape(scores.shape[:-1])

    def effects(self, scores: np.ndarray, change: str, strength: float) -> np.ndarray:
        """How far runs move each item's margin, shape (..., n), in log odds.

        Erasing: the fall of the gold margin. Steering: the rise of the second class's margin over the first, times the
        sign of the strength, so that it is positive where the answer follows.
        """
        if change == ERASE:
            return np.asarray(self.gold(self.free) - self.gold(scores))
        moved = (scores[..., 1] - scores[..., 0]) - (self.free[:, 1] - self.free[:, 0])
        return np.asarray(np.sign(strength) * moved)

    def own_effects(self, drawn: pd.Series) -> np.ndarray:
        """The absolute effects of erasing random concepts on the classes that they themselves give the items.

        Args:
            drawn: controls of erasing, as :meth:`places` gives them.

        Returns:
            The mean fall of the margin of each item's pseudo class, as a mean over these classes; without its sign,
            because nothing says which end of a random direction a class is. Shape (D,); NaN where a class has no items.
        """
        found = np.full(len(drawn), np.nan)
        for draw, at in enumerate(drawn):
            items = replace(self.items, y=self.pseudo[at])
            if items.has_all_classes:
                fall = gold_margins(self.free, items.y) - gold_margins(self.scores[at], items.y)
                found[draw] = abs(items.means(fall))
        return found

    def right(self, scores: np.ndarray) -> np.ndarray:
        """Whether the most probable answer is the right one, shape (..., n)."""
        return np.asarray(scores.argmax(axis=-1) == self.items.y)

    def flipped(self, scores: np.ndarray) -> np.ndarray:
        """Whether the most probable answer is another one than in the free run, shape (..., n)."""
        return np.asarray(scores.argmax(axis=-1) != self.free.argmax(axis=-1))
