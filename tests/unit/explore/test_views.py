"""The charts of the page: their rows are those of the tables, and each draws a mark for every row that it shows."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
import vl_convert

from layerwise.compare.catalogue import COMPARISONS
from layerwise.errors import InputError
from layerwise.explore.catalogue import VIEWS
from layerwise.explore.planning import views
from layerwise.explore.views.pooled import PLACE, SCORE
from layerwise.figures.drawing import patch_lens, pooled, style
from layerwise.figures.drawing.likeness import MEASURES
from layerwise.figures.entry import Contents
from tests import shown

# The curves have tests of their own.
NAMES = [name for name in VIEWS if name != "curves"]
# By view the comparison that its rows are of, what tells its rows apart, and how many rows of the table it shows.
FLOW, CELL = ["model", "questions", "type"], ["model", "task", "prompt"]
SHOWN = ["stimuli", "prompt", "position"]
PATTERNS = {"objects": "^(?:object|other)->", "flow-pictures": r"image \d", "flow-spans": "span:"}
PATTERNS |= {"knockout": "^(?:image->question|(?:question|image|last)->last)$"}
OF = {
    "strips": ("which-layer", CELL, None),
    "heads": ("within-blocks", [*CELL, "layer", "head"], lambda rows: rows["site"] == "heads"),
    "sites": ("within-blocks", [*CELL, "site", "layer"], lambda rows: (rows["site"] != "heads") | rows["best"]),
    **{
        name: ("flow-changes", [*FLOW, "flow", "window"], lambda rows, found=pattern: rows["flow"].str.contains(found))
        for name, pattern in PATTERNS.items()
    },
    "logit-difference": ("flow-differences", [*FLOW, "flow", "window"], None),
    "tracing": ("flow-tracing", [*FLOW, "norm", "casing", "layer"], None),
    "flow-heads": ("flow-heads", [*FLOW, "flow", "layer", "head"], lambda rows: rows["layer"] > 0),
    "transfer": (
        "carried",
        [*CELL, "source_model", "source_task", "source_prompt", "centre", "layer"],
        lambda rows: rows["metric"] == rows["task"].map({name: task.metric for name, task in shown.TASKS.items()}),
    ),
    "used": ("used", [*CELL, "change", "strength", "block"], None),
    "used-between": ("used-across", [*CELL, "of", "block"], None),
    "used-above": ("used-above", [*CELL, "block", "above"], None),
    "known-said": ("known-said", [*CELL, "layer", "label", "answer", "share"], lambda rows: to_top(rows)),
    "complexity": ("complexity", [*CELL, "kind", "layer"], lambda rows: to_top(rows) & rows["model"].eq(shown.TRAINED)),
    "learning": ("learning", [*CELL, "train_groups"], None),
    "test-parts": ("test-parts", [*CELL, "part", "layer"], lambda rows: to_top(rows)),
    "layer-measures": ("layer-measures", [*SHOWN, "model", "measure", "layer"], lambda rows: to_top(rows)),
    "layer-likeness": (
        "layer-likeness",
        [*SHOWN, "scaling", "model", "other", "layer", "other_layer"],
        lambda rows: to_top(rows) & (rows["other_layer"] <= rows["other_n_layers"]),
    ),
    "pictures": ("picture-positions", [*CELL, "position", "layer"], lambda rows: to_top(rows)),
    "positions": ("positions-by-layer", [*CELL, "position", "layer"], lambda rows: to_top(rows)),
    "tower": ("tower", ["model", "task", "pooling", "place"], None),
    "patch-lens": ("patch-lens", ["stimuli", "model", "measure", "layer"], lambda rows: to_top(rows)),
    "pooled": (
        "pooled-places",
        ["task", "model", "measure", "layer"],
        lambda rows: to_top(rows) & (rows["measure"] == pooled.MEASURE),
    ),
}
# What a view says otherwise than its table.
WORDS = {"centre": {"re-centred": "own", "as fitted": "source"}, "change": {"erased": "erase", "steered": "steer"}}
WORDS |= {"measure": {title: measure for measure, (title, _) in MEASURES.items()}}
WORDS["measure"] |= {title: measure for measure, title in patch_lens.MEASURES.items()} | {PLACE: pooled.MEASURE}


def to_top(rows):
    return rows["layer"] <= rows["n_layers"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return shown.everything(tmp_path_factory.mktemp("explore"))


@pytest.fixture(scope="module")
def rows(made):
    return {name: VIEWS[name].rows(made) for name in NAMES}


def fitting(name, rows):
    """The rows that the page shows when it is opened."""
    for column in VIEWS[name].follows:
        rows = rows[rows[column] == rows[column].iloc[0]]
    return rows


def drawn(name, rows, every, layer=-1):
    """The chart with some of its rows in it, as SVG."""
    spec = VIEWS[name].chart(every).to_dict()
    spec |= {"datasets": {"rows": json.loads(rows.to_json(orient="records"))}, "width": 700}
    for param in spec.get("params", []):
        if param["name"] == "layer":
            param["value"] = layer
    return vl_convert.vegalite_to_svg(spec)


def marks(text, name="marks"):
    """How many marks of a chart stand for a row, or for what is chosen."""
    (group,) = [each for each in ET.fromstring(text).iter() if each.get("class", "").endswith(f" {name}_marks")]
    return len(group)


def test_every_chart_is_tested_here():
    assert set(OF) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_those_of_the_table(made, rows, name):
    comparison, keys, shows = OF[name]
    read = made.flow_comparison if COMPARISONS[comparison].per_flow else made.comparison
    table = read(comparison)
    table = table if shows is None else table[shows(table)]
    assert not table.duplicated(keys).any()
    found = rows[name].replace({column: words for column, words in WORDS.items() if column in rows[name]})
    # Beside them there are rows of the headline scores, see the two tests below.
    if name == "sites":
        found = found[found["site"] != "block"]
    if name == "transfer":
        found = found[found["source_model"].notna()]
    # Two controls stand beside it.
    if name == "patch-lens":
        found = found[found["line"] == patch_lens.LINES["value"]]
    # Two controls and the scores stand beside it.
    if name == "pooled":
        found = found[found["line"] == pooled.PLACES["value"]]
    joined = found.merge(table, on=keys, how="outer", suffixes=("", "_there"), indicator=True, validate="m:1")
    assert (joined["_merge"] == "both").all()
    if name != "strips":
        assert len(found) == len(table)
    compared = [column for column in found if f"{column}_there" in joined]
    # A column that is the page's own is one that the table does not have.
    assert {"value", "low", "high", "mean", "effect", "score", "n"} & set(found) <= {*compared, *keys}
    for column in set(compared) - {"layer"} if name == "strips" else compared:
        pd.testing.assert_series_equal(joined[column], joined[f"{column}_there"], check_names=False, check_dtype=False)


def test_scores_of_both_poolings_stand_beside_where_queries_look(made, rows):
    table, found = made.comparison("pooled-differences"), rows["pooled"]
    table = table[to_top(table)]
    for column, name in pooled.POOLINGS.items():
        own = found[found["line"] == name].reset_index(drop=True)
        assert (own["measure"] == SCORE).all()
        wanted = table[["model", "task", "layer", column, f"{column}_low", f"{column}_high"]]
        np.testing.assert_array_equal(
            own[["model", "task", "layer", "value", "low", "high"]],
            wanted.sort_values(["model", "task"], kind="stable"),
        )


def test_the_output_of_blocks_stands_beside_attention_and_mlp(made, rows):
    headline = made.comparison("headline")
    wanted = headline[(headline["probe"] == "logistic") & (headline["split"] == "test") & to_top(headline)]
    wanted = wanted[wanted["model"] == shown.TRAINED]
    found = rows["sites"][rows["sites"]["site"] == "block"]
    joined = found.merge(wanted, on=[*CELL, "layer"], suffixes=("", "_there"), validate="1:1")
    assert len(joined) == len(found) == len(wanted)
    np.testing.assert_array_equal(joined[["value", "low", "high"]], joined[["value_there", "low_there", "high_there"]])


def test_own_probes_stand_beside_carried_ones(made, rows):
    scores = made.scores
    wanted = scores[(scores["probe"] == "logistic") & (scores["split"] == "test")]
    own = rows["transfer"][rows["transfer"]["source_model"].isna()]
    assert len(own) == 2 * len(wanted)
    for _, of_centre in own.groupby("centre"):
        joined = of_centre.merge(wanted, on=[*CELL, "layer"], suffixes=("", "_there"), validate="1:1")
        np.testing.assert_array_equal(joined["value"], joined["value_there"])


def test_steering_is_drawn_the_way_that_it_pushes(rows):
    used = rows["used"]
    sign = np.sign(used["strength"]).replace(0, 1)
    for column in ("effect", "effect_low", "effect_high", "control", "control_least", "control_greatest"):
        np.testing.assert_array_equal(used[f"drawn_{column}"], sign * used[column])


def test_a_strip_has_a_box_for_every_layer_with_what_it_is_above(rows):
    strips = rows["strips"]
    plain = strips[(strips["task"] == "agree") & (strips["prompt"] == "plain")]
    below, chance, above = "not above chance", "above chance, but not above all", "above all"
    assert plain["verdict"].tolist() == [below] * 2 + [chance] * 2 + [above] * 3
    assert plain["marks"].tolist() == [""] * 4 + ["known from here on", "best layer", "as good as the best"]
    assert set(strips.loc[strips["missing"] != "", "verdict"]) == {"not tested"}


@pytest.mark.parametrize("name", NAMES)
def test_what_a_chart_follows_and_picks_are_columns(rows, name):
    view = VIEWS[name]
    assert {*view.follows, *view.picks} <= set(rows[name])
    # The page compares choices with text.
    assert not [column for column in view.follows if pd.api.types.is_numeric_dtype(rows[name][column])]
    assert {view.picks[field] for field in view.picks} <= {"layer", "model", "task", "prompt"}


# Of maps of one layer, the column of layers and that of the layer which is shown while none is chosen.
OF_ONE_LAYER = {"transfer": ("layer", "best_layer"), "used-between": ("block", "peak")}


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_draws_a_mark_for_every_row_and_says_its_interval(rows, name):
    every, found = rows[name], fitting(name, rows[name])
    assert 0 < len(found) < len(every)
    wanted = found
    if name in OF_ONE_LAYER:
        column, usual = OF_ONE_LAYER[name]
        wanted = found[found[column].isin([-1]) | (found[column] == found[usual])]
    text = drawn(name, found, every)
    assert marks(text) == len(wanted)
    assert "95 % interval" in text


@pytest.mark.parametrize("name", [name for name in NAMES if name != "learning"])
def test_the_chosen_layer_is_marked_or_shown(rows, name):
    found = fitting(name, rows[name])
    text = drawn(name, found, rows[name], layer=3)
    if name in OF_ONE_LAYER:
        assert marks(text) == found[OF_ONE_LAYER[name][0]].isin([3, -1]).sum()
    else:
        assert marks(text, "chosen") > 0
        assert marks(drawn(name, found, rows[name]), "chosen") == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_without_rows_is_drawn(rows, name):
    assert marks(drawn(name, rows[name].iloc[:0], rows[name].iloc[:0])) == 0


def test_flows_and_models_have_the_colours_of_the_figures(rows):
    text = drawn("knockout", fitting("knockout", rows["knockout"]), rows["knockout"])
    for place in range(4):
        assert f"var(--c{place + 1})" in text
    learning = rows["learning"].drop_duplicates("model").set_index("model")
    assert learning["colour"].to_dict() == {
        shown.TRAINED: style.PALETTE[0],
        shown.UNTRAINED: style.RANDOM_GREYS[0],
    }


@pytest.mark.parametrize("name", NAMES)
def test_no_chart_has_black_text_or_lines_of_its_own(rows, name):
    """It could not be read on a dark page."""
    spec = json.dumps(VIEWS[name].chart(rows[name]).to_dict()).lower()
    assert '"black"' not in spec
    assert '"#000000"' not in spec


def test_studies_have_the_charts_of_what_they_have():
    assert set(views(shown.EVERYTHING)) == set(VIEWS)
    assert views(Contents()) == []
    flow = views(Contents(flow=True))
    assert flow == ["knockout", "tracing"]
    assert len({view.place for view in VIEWS.values()}) == len(VIEWS)


def test_tables_of_flow_say_whose_they_are(made, tmp_path):
    found = made.flow_comparison("flow-changes")
    assert set(zip(found["model"], found["questions"], strict=True)) == {
        (shown.TRAINED, "own"),
        (shown.TRAINED, "gqa.short"),
        (shown.UNTRAINED, "own"),
    }
    whole = [len(pd.read_parquet(path)) for path in made.paths("flow-changes")]
    assert len(found) == sum(whole)
    with pytest.raises(InputError, match="no flow-strongest"):
        made.flow_comparison("flow-strongest")
