"""The figures and the table of known and said, read back from the comparisons that they show."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from layerwise.errors import InputError
from layerwise.figures.catalogue import FIGURES, TABLES
from layerwise.figures.drawing import style
from layerwise.figures.entry import Contents
from layerwise.figures.planning import pictures, tables
from layerwise.figures.writing.sections import to_html
from tests.answers import BINARY, OPTIONS, SEVERAL, items, made, noisy, probe_scores, write_cell

OBJECTS = replace(SEVERAL, stimuli="images")
COMPARED = ("headline", "said", "known-said", "known-said-top")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two tasks of a model with one block, the first with written answers, and their comparisons."""
    folder, scores = tmp_path_factory.mktemp("known-said"), []
    for place, task in enumerate((BINARY, OBJECTS)):
        table = items(task)
        known = {layer: noisy(table, task, 0.2 + layer, layer + 10 * place) for layer in range(3)}
        said = {layer: noisy(table, task, 0.1 + layer / 2, 5 + layer + 10 * place, bias=1) for layer in range(3)}
        write_cell(folder, task, table, known, said)
        scores.append(probe_scores(task, table, known))
        if task is BINARY:
            (folder / "generated/m/pairs").mkdir(parents=True)
            written = pd.DataFrame({"item_id": table["item_id"], "text": "?", "class": "yes"})
            written.to_parquet(folder / "generated/m/pairs/plain.parquet")
    cells = {"said": ["m/agree/plain", "m/objects/plain"], "generated": ["m/agree/plain"]}
    options = OPTIONS | {"resamples": 50, "permutations": 99} | cells
    return made(folder, [BINARY, OBJECTS], COMPARED, options=options, scores=pd.concat(scores, ignore_index=True))


def drawn(study, name, variant):
    with style.figure_style():
        figure = FIGURES[name].draw(study, variant)
    # Both tasks have one facet, of the same title; the first one is that of the first task.
    return figure.axes


def line(axes, label):
    (found,) = [line for line in axes.get_lines() if line.get_label() == label]
    return found.get_xdata(), found.get_ydata()


def rows(study, comparison, task, **keys):
    table = study.comparison(comparison)
    label = "macro" if task is OBJECTS else "agrees"
    chosen = (table["task"] == task.task) & (table["label"] == label)
    return table[np.logical_and.reduce([chosen, *(table[key] == value for key, value in keys.items())])]


def test_probe_and_answers_are_drawn_by_layer_and_the_models_own_beside_them(study):
    for axes, task in zip(drawn(study, "known-and-said", "m"), (BINARY, OBJECTS), strict=True):
        x, y = line(axes, "probe of the layer (known)")
        np.testing.assert_array_equal(x, [0, 1])
        np.testing.assert_allclose(y, rows(study, "headline", task, probe="logistic", split="test")["value"][:2])
        for answer in ("as said", "threshold"):
            expected = rows(study, "said", task, answer=answer, split="test", metric="accuracy")
            x, y = line(axes, answer)
            np.testing.assert_array_equal(x, [0, 1])
            np.testing.assert_allclose(y, expected["value"][:2])
            (own,) = [made for made in axes.containers if made.get_label() == f"_own {answer}"]
            assert list(own.lines[0].get_ydata()) == pytest.approx(list(expected["value"][2:]))
            assert own.lines[0].get_xdata()[0] > 1.5
        written = [made for made in axes.containers if made.get_label() == "_own written"]
        assert len(written) == (task is BINARY)
        chance = rows(study, "headline", task, probe="majority", split="test")["value"]
        np.testing.assert_allclose(line(axes, "_chance")[1], float(chance.iloc[0]), rtol=1e-5)
        assert axes.get_xticklabels()[-1].get_text() == "says"


@pytest.mark.parametrize(("variant", "answer"), [("m-as-said", "as said"), ("m-at-threshold", "threshold")])
def test_shares_are_stacked_to_the_whole(study, variant, answer):
    shares = ["known and said", "known, not said", "said, not known", "neither"]
    for axes, task in zip(drawn(study, "known-not-said", variant), (BINARY, OBJECTS), strict=True):
        below = np.zeros(2)
        for area, share in zip(axes.collections, shares, strict=True):
            found = rows(study, "known-said", task, answer=answer, share=share)["value"][:2]
            heights = dict(area.get_paths()[0].vertices.tolist())
            tops = {x: max(y for at, y in area.get_paths()[0].vertices if at == x) for x in heights}
            below = below + found.to_numpy()
            np.testing.assert_allclose([tops[0], tops[1]], below)
        np.testing.assert_allclose(below, 1)
        expected = rows(study, "known-said", task, answer=answer, share="known and said")["independent"][:2]
        np.testing.assert_allclose(line(axes, "independent")[1], expected)
        assert to_hex(axes.collections[1].get_facecolor()[0]) == "#e69f00"


def test_a_model_that_says_nothing_is_named(study):
    with pytest.raises(InputError, match="nothing that model 'mute' says was scored"):
        drawn(study, "known-and-said", "mute")


def test_the_table_shows_what_is_known_and_said(study):
    sections, csv = TABLES["table-known-said"].write(study, "last")
    assert [section.title for section in sections] == [
        "agree: accuracy",
        "objects: accuracy",
        "agree: answers",
        "objects: answers",
    ]
    first = sections[0].frame
    top = rows(study, "known-said-top", BINARY, answer="as said").iloc[0]
    assert list(first["Answer"]) == ["as said", "at threshold"]
    assert first["Known"][0].startswith(f"{100 * top['known']:.1f} [")
    assert first["Said"][0].startswith(f"{100 * top['said']:.1f} [")
    share = rows(study, "known-said", BINARY, answer="as said", share="known, not said", layer=top["best_layer"])
    assert first["Known, not said"][0].startswith(f"{100 * share['value'].iloc[0]:.1f} [")
    assert first["Known, not said"][0].endswith(f"({100 * share['independent'].iloc[0]:.1f})")
    own = sections[2].frame
    says = rows(study, "said", BINARY, answer="as said", split="test", metric="says:yes", layer=2)["value"].iloc[0]
    assert own["Says"][0] == f"no {100 * (1 - says):.0f}, yes {100 * says:.0f}"
    assert (own["No answer written"][0], "Written" in sections[3].frame) == ("0.0", False)
    assert "known_low" in csv.splitlines()[0]
    assert "Known − said" in to_html("", sections)


def test_a_study_without_answers_has_none_of_them():
    study = Contents(questions=frozenset({"local"}))
    assert not [name for name in pictures(study) if name.startswith("known")]
    assert "table-known-said" not in tables(study)
    asked = replace(study, says=("a", "b-as-said"))
    assert [name for name in pictures(asked) if name.startswith("known-not-said")] == [
        "known-not-said-a-as-said",
        "known-not-said-a-at-threshold",
        "known-not-said-b-as-said-as-said",
        "known-not-said-b-as-said-at-threshold",
    ]


def test_a_model_that_only_writes_has_a_figure():
    found = pictures(Contents(questions=frozenset({"local"}), writes=("m",)))
    assert [name for name in found if name.startswith("known")] == ["known-and-said-m"]
