"""Stimuli with several pictures in the grid: positions of single pictures, and prompts that show other pictures."""

import pytest

from layerwise.errors import InputError
from layerwise.study import Study

CONTROLS = {
    "alone": {"images": [1, "none"]},
    "drawn": {"image": "random-order"},
    "text-only": {"image": "none"},
}


@pytest.fixture
def pairs(study, tmp_path):
    """A table with two pictures a row, and one with one, in the study of the demo."""
    (tmp_path / "pairs.csv").write_text("left,right,said,answer\na.png,b.png,It is red.,yes\n")
    table = {"kind": "table", "file": str(tmp_path / "pairs.csv"), "text_column": "said", "labels": ["answer"]}
    text = "{text} Is it so?"
    study["prompts"]["table"] |= {"asked": {"text": text}, "placed": {"text": "{image 1}{image 2} {text}"}}
    study["prompts"]["table"] |= {name: {"text": text} | shown for name, shown in CONTROLS.items()}
    study["stimuli"] = {
        "pairs": table | {"image_column": ["left", "right"], "prompts": ["asked", "placed", *CONTROLS]},
        "single": table | {"image_column": "left", "prompts": ["asked", "text-only"]},
    }
    study["tasks"] = {name: {"stimuli": name, "question": "global"} for name in study["stimuli"]}
    study["models"] = {
        "one": {"source": "embedded"},
        "twin": {"source": "embedded", "weights": "random", "seeds": [0, 1, 2]},
        "cut": {"source": "embedded", "prompts": ["asked"], "intervention": {"cut-image": {"blocks": "upper"}}},
    }
    study["states"] = {"positions": ["last", "image-mean", "each-image-mean"]}
    study.pop("flow")
    return study


def grid_of(config):
    return Study.from_config(config).grid


def test_each_picture_that_a_prompt_shows_has_a_position(pairs):
    grid = grid_of(pairs)
    both = ["image-1-mean", "image-2-mean"]
    assert grid.positions("pairs", "asked") == grid.positions("pairs", "drawn") == ["last", "image-mean", *both]
    assert grid.positions("pairs", "alone") == ["last", "image-mean", "image-1-mean"]
    # There is no image whose mean could be kept.
    assert grid.positions("pairs", "text-only") == grid.positions("single", "text-only") == ["last"]
    assert grid.positions("single", "asked") == ["last", "image-mean"]
    assert grid.planned("one", "pairs", "asked")["positions"] == [*both, "image-mean", "last"]


def test_cells_of_single_pictures_stay_what_they_are(pairs):
    planned = grid_of(pairs).planned("one", "single", "asked")
    pairs["states"]["positions"].pop()
    assert grid_of(pairs).planned("one", "single", "asked") == planned
    assert grid_of(pairs).picture_positions("pairs", "asked") == []
    assert grid_of(pairs).position_cells() == []


def test_pictures_are_probed_by_themselves_in_prompts_that_show_all_in_order(pairs):
    grid = grid_of(pairs)
    # Neither draws of random weights nor models with an intervention.
    assert [tuple(cell) for cell in grid.position_cells()] == [("one", "pairs", "asked"), ("one", "pairs", "placed")]
    pairs["models"]["twin"] = {"source": "embedded", "weights": "random"}
    assert ("twin", "pairs", "asked") in grid_of(pairs).position_cells()


def test_a_prompt_is_compared_with_the_same_words_and_other_pictures(pairs):
    # The prompt with places has other words, and items with one picture have a figure of their own.
    assert [tuple(cell) for cell in grid_of(pairs).picture_controls()] == [("one", "pairs", "asked")]
    pairs["stimuli"]["pairs"]["prompts"] = ["asked", "placed"]
    assert grid_of(pairs).picture_controls() == []
    pairs["models"]["one"]["prompts"] = ["asked"]
    pairs["stimuli"]["pairs"]["prompts"] = ["asked", "placed", *CONTROLS]
    pairs["models"].pop("cut")
    assert grid_of(pairs).picture_controls() == []


def test_a_plan_says_that_numbers_are_not_probed_at_single_pictures(pairs):
    assert not [note for note in Study.from_config(pairs).notes if "each-image-mean" in note]
    for name in ("pairs", "single"):
        pairs["stimuli"][name]["labels"] = {"answer": {"column": "answer"}, "much": {"column": "said", "as": "number"}}
        pairs["tasks"][f"much-{name}"] = {"stimuli": name, "question": "global", "labels": ["much"], "metric": "r2"}
        pairs["tasks"][name]["labels"] = ["answer"]
    (note,) = [note for note in Study.from_config(pairs).notes if "each-image-mean" in note]
    assert "is kept but not probed in tasks about numbers (much-pairs);" in note
    pairs["states"]["positions"].remove("each-image-mean")
    assert not [note for note in Study.from_config(pairs).notes if "each-image-mean" in note]


def test_items_belong_together_where_the_same_words_are_asked_of_several_pictures(pairs):
    # Each row of these tables is an item with words of its own.
    assert grid_of(pairs).consistency_tasks() == []
    pairs["stimuli"]["pairs"]["group_column"] = "said"
    assert grid_of(pairs).consistency_tasks() == ["pairs"]
    each = [{"image_column": "left", "text_column": "said"}, {"image_column": "right", "text_column": "said"}]
    pairs["stimuli"]["single"] |= {"each": each}
    for key in ("image_column", "text_column"):
        pairs["stimuli"]["single"].pop(key)
    assert grid_of(pairs).consistency_tasks() == ["pairs", "single"]
    # Other words in each item of a row.
    each[1] = {"image_column": "right", "text_column": "answer"}
    assert grid_of(pairs).consistency_tasks() == ["pairs"]


def test_minimal_pairs_belong_together(study):
    kind_of = {name: study["stimuli"][task["stimuli"]]["kind"] for name, task in study["tasks"].items()}
    found = grid_of(study).consistency_tasks()
    assert found == [name for name, kind in kind_of.items() if kind == "coco-entailment"]
    assert 0 < len(found) < len(kind_of)


def test_probes_need_one_position(pairs):
    pairs["states"]["positions"] = ["each-image-mean", "last"]
    with pytest.raises(InputError, match="each-image-mean stands for one of each picture; name last or image-mean"):
        Study.from_config(pairs)
    pairs["states"]["positions"] = ["image-mean", "last"]
    with pytest.raises(InputError, match=r"text-only: without an image .* name last before it"):
        Study.from_config(pairs)
