"""Means of patch lenses by layer, with intervals over pictures and words, and the layer furthest above its controls."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from layerwise.probes.bootstrap import (
    Crossed,
    Units,
    difference_interval,
    ranking_interval,
    resample_weights,
    score_interval,
)

INTERVALS = {"pointing": score_interval, "roc_auc": ranking_interval}
CONTROLS = {"difference": "shuffled", "above_objects": "other_object"}


def by_layer(scores: pd.DataFrame, models: Sequence[str], resamples: int, seed: int) -> pd.DataFrame:
    """The table.

    Args:
        scores: of all cells, see :func:`layerwise.lens.scores.read_scores`.
        models: names, in the order of the table.
        resamples: of the bootstrap.
        seed: of resamples, and of the half of the pictures that a layer is chosen on.

    Returns:
        A row per model, stimulus set, measure and layer; :mod:`layerwise.compare.patch_lens` lists the columns. Without
        scores it has none.
    """
    rows = []
    cells = dict(iter(scores.groupby(["stimuli", "model", "measure"], sort=False)))
    order = {model: place for place, model in enumerate(models)}
    for stimuli, model, measure in sorted(cells, key=lambda cell: (cell[0], order[cell[1]], cell[2] != "roc_auc")):
        rows.append(_of_cell(cells[stimuli, model, measure], measure, resamples, seed))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def _of_cell(rows: pd.DataFrame, measure: str, resamples: int, seed: int) -> pd.DataFrame:
    """One model, stimulus set and measure."""
    pairs = ["image_id", "word"]
    by_pair = rows.set_index([*pairs, "layer"])
    wide = {name: by_pair[name].unstack("layer") for name in _NAMES}
    index = wide["value"].index
    images, words = (index.get_level_values(name).to_numpy() for name in pairs)
    drawn = _Resampled(images, words, resamples, seed)
    first_half = _first_half(images, seed)
    halves = [_Resampled(images[half], words[half], resamples, seed) for half in (first_half, ~first_half)]
    layers = rows.drop_duplicates("layer").set_index("layer").sort_index()
    gains = {name: wide["value"] - wide[control] for name, control in CONTROLS.items()}
    least = {
        layer: min(halves[0].mean(gain[layer].to_numpy()[first_half]) for gain in gains.values())
        for layer in layers.index
    }
    best = max(least, key=lambda layer: -np.inf if np.isnan(least[layer]) else least[layer])
    table = []
    for layer, named in layers.iterrows():
        values = wide["value"][layer].to_numpy()
        value = drawn.mean(values)
        low, high = INTERVALS[measure](value, drawn.means(values), drawn.units)
        row = {"layer": layer, "layer_name": named["layer_name"], "n_layers": named["n_layers"], "value": value}
        row |= {"low": low, "high": high, "is_best": layer == best}
        row |= {control: drawn.mean(wide[control][layer].to_numpy()) for control in CONTROLS.values()}
        for name, gain in gains.items():
            row |= drawn.with_interval(name, gain[layer].to_numpy())
        held = [halves[1].with_interval("held_out", gain[layer].to_numpy()[~first_half]) for gain in gains.values()]
        row |= min(held, key=lambda found: found["held_out_low"]) if layer == best else dict.fromkeys(held[0], np.nan)
        table.append(row)
    counts = {"n": len(index), "n_images": len(set(images)), "n_words": len(set(words))}
    first = rows.iloc[0]
    return pd.DataFrame(table).assign(model=first["model"], stimuli=first["stimuli"], measure=measure, **counts)


_NAMES = ("value", *CONTROLS.values())


def _first_half(images: np.ndarray, seed: int) -> np.ndarray:
    """Which pairs are of the pictures that a layer is chosen on."""
    names = np.unique(images)
    chosen = np.random.default_rng([seed, 1]).permutation(names)[: (len(names) + 1) // 2]
    return np.isin(images, chosen)


class _Resampled:
    """Means over pairs of a picture and a word, and their resamples by picture, by word and by both."""

    def __init__(self, images: np.ndarray, words: np.ndarray, resamples: int, seed: int):
        of_word = np.unique(words, return_counts=True)[1].astype(float)
        self.units: Units = len(set(images))
        grouped = [images]
        if len(of_word) > 1:
            texts = len(words) ** 2 / np.square(of_word).sum()
            self.units = Crossed(len(set(images)), texts, len(images), len(of_word))
            grouped += [words, np.arange(len(images))]
        rng = np.random.default_rng([seed, 2])
        # Nothing is drawn of no pairs.
        some = [resample_weights(by, resamples, rng) for by in grouped] if len(images) else [np.empty((0, 0))]
        self.weights = np.concatenate(some)

    def mean(self, values: np.ndarray) -> float:
        """Over the pairs that have a value."""
        return float(np.nanmean(values)) if np.isfinite(values).any() else np.nan

    def means(self, values: np.ndarray) -> np.ndarray:
        """The same of each resample."""
        there = np.isfinite(values)
        with np.errstate(invalid="ignore", divide="ignore"):
            weights = self.weights[:, there].astype(float)
            return weights @ values[there] / weights.sum(1)

    def with_interval(self, name: str, values: np.ndarray) -> dict[str, float]:
        """A mean difference, with its ends."""
        value = self.mean(values)
        if np.isnan(value):
            return dict.fromkeys((name, f"{name}_low", f"{name}_high"), np.nan)
        low, high = difference_interval(value, self.means(values), self.units)
        return {name: value, f"{name}_low": low, f"{name}_high": high}
