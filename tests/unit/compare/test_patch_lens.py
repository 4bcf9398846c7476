"""Means and intervals of the patch lens over pictures and words, and the layer that is singled out."""

import numpy as np
import pandas as pd
import pytest

from layerwise.compare.inputs import Model
from layerwise.compare.statistics.patch_lens import by_layer
from layerwise.errors import InputError
from layerwise.figures.drawing.patch_lens import LINES, draw_localisation
from layerwise.figures.drawing.style import figure_style
from layerwise.lens.scores import read_scores

L = 2


def scores(value, n_images=60, words=tuple("abcdefghijkl"), model="m", seed=0):
    """Rows of one cell; ``value(layer, word's place, rng)`` gives a pair's score and what other words reach."""
    rng = np.random.default_rng(seed)
    rows = []
    for image in range(n_images):
        for place in rng.choice(len(words), 3, replace=False):
            for layer in range(L + 2):
                own, other = value(layer, place, rng)
                row = (f"i{image}", words[place], layer, f"layer {layer}", own, 0.5, other)
                rows.append((*row[:2], "roc_auc", *row[2:4], L, *row[4:]))
    columns = ["image_id", "word", "measure", "layer", "layer_name", "n_layers", "value", "shuffled", "other_object"]
    return pd.DataFrame(rows, columns=columns).assign(model=model, stimuli="s")


def test_a_layer_above_both_controls_is_found_and_confirmed_on_other_pictures():
    table = by_layer(scores(lambda layer, _, rng: (0.5 + 0.2 * (layer == 1) + rng.normal(0, 0.1), 0.55)), ["m"], 300, 0)
    best = table[table["is_best"]].iloc[0]
    assert (len(table), best["layer"]) == (L + 2, 1)
    assert best["low"] < best["value"] < best["high"]
    # The nearer of the two controls counts.
    assert best["held_out"] == pytest.approx(0.15, abs=0.05)
    assert 0 < best["held_out_low"] < best["held_out"] < best["held_out_high"]
    assert best["difference"] == pytest.approx(best["value"] - 0.5)
    assert best["above_objects"] == pytest.approx(best["value"] - 0.55)
    assert table.loc[~table["is_best"], "held_out"].isna().all()
    assert (table["n"].iloc[0], table["n_images"].iloc[0], table["n_words"].iloc[0]) == (180, 60, 12)


def test_words_that_a_random_head_favours_by_chance_do_not_beat_the_controls():
    above, widths = 0, []
    for seed in range(20):
        of_word = np.random.default_rng([seed, 1]).normal(0, 0.2, 12)
        made = scores(lambda layer, place, rng, of=of_word: (0.5 + of[place] + rng.normal(0, 0.05), 0.5), seed=seed)
        row = by_layer(made[made["layer"] == 0], ["m"], 200, 0).iloc[0]
        above += row["difference_low"] > 0
        widths.append(row["difference_high"] - row["difference_low"])
    # Over pictures alone it would be a fifth as long.
    assert np.mean(widths) > 0.15
    # 2.5 % are expected.
    assert above <= 3


def test_pairs_without_a_control_count_for_the_score_alone():
    made = scores(lambda layer, place, rng: (0.8, np.nan if place < 6 else 0.6))
    row = by_layer(made, ["m"], 100, 0).iloc[0]
    assert row["value"] == pytest.approx(0.8)
    assert row["above_objects"] == pytest.approx(0.2)
    none = by_layer(made.assign(other_object=np.nan, shuffled=np.nan), ["m"], 100, 0)
    assert none[["difference", "above_objects", "held_out"]].isna().all(axis=None)


def test_scores_know_their_cell_by_their_file(tmp_path):
    (tmp_path / "m").mkdir()
    made = scores(lambda *_: (0.7, 0.5)).drop(columns=["model", "stimuli"])
    made.to_parquet(tmp_path / "m/pets.v2.parquet")
    found = read_scores([tmp_path / "m/pets.v2.parquet"])
    assert set(found["model"] + "/" + found["stimuli"]) == {"m/pets.v2"}
    made.drop(columns="value").to_parquet(tmp_path / "m/pets.v2.parquet")
    with pytest.raises(InputError, match="cannot be read as scores"):
        read_scores([tmp_path / "m/pets.v2.parquet"])


def test_the_figure_has_a_facet_per_measure_and_model():
    parts = [scores(lambda *_: (0.7, 0.5), model=name) for name in ("m", "twin")]
    both = pd.concat([part.assign(measure=measure) for part in parts for measure in ("roc_auc", "pointing")])
    models = {name: Model(name, "s", weights, L, 8) for name, weights in (("m", "pretrained"), ("twin", "random"))}
    with figure_style():
        drawing = draw_localisation(by_layer(both, list(models), 100, 0), models)
        axes = [axes for band in drawing.subfigs for axes in band.axes]
        assert [axes.get_title() for axes in axes] == ["m", "twin\n(random weights)"] * 2
        assert {line.get_label() for line in axes[0].get_lines() if line.get_label()[0] != "_"} == set(LINES.values())
        marked = [line for line in axes[0].get_lines() if line.get_label() == "_above"]
        # Every layer is above both controls by 0.2, with nothing that varies.
        assert marked[0].get_xdata().tolist() == list(range(L + 1))
        nothing = by_layer(both[:0], list(models), 100, 0)
        assert "whose place" in draw_localisation(nothing, models).texts[0].get_text()
