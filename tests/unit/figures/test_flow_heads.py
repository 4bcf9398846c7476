"""What the figure and the table of blocked heads show, read back from them."""

import numpy as np
import pandas as pd
import pytest

from layerwise.compare.statistics.flow_heads import head_means, strongest_heads
from layerwise.errors import InputError
from layerwise.figures.catalogue import FIGURES, TABLES
from layerwise.figures.drawing import style
from layerwise.flow.head_results import ALL, heads_table, read_heads
from tests.given import given

TYPES, FLOWS = ["QueryAttr", "ChooseCat"], ["image->last", "question->last"]
# The second block has fewer heads.
PLACES = [(1, 1, ""), (1, 2, ""), (1, 3, ""), (2, 1, ""), (2, 2, ""), (0, 0, "both")]
DESCRIPTION = {
    "cell": {"model": "tiny", "questions": "some", "window": 3},
    "types": {kind: {"asked": 90, "kept": 80, "kept_share": 0.9, "left_out": {}} for kind in TYPES},
    "without_object_patches": {},
}


def measured(percent, per_type=80, noise=1.0):
    """A table with these mean changes, shape (types, flows, places), and noise around them."""
    rng = np.random.default_rng(0)
    n = per_type * len(TYPES)
    asked = pd.DataFrame(
        {"question_id": map(str, range(n)), "image_id": map(str, range(n)), "type": np.repeat(TYPES, per_type)}
    )
    p = rng.uniform(0.5, 0.9, n)
    changes = np.repeat(percent, per_type, axis=0) + noise * rng.normal(size=(n, *percent.shape[1:]))
    return heads_table(asked, p, p[:, None, None] * (1 + changes / 100), FLOWS, PLACES)


@pytest.fixture(scope="module")
def percent():
    percent = np.zeros((2, 2, len(PLACES)))
    percent[0, 0] = [-1, 2, -9, 0, -4, -20]
    percent[1, 0] = [-1, 2, 0, 0, -11, -20]
    percent[:, 1, 1] = 5
    return percent


