"""The figures and the table of what is used, read back from the comparisons that they show."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from layerwise.errors import InputError
from layerwise.figures.catalogue import FIGURES, TABLES
from layerwise.figures.drawing import style
from layerwise.figures.entry import Contents
from layerwise.figures.planning import pictures, tables
from layerwise.figures.writing.sections import to_html
from tests.sweeps import BLOCKS, STRENGTHS, Planted, made, study


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return made(tmp_path_factory.mktemp("used"), study())


def drawn(given, name, variant):
    with style.figure_style():
        figure = FIGURES[name].draw(given, variant)
        figure.canvas.draw()
    return figure


def facets(figure):
    return {axes.get_title().replace("\n", " "): axes for axes in figure.axes if axes.get_title()}


def line(axes, label):
    (found,) = [line for line in axes.get_lines() if line.get_label() == label]
    return found.get_xdata(), found.get_ydata()


def rows(given, comparison="used", **keys):
    table = given.comparison(comparison)
    return table[np.logical_and.reduce([table[key] == value for key, value in keys.items()])].sort_values("block")


def test_the_effect_of_erasing_is_drawn_with_its_controls_others_and_twin(given):
    shown = facets(drawn(given, "used-by-layer", "m-erase"))
    assert list(shown) == ["entailment: agree", "objects: category", "snli-ve: statement"]
    axes, found = shown["entailment: agree"], rows(given, model="m", task="entailment", change="erase")
    x, y = line(axes, "_own")
    np.testing.assert_array_equal(x, range(1, BLOCKS + 1))
    np.testing.assert_allclose(y, found["effect"])
    np.testing.assert_allclose(line(axes, "_control")[1], found["control"])
    np.testing.assert_array_equal(line(axes, "_used")[0], [2, 3, 4])
    np.testing.assert_array_equal(line(axes, "_not used")[0], [1, 5, 6])
    others = rows(given, "used-across", model="m", task="entailment", of="objects/category")
    np.testing.assert_allclose(line(axes, "_objects/category")[1], others["effect"])
    twin = rows(given, model="m-untrained", change="erase")
    np.testing.assert_allclose(line(axes, "_twin")[1], twin["effect"])
    control, own = (band.get_paths()[0].vertices for band in axes.collections)
    assert (control[:, 1].min(), control[:, 1].max()) == pytest.approx(
        (found["control_least"].min(), found["control_greatest"].max())
    )
    assert own[:, 1].max() == pytest.approx(found["effect_high"].max())
    assert [text.get_text() for text in axes.texts] == [f"all of the margin: {found['free'].iloc[0]:.2f}"]
    # Blocks of the decoy, and of one more draw, are open.
    assert [len(line(shown[name], "_used")[0]) for name in ("objects: category", "snli-ve: statement")] == [0, 0]


def test_steering_is_drawn_in_the_sense_of_its_strength(given):
    shown = facets(drawn(given, "used-by-layer", "m-steer"))
    assert list(shown) == ["entailment: agree", "objects: category"]
    for strength in STRENGTHS:
        found = rows(given, model="m", task="entailment", change="steer", strength=strength)
        _, y = line(shown["entailment: agree"], f"_{strength:g}")
        np.testing.assert_allclose(y, np.sign(strength) * found["effect"])
        assert np.sign(y[2]) == np.sign(strength)


def test_a_model_in_which_nothing_was_steered_has_a_figure_that_says_so(tmp_path):
    alone = made(tmp_path, [Planted(steered=None)], ("used", "used-across"))
    figure = drawn(alone, "used-by-layer", "m-steer")
    assert "nothing was steered" in " ".join(text.get_text().replace("\n", " ") for text in figure.texts)


def test_shares_are_drawn_by_block(given):
    axes = facets(drawn(given, "used-by-layer", "m-shares"))["entailment: agree"]
    found = rows(given, model="m", task="entailment", change="erase")
    for part in ("completeness", "selectivity", "product"):
        np.testing.assert_allclose(line(axes, f"_{part}")[1], found[part])


def test_the_map_has_a_row_per_concept_at_the_block_of_its_greatest_difference(given):
    (axes,) = facets(drawn(given, "used-between-tasks", "")).values()
    assert axes.get_title() == "m"
    peaks = given.comparison("used").query("peak and model == 'm'")
    labels = [label.get_text().replace("\n", " ") for label in axes.get_yticklabels()]
    assert labels == [f"{row.task}: {row.prompt} ({row.block})" for row in peaks.itertuples()]
    numbers = [[""] * 3 for _ in range(3)]
    for text in axes.texts:
        x, y = text.xy
        numbers[y][x] = text.get_text()
    across = given.comparison("used-across").query("model == 'm'").set_index(["of", "block", "task"])["completeness"]
    tasks = ["entailment", "objects", "snli-ve"]
    assert numbers == [
        [f"{100 * across[f'{row.task}/{row.prompt}', row.block, task]:.0f}" for task in tasks]
        for row in peaks.itertuples()
    ]
    framed = [patch.get_xy() for patch in axes.patches if not patch.get_fill()]
    assert [tuple(np.round(place).astype(int)) for place in framed] == [(0, 0), (1, 1), (2, 2)]


def test_what_is_found_above_is_a_cell_per_block_and_block_read(given):
    axes = facets(drawn(given, "used-above-block", "m"))["entailment: agree"]
    found = rows(given, "used-above", model="m", task="entailment").set_index(["above", "block"])["erased"]
    assert {text.xy: text.get_text() for text in axes.texts} == {key: f"{100 * of:.0f}" for key, of in found.items()}
    assert len(axes.patches) == BLOCKS * (BLOCKS + 1) / 2


def test_a_probe_at_chance_is_grey(tmp_path):
    from tests.sweeps import AGREE, above_table, write

    given = made(tmp_path, [Planted(steered=None)], ())
    table = above_table(Planted())
    mixed = np.random.default_rng(0).permutation(200)
    free = (table["block"] == 0) & (table["above"] == 2)
    table.loc[free, "margins"] = table.loc[free, "margins"].to_numpy()[mixed]
    write(tmp_path / "used/m/entailment/agree.above.parquet", table, AGREE)
    from layerwise.compare.catalogue import COMPARISONS
    from tests.sweeps import OPTIONS

    found = COMPARISONS["used-above"].compute(given, OPTIONS | {"used": ["m/entailment/agree"]})
    found.to_parquet(tmp_path / "above.parquet")
    given.files["used-above"] = [tmp_path / "above.parquet"]
    axes = facets(drawn(given, "used-above-block", "m"))["entailment: agree"]
    grey = [tuple(np.add(patch.get_xy(), 0.5)) for patch in axes.patches if to_hex(patch.get_facecolor()) == "#ededed"]
    assert sorted(grey) == [(2, 1), (2, 2)]


def test_a_model_without_sweeps_is_named(given):
    for name, variant in (("used-by-layer", "mute-erase"), ("used-above-block", "mute")):
        with pytest.raises(InputError, match="'mute'"):
            drawn(given, name, variant)


def test_table_4_shows_the_block_of_the_greatest_difference(given):
    sections, csv = TABLES["table4"].write(given, "last")
    frames = {section.title: section.frame for section in sections}
    row = frames["entailment: effects"].iloc[0]
    found = rows(given, model="m", task="entailment", peak=True).iloc[0]
    assert (row["Used in"], row["Steered in"], row["Block"]) == ("used: 2–4", "2–4", "3 / 6")
    assert row["Effect"] == f"+{found['effect']:.2f} [{found['effect_low']:.2f}, {found['effect_high']:.2f}]"
    assert row["p"] == "< 0.001"
    assert row["Right"] == (
        f"{100 * found['free_accuracy']:.1f} → {100 * found['accuracy']:.1f} ({100 * found['control_accuracy']:.1f})"
    )
    share = frames["entailment: shares of the answer, and what probes find (accuracy)"].iloc[0]
    assert share["Complete"] == f"{100 * found['completeness']:.0f}"
    above = rows(given, "used-above", model="m", task="entailment", above=6, block=3).iloc[0]
    assert share["Probe at the top"] == (
        f"{100 * above['free']:.1f} → {100 * above['erased']:.1f} ({100 * above['control']:.1f})"
    )
    assert frames["entailment: effects"]["Used in"].iloc[1] == "no answer"
    assert frames["objects: effects"]["Used in"].iloc[0] == "not used"
    assert frames["Between tasks"].iloc[0]["objects: category"] == "0"
    said = list(frames["In words"]["Verdict"])
    assert said[0].startswith("entailment (prompt agree): m uses it in blocks 2–4: erasing it in block 3 takes 87 %")
    assert "right answers go from 96 to 60 %; the answer follows steering in blocks 2–4." in said[0]
    assert said[1].startswith("objects (prompt category): m is not shown to use it in any block (smallest p: 0.")
    assert said[3] == "entailment (prompt agree): m-untrained has no verdict: the model does not answer."
    assert "used_at" in csv.splitlines()[0]
    assert "Probe at the top" in to_html("", sections)


def test_only_a_study_that_erases_has_them():
    plain = Contents(questions=frozenset({"local"}))
    erases = Contents(questions=frozenset({"local"}), used=("a", "b-erase"))
    added = set(pictures(erases)) - set(pictures(plain))
    by_layer = {f"used-by-layer-{model}-{what}" for model in erases.used for what in ("erase", "steer", "shares")}
    assert added == by_layer | {"used-between-tasks", "used-above-block-a", "used-above-block-b-erase"}
    assert set(tables(erases)) - set(tables(plain)) == {"table4"}
