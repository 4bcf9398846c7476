"""Kinds of probes side by side: what is compared, and what the figure shows of it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from layerwise.compare.catalogue import COMPARISONS
from layerwise.compare.inputs import Task
from layerwise.errors import InputError
from layerwise.figures.drawing.complexity import draw_complexity
from tests.given import given

L = 3
TASKS = {"agree": Task("agree", "pairs", "global", "multiclass", ["l"], ["a", "b", "c"], "f1")}
# Validation scores by layer; the final norm is best, but no candidate.
VALIDATION = {"logistic": [0.4, 0.7, 0.9, 0.8, 0.95], "mean-difference": [0.4, 0.8, 0.8, 0.5, 0.9], "mix": [0.99]}


def rows(kind: str, probe: str) -> pd.DataFrame:
    found = []
    layers = [-1] if kind == "mix" else range(L + 2)
    for layer, value in zip(layers, VALIDATION[kind], strict=True):
        row = {"model": "m", "task": "agree", "prompt": "p", "kind": kind, "layer": layer, "n_layers": L, "label": "l"}
        row |= {"layer_name": "", "n": 9, "n_groups": 9}
        scores = [(probe, "val", "f1", value), (probe, "test", "f1", value - 0.1), (probe, "test", "accuracy", 0.1)]
        scores += [(probe, "train", "code_bits", 1 - value), ("selectivity", "test", "f1", value - 0.5)]
        for name, split, metric, score in scores:
            ends = {"value": score, "low": score - 0.05, "high": score + 0.02}
            found.append(row | {"probe": name, "split": split, "metric": metric} | ends)
    if kind == "mix":
        row |= {"probe": "task", "split": "train", "metric": "layer_weight", "low": np.nan, "high": np.nan}
        found += [row | {"layer": layer, "value": weight} for layer, weight in enumerate([0.1, 0, 0.7, 0.2])]
    return pd.DataFrame(found)


@pytest.fixture
def scores() -> pd.DataFrame:
    logistic = rows("logistic", "logistic").drop(columns="kind")
    majority = logistic.iloc[:1].assign(layer=-1, probe="majority", split="test", value=0.25)
    return pd.concat([logistic, majority], ignore_index=True)


@pytest.fixture
def kinds() -> pd.DataFrame:
    return pd.concat([rows("mean-difference", "task"), rows("mix", "task")], ignore_index=True)


@pytest.fixture
def compared(tmp_path):
    def compute(name: str, **read) -> pd.DataFrame:
        comparison = COMPARISONS[name]
        return comparison.compute(given(tmp_path, (), **read), {})[list(comparison.columns)]

    return compute


def test_every_kind_has_its_best_layer_on_validation(compared, scores, kinds):
    table = compared("complexity", scores=scores, kinds=kinds, tasks=TASKS)
    assert len(table) == 2 * (L + 2) + 1
    best = table[table["is_best"]].set_index("kind")
    # The lowest of equals; the final norm is no candidate, and the mix has one row.
    assert best["layer"].to_dict() == {"logistic": 2, "mean-difference": 1, "mix": -1}
    assert table.loc[table["is_top"], "layer"].tolist() == [L, L]
    logistic = best.loc["logistic"]
    assert (logistic["score"], logistic["score_low"], logistic["score_high"]) == pytest.approx((0.8, 0.75, 0.82))
    assert (logistic["bits"], logistic["bits_high"]) == pytest.approx((0.1, 0.12))
    assert logistic["selectivity"] == pytest.approx(0.4)
    assert (logistic["chance"], logistic["uniform_bits"]) == pytest.approx((0.25, np.log2(3)))


def test_without_controls_and_portions_scores_remain(compared, scores, kinds):
    scores, kinds = (
        each[~each["probe"].eq("selectivity") & each["metric"].ne("code_bits")] for each in (scores, kinds)
    )
    table = compared("complexity", scores=scores, kinds=kinds, tasks=TASKS)
    assert table["score"].notna().all()
    assert table[["selectivity", "bits"]].isna().all(axis=None)
    drawing = draw_complexity(table, compared("layer-weights", kinds=kinds), TASKS, "m")
    # Scores by layer and the weights; no facet of bits.
    assert len([axes for band in drawing.subfigs for axes in band.axes]) == 2


def test_the_figure_shows_what_is_compared(compared, scores, kinds):
    table = compared("complexity", scores=scores, kinds=kinds, tasks=TASKS)
    weights = compared("layer-weights", kinds=kinds)
    drawing = draw_complexity(table, weights, TASKS, "m")
    by_layer, bars, by_bits = (axes for band in drawing.subfigs for axes in band.axes)
    lines = [list(line.get_ydata()) for line in by_layer.get_lines() if not line.get_label().startswith("_chance")]
    # Blocks alone, in the order of complexity; the mix is level.
    assert lines[0] == pytest.approx([0.3, 0.7, 0.7, 0.4])
    assert lines[1] == pytest.approx([0.3, 0.6, 0.8, 0.7])
    assert lines[2] == pytest.approx([0.89, 0.89])
    assert [bar.get_height() for bar in bars.patches] == pytest.approx([0.1, 0, 0.7, 0.2])
    marks = {
        f"{container.get_label()}, {axis}": float(data[0])
        for container in by_bits.containers
        for axis, data in zip(("bits", "score"), container[0].get_data(), strict=True)
    }
    assert marks == pytest.approx(
        {
            "_mean-difference best, bits": 0.2,
            "_mean-difference best, score": 0.7,
            "_mean-difference top, bits": 0.5,
            "_mean-difference top, score": 0.4,
            "_logistic best, bits": 0.1,
            "_logistic best, score": 0.8,
            "_logistic top, bits": 0.2,
            "_logistic top, score": 0.7,
            "_mix best, bits": 0.01,
            "_mix best, score": 0.89,
        }
    )
    with pytest.raises(InputError, match="no further kind of probe of the model other"):
        draw_complexity(table, weights, TASKS, "other")


def test_the_figure_leaves_out_what_only_logistic_regression_read(compared, scores, kinds):
    both, alone = ([each.assign(prompt=prompt) for prompt in ("p", "q")] for each in (scores, kinds))
    tasks = {name: replace(TASKS["agree"], task=name) for name in ("agree", "plain")}
    of_plain = scores.assign(task="plain")
    table = compared("complexity", scores=pd.concat([*both, of_plain]), kinds=alone[1], tasks=tasks)
    assert set(zip(table["task"], table["prompt"], strict=True)) == {("agree", "p"), ("agree", "q"), ("plain", "p")}
    drawing = draw_complexity(table, compared("layer-weights", kinds=alone[1]), tasks, "m")
    titles = [axes.get_title() for band in drawing.subfigs for axes in band.axes]
    assert [title for title in titles if title] == ["q"]
    assert [band.get_suptitle() for band in drawing.subfigs] == ["agree (global question)"]
    with pytest.raises(InputError, match="no further kind of probe of the model m"):
        draw_complexity(table[table["prompt"] == "p"], table.iloc[:0].assign(weight=[]), tasks, "m")


def test_a_task_without_scores_is_refused(compared, scores, kinds):
    with pytest.raises(InputError, match="'agree': no probe of it has f1"):
        compared(
            "complexity", scores=scores[scores["split"] != "val"], kinds=kinds[kinds["split"] != "val"], tasks=TASKS
        )
