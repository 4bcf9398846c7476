"""Which concepts are used: how much erasing or steering them changes the answer, against controls of the same size.

Completeness and selectivity are those of Canby et al. 2024 (arXiv 2408.15510), with the model's own answers in place
of probes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from layerwise.compare.statistics.significance import LEVEL
from layerwise.compare.statistics.swept import CONTROL, ERASE, FREE, OTHER, OWN, STEER, Swept
from layerwise.compare.statistics.used_tests import beyond_draws, difference_from_draws, interval, why_untested
from layerwise.errors import InputError
from layerwise.probes.bootstrap import resample_weights, score_interval

NO_ANSWER = "the model does not answer"
NO_OWN = "no control gives the items all classes"
UNSIGNED = {"control_own": np.nan, "control_own_greatest": np.nan}
KEYS = ["model", "task", "prompt"]


def compare_used(
    cells: Sequence[Swept], twins: Mapping[str, Sequence[str]], n_resamples: int, n_permutations: int, seed: int
) -> pd.DataFrame:
    """A row per cell, change, strength and block; :mod:`layerwise.compare.used` lists the columns.

    Args:
        cells: all of the study.
        twins: by model the names of its untrained twins.
        n_resamples: bootstrap resamples.
        n_permutations: draws and swaps of tests.
        seed: each cell has a stream of its own.

    Raises:
        InputError: a run of the own concept has no controls.
    """
    falls = _falls(cells, n_resamples, seed)
    rows = [
        row
        for cell in cells
        for change in (ERASE, STEER)
        for row in _change_rows(cell, change, falls, n_resamples, n_permutations, seed)
    ]
    swept = {cell.model for cell in cells}
    table = pd.DataFrame(rows)
    peaks = table[table["change"] == ERASE].groupby(KEYS, sort=False)["difference"].idxmax()
    return table.assign(
        peak=table.index.isin(peaks),
        twins=[" ".join(twin for twin in twins.get(model, ()) if twin in swept) for model in table["model"]],
    )


def compare_across(cells: Sequence[Swept], n_resamples: int, seed: int) -> pd.DataFrame:
    """What erasing each concept does to the answers of each task; :mod:`layerwise.compare.used_across`."""
    return _falls(cells, n_resamples, seed)


def _falls(cells: Sequence[Swept], n_resamples: int, seed: int) -> pd.DataFrame:
    """A row per cell, erased concept and block: the effect with its interval, flips, completeness."""
    parts = []
    for cell in cells:
        runs = pd.concat([cell.places(change=ERASE, source=source) for source in (OWN, OTHER)])
        if runs.empty:
            continue
        scores, free = cell.scores[runs.to_numpy()], _free(cell, n_resamples, seed)
        effects = cell.effects(scores, ERASE, 0)
        value = cell.items.means(effects)
        half = _half(cell, cell.items.errors(effects, n_resamples, _rng(cell, seed, "across")))
        found = pd.DataFrame({"of": runs.index.get_level_values("of"), "block": runs.index.get_level_values("block")})
        own = runs.index.get_level_values("source") == OWN
        found["of"] = np.where(own, cell.name, found["of"])
        found = found.assign(own=own, effect=value, effect_low=value - half, effect_high=value + half)
        found["flips"] = cell.flipped(scores).mean(axis=1)
        found["completeness"] = _completeness(value, free)
        names = dict(zip(KEYS, (cell.model, cell.task, cell.prompt), strict=True))
        parts.append(found.assign(**names, n_layers=cell.n_layers, answers=free["answers"]))
    if not parts:
        raise InputError("no sweep has a run in which the concept is erased; delete them and run again")
    return pd.concat(parts, ignore_index=True)


def _change_rows(
    cell: Swept, change: str, falls: pd.DataFrame, n_resamples: int, n_permutations: int, seed: int
) -> list[dict[str, Any]]:
    """The rows of one cell and change. All of its blocks and strengths are one family of tests."""
    own = cell.places(change=change, source=OWN)
    if own.empty:
        return []
    free, items = _free(cell, n_resamples, seed), cell.items
    places = [(run[0], run[2], cell.scores[at]) for run, at in zip(own.index, own, strict=True)]
    controls = [cell.places(change=change, source=CONTROL, block=block, strength=s) for block, s, _ in places]
    for (block, strength, _), found in zip(places, controls, strict=True):
        if found.empty:
            raise InputError(
                f"{_said(cell)}: the sweep has no control for {change} at block {block}, strength {strength:g}; delete "
                "its table and run again"
            )
    drawn = [cell.scores[found.to_numpy()] for found in controls]
    moved = np.stack([cell.effects(scores, change, strength) for _, strength, scores in places])
    by_draw = [cell.effects(scores, change, s) for scores, (_, s, _) in zip(drawn, places, strict=True)]
    missing = why_untested(items, min(len(scores) for scores in drawn))
    # By standard deviation of steering, because the spreads of a family are taken to be alike.
    sizes = [abs(strength) or 1.0 for _, strength, _ in places]
    family = [(own / size, draws / size) for own, draws, size in zip(moved, by_draw, sizes, strict=True)]
    untested = [np.nan] * len(family)
    p_values, fixed = (untested, untested) if missing else beyond_draws(items, family, n_permutations, seed)
    if not free["answers"]:
        missing = "; ".join(filter(None, [missing, NO_ANSWER]))
    halves = _half(cell, items.errors(moved, n_resamples, _rng(cell, seed, change)))
    flips = np.stack([cell.flipped(scores) for _, _, scores in places]).astype(float)
    weights = resample_weights(items.images, n_resamples, _rng(cell, seed, change)).astype(float)
    flipped = weights @ flips.T / weights.sum(axis=1, keepdims=True)
    rows = []
    for i, (block, strength, scores) in enumerate(places):
        effect, of_draws = float(items.means(moved[i])), items.means(by_draw[i])
        difference = difference_from_draws(items, moved[i], by_draw[i])
        low, high = interval(difference) if len(of_draws) > 1 else (np.nan, np.nan)
        flips_low, flips_high = score_interval(float(flips[i].mean()), flipped[:, i], items.n_images)
        signed = _own_of_draws(cell, controls[i]) if change == ERASE else {}
        lacks = "; ".join(filter(None, [missing, NO_OWN if change == ERASE and not signed else ""]))
        least = max(0.0, of_draws.max(), signed.get("control_own_greatest", 0.0))
        beyond = bool(effect > least)
        row: dict[str, Any] = {"model": cell.model, "task": cell.task, "prompt": cell.prompt, "change": change}
        row |= {"strength": float(strength), "block": int(block), "n_layers": cell.n_layers}
        row |= {"n": len(items.y), "n_images": items.n_images, "draws": len(of_draws)} | free
        row |= {"effect": effect, "effect_low": effect - halves[i], "effect_high": effect + halves[i]}
        row |= {"control": float(of_draws.mean())}
        row |= {"control_least": float(of_draws.min()), "control_greatest": float(of_draws.max())} | UNSIGNED | signed
        row |= {"difference": difference.value, "difference_low": low, "difference_high": high}
        row |= {"p_value": p_values[i], "p_fixed": fixed[i], "beyond": beyond}
        row |= {"used": bool(beyond and p_values[i] < LEVEL and not lacks)}
        row |= {"flips": float(flips[i].mean()), "flips_low": flips_low, "flips_high": flips_high}
        row |= {"control_flips": float(cell.flipped(drawn[i]).mean())}
        row |= {"accuracy": float(cell.right(scores).mean()), "control_accuracy": float(cell.right(drawn[i]).mean())}
        rows.append(row | _shares(cell, change, int(block), effect, free, falls) | {"missing": lacks})
    return rows


def _own_of_draws(cell: Swept, drawn: pd.Series) -> dict[str, float]:
    """The effects of controls on their own classes; empty where none of them gives the items all classes."""
    effects = cell.own_effects(drawn)
    effects = effects[~np.isnan(effects)]
    if len(effects) == 0:
        return {}
    return {"control_own": float(effects.mean()), "control_own_greatest": float(effects.max())}


def _shares(
    cell: Swept, change: str, block: int, effect: float, free: Mapping[str, Any], falls: pd.DataFrame
) -> dict[str, Any]:
    """Completeness and selectivity of erasing, their product, and the tasks that selectivity is over."""
    found: dict[str, Any] = {"completeness": np.nan, "selectivity": np.nan, "product": np.nan, "others": ""}
    if change != ERASE:
        return found
    complete = float(_completeness(np.array([effect]), free)[0])
    hit = falls[(falls["model"] == cell.model) & (falls["of"] == cell.name) & (falls["block"] == block)]
    hit = hit[(hit["task"] != cell.task) & hit["completeness"].notna()]
    # Prompts of one task are not several tasks.
    by_task = hit.groupby("task", sort=False)["completeness"].mean()
    selective = 1 - float(by_task.mean()) if len(by_task) else np.nan
    found |= {"completeness": complete, "selectivity": selective, "product": complete * selective}
    return found | {"others": " ".join(map(str, by_task.index))}


def _free(cell: Swept, n_resamples: int, seed: int) -> dict[str, Any]:
    """The free run: gold margin, its interval, whether that is above 0, accuracy, and that of a constant answer."""
    items, gold = cell.items, cell.gold(cell.free)
    value = float(items.means(gold))
    half = float(_half(cell, items.errors(gold[None], n_resamples, _rng(cell, seed, FREE)))[0])
    found = {"free": value, "free_low": value - half, "free_high": value + half, "answers": bool(value - half > 0)}
    found |= {"free_accuracy": float(cell.right(cell.free).mean())}
    return found | {"chance": float(np.bincount(items.y).max() / len(items.y))}


def _completeness(effects: np.ndarray, free: Mapping[str, Any]) -> np.ndarray:
    """The share of the free gold margin that is gone, within 0 and 1; NaN where the model does not answer."""
    return np.clip(effects / free["free"], 0, 1) if free["answers"] else np.full(len(effects), np.nan)


def _half(cell: Swept, errors: np.ndarray) -> np.ndarray:
    """Half the length of Student's 95 % intervals; NaN with a single image."""
    freedom = cell.items.n_images - 1
    return errors * stdtrit(freedom, 0.975) if freedom > 0 else np.full(len(errors), np.nan)


def _rng(cell: Swept, seed: int, what: str) -> np.random.Generator:
    key = "\0".join([cell.model, cell.task, cell.prompt, what])
    return np.random.default_rng([seed, *hashlib.sha256(key.encode()).digest()])


def _said(cell: Swept) -> str:
    return f"model {cell.model!r}, task {cell.task!r}, prompt {cell.prompt!r}"