@pytest.fixture(scope="module")
def shown(percent, tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    comparisons = ["flow-heads", "flow-strongest-heads"]
    return given(folder, comparisons, description=DESCRIPTION, heads=measured(percent))


def test_means_of_every_head_and_group_stand_at_their_places(shown, percent):
    found = shown.comparison("flow-heads")
    assert found["type"].unique().tolist() == [ALL, *TYPES]
    assert len(found) == 3 * 2 * len(PLACES)
    values = found["mean"].to_numpy().reshape(3, 2, len(PLACES))
    np.testing.assert_allclose(values[1:], percent, atol=0.5)
    np.testing.assert_allclose(values[0], percent.mean(0), atol=0.4)
    places = list(zip(found["layer"], found["head"], found["group"], strict=True))
    assert places == PLACES * 6
    # Each interval is that of its head alone.
    inside = (found["low"] < percent_of(percent)) & (found["high"] > percent_of(percent))
    assert inside.mean() > 0.85
    assert (found["n"].to_numpy().reshape(3, -1) == [[160], [80], [80]]).all()


def percent_of(percent):
    return np.concatenate([percent.mean(0, keepdims=True), percent]).reshape(-1)


def test_the_strongest_is_a_single_head_and_its_interval_allows_for_the_picking(shown):
    found = shown.comparison("flow-strongest-heads").set_index(["type", "flow"])
    heads = [found.loc[(kind, "image->last"), ["layer", "head"]].tolist() for kind in (ALL, *TYPES)]
    assert heads == [[2, 2], [1, 3], [2, 2]]
    assert found["n_heads"].unique() == 5
    # Where all heads are equal, the lowest of them looks strong, and its own interval does not allow for that.
    alone = shown.comparison("flow-heads").set_index(["type", "flow", "layer", "head", "group"])
    picked = found.loc[(ALL, "question->last")]
    own = alone.loc[(ALL, "question->last", picked["layer"], picked["head"], "")]
    assert picked["change"] == pytest.approx(own["mean"])
    assert picked["high"] > own["high"]


def test_the_map_shows_every_mean_and_frames_the_strongest(shown, percent):
    with style.figure_style():
        drawing = FIGURES["heads"].draw(shown, "")
    maps = [axes for axes in drawing.axes if axes.get_images()]
    assert [axes.get_title().split("\n")[0] for axes in maps] == ["image → last", "question → last"]
    assert "strongest: block 2, head 2: −7." in maps[0].get_title()
    values = maps[0].get_images()[0].get_array()
    expected = percent.mean(0)[0]
    np.testing.assert_allclose(values.filled(np.nan)[0], expected[:3], atol=0.4)
    np.testing.assert_allclose(values.filled(np.nan)[1, :2], expected[3:5], atol=0.4)
    # There is no third head in the second block.
    assert not np.isfinite(values.filled(np.nan)[1, 2])
    low, high = maps[0].get_images()[0].get_clim()
    assert low == -high
    (frame,) = maps[0].patches
    assert (frame.get_x(), frame.get_y(), frame.get_width()) == (1.5, 1.5, 1)
    assert "160 questions" in drawing.subfigs[0].get_suptitle()


def test_the_table_has_groups_and_says_what_its_intervals_allow_for(shown):
    sections, csv = TABLES["flow-heads"].write(shown, "last")
    strongest, others = sections
    assert strongest.title == "tiny on some: strongest of 5 heads"
    assert strongest.frame["blocked"].tolist()[::2] == ["block 2, head 2", "block 1, head 3", "block 2, head 2"]
    assert "allow for picking" in strongest.note
    assert others.frame["blocked"].tolist()[:2] == ["both", "block 2, head 2"]
    assert "of its row alone" in others.note
    assert csv.splitlines()[0].startswith("model,questions,type,flow")


def test_a_model_that_knew_no_answer_has_no_map(percent, tmp_path):
    nothing = measured(percent).iloc[:0]
    made = given(tmp_path, ["flow-heads", "flow-strongest-heads"], description=DESCRIPTION, heads=nothing)
    with style.figure_style():
        drawing = FIGURES["heads"].draw(made, "")
    assert "answered no question rightly" in drawing.texts[0].get_text().replace("\n", " ")
    assert TABLES["flow-heads"].write(made, "last")[0] == []


def test_few_images_have_a_strongest_head_without_an_interval(percent):
    few = measured(percent, per_type=20)
    found = strongest_heads(few, DESCRIPTION, 100, 0)
    assert found[["low", "high"]].isna().all(axis=None)
    assert np.isfinite(head_means(few, DESCRIPTION, 100, 0)["low"]).all()


def test_a_table_with_a_block_that_is_not_there_is_refused(percent, tmp_path):
    table = measured(percent)
    table.loc[7, "layer"] = 3
    table.to_parquet(tmp_path / "some.heads.parquet")
    with pytest.raises(InputError, match="row 7 is neither of a head in the model's blocks nor of a group"):
        read_heads(tmp_path / "some.heads.parquet")


DIFFERENCES = ["flow-head-differences", "flow-strongest-head-differences"]


@pytest.fixture(scope="module")
def with_distractors(percent):
    """Logits with a change of a tenth of that of the probability, but the other way round in one head."""
    table, rng = measured(percent), np.random.default_rng(1)
    n_places = len(PLACES) * len(FLOWS)
    free = np.repeat(rng.normal(3, 0.5, len(table) // n_places), n_places)
    moved = percent.copy()
    moved[:, 0, 2] = 20
    mean = np.repeat(moved, len(table) // n_places // len(TYPES), axis=0).reshape(-1) / 10
    table["logit_difference"] = free
    table["logit_difference_blocked"] = free + mean + 0.1 * rng.normal(size=len(table))
    # The last question's distractor begins with the answer's token.
    table.loc[table["question_id"] == "159", ["logit_difference", "logit_difference_blocked"]] = np.nan
    return table


def test_the_logit_difference_has_means_and_a_strongest_head_of_its_own(with_distractors, tmp_path):
    description = DESCRIPTION | {"without_logit_difference": {"same first token": 1}}
    shown = given(tmp_path, DIFFERENCES, description=description, heads=with_distractors)
    found = shown.comparison("flow-head-differences")
    assert set(found["n"][found["type"] == ALL]) == {159}
    row = found[(found["type"] == "QueryAttr") & (found["flow"] == "image->last")].set_index(["layer", "head", "group"])
    np.testing.assert_allclose(row["mean"], [-0.1, 0.2, 2, 0, -0.4, -2], atol=0.05)
    own = with_distractors[with_distractors["type"] == "QueryAttr"].drop_duplicates("question_id")
    np.testing.assert_allclose(row["free"], own["logit_difference"].mean())
    assert ((row["low"] < row["mean"]) & (row["mean"] < row["high"])).all()
    strongest = shown.comparison("flow-strongest-head-differences").set_index(["type", "flow"])
    assert strongest.loc[("QueryAttr", "image->last"), ["layer", "head"]].tolist() == [2, 2]
    with style.figure_style():
        drawing = FIGURES["heads-logit-difference"].draw(shown, "")
    first = next(axes for axes in drawing.axes if axes.get_images())
    assert first.get_title().startswith("image → last (unblocked: ")
    assert "strongest: block 2, head 2: −0.7" in first.get_title()
    assert "%" not in first.get_title()
    assert "159 questions" in drawing.subfigs[0].get_suptitle()
    # Two decimals: a logit is a few units.
    assert [text.get_text()[-3] for text in first.texts] == ["."] * 5


def test_a_change_of_logits_has_no_bound(with_distractors, tmp_path):
    # That of a probability stops at -100 %.
    far = with_distractors.assign(logit_difference_blocked=with_distractors["logit_difference_blocked"] - 150)
    found = given(tmp_path, DIFFERENCES, description=DESCRIPTION, heads=far).comparison("flow-head-differences")
    assert (found["low"] < -140).all()


def test_without_a_logit_difference_there_is_no_map(with_distractors, percent, tmp_path):
    none = with_distractors.assign(logit_difference=np.nan, logit_difference_blocked=np.nan)
    description = DESCRIPTION | {"without_logit_difference": {"same first token": 160}}
    made = given(tmp_path, DIFFERENCES, description=description, heads=none)
    with style.figure_style():
        drawing = FIGURES["heads-logit-difference"].draw(made, "")
    assert "could be measured (same first token)" in drawing.texts[0].get_text().replace("\n", " ")
    with pytest.raises(InputError, match=r"lacks the columns logit_difference, .*; its questions have no distractors"):
        given(tmp_path, DIFFERENCES, description=description, heads=measured(percent))
