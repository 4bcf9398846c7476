"""Which towers are read, which tasks are probed in them, and what is refused before anything is run."""

import pytest

from layerwise.errors import InputError
from layerwise.study import Study


def grid_of(config):
    return Study.from_config(config).grid


def test_without_the_section_nothing_is_read(study):
    grid = grid_of(study)
    assert grid.tower_probe_cells() == grid.tower_cells() == []
    assert grid.compared_with_tower() == {}


def test_tasks_about_objects_are_probed_in_models_that_see(study):
    study["tower"] = {}
    models = study["models"]
    models["changed"] = {"source": "embedded", "intervention": {"bypass": {"from": 2, "into": 4, "scale": 1.0}}}
    models["words"] = {"source": "org/words", "adapter": "text", "revision": "a" * 40, "tasks": ["entailment"]}
    models["words"] |= {"prompts": ["agree-text-only"]}
    study["tasks"]["count"] = {"stimuli": "captions", "question": "local", "knowledge": {"about": "count", "bins": 2}}
    study["tasks"]["asked"] = {"stimuli": "objects", "question": "local"}
    study["tasks"]["asked"]["knowledge"] = {"about": "asked-attribute", "attribute": "colour"}
    grid = grid_of(study)
    found = [(model, task) for model in ("shapes-llava", "shapes-llava-untrained") for task in ("objects", "count")]
    assert sorted(map(tuple, grid.tower_probe_cells())) == sorted(found)
    assert {tuple(cell) for cell in grid.tower_cells()} == {
        (model, stimuli) for model, _ in found for stimuli in ("objects", "captions")
    }
    # One cell for all prompts, and all prompts that show the picture beside it.
    assert grid.compared_with_tower()["shapes-llava"] == {
        "objects": ["no-cue", "category", "category-list"],
        "count": ["agree", "caption"],
    }


def test_the_line_goes_on_where_the_images_tokens_are_kept(study):
    study["tower"] = {}
    assert grid_of(study).pooled_prompt("shapes-llava", "objects") is None
    study["tasks"]["objects"]["positions"] = ["image-mean"]
    assert grid_of(study).pooled_prompt("shapes-llava", "objects") == "no-cue"
    del study["tasks"]["objects"]["positions"]
    study["states"] = {"positions": ["last", "image-mean"]}
    grid = grid_of(study)
    assert grid.pooled_prompt("shapes-llava", "objects") == "no-cue"
    # What is kept of a tower stays what it is; its precision is that of all states.
    (cell, *_) = grid.tower_cells()
    study["states"] = {"dtype": "bfloat16"}
    assert grid.planned_tower(cell)["dtype"] == "float32"
    assert grid_of(study).planned_tower(cell) == grid.planned_tower(cell) | {"dtype": "bfloat16"}


def test_a_table_is_probed_if_it_is_named(study, tmp_path):
    (tmp_path / "t.csv").write_text("image,text,answer\na.png,a dog,yes\n")
    study["stimuli"]["own"] = {"kind": "table", "file": str(tmp_path / "t.csv"), "labels": {"answer": {}}}
    study["stimuli"]["own"] |= {"prompts": ["plain"], "text_column": "text"}
    study["prompts"]["table"] = {"plain": {"text": "{text}"}}
    study["tasks"]["own"] = {"stimuli": "own", "question": "local"}
    study["tower"] = {}
    assert "own" not in {cell.task for cell in grid_of(study).tower_probe_cells()}
    study["tower"] = {"tasks": ["own"], "models": ["shapes-llava"]}
    study["models"]["shapes-llava-untrained"].pop("prompts")
    assert [tuple(cell) for cell in grid_of(study).tower_probe_cells()] == [("shapes-llava", "own")]


@pytest.mark.parametrize(
    ("tower", "said"),
    [
        ({"models": ["nobody"]}, r"tower\.models: nobody is no model .* there is shapes-llava, shapes-llava-untrained"),
        ({"tasks": ["nothing"]}, r"tower\.tasks: nothing is no task .* entailment, snli-ve, snli-ve-binary, objects"),
    ],
)
def test_what_cannot_be_read_is_refused(study, tower, said):
    study["tower"] = tower
    with pytest.raises(InputError, match=said):
        grid_of(study)


def test_a_study_without_such_a_task_is_told(study):
    study["tower"] = {}
    study["tasks"].pop("objects")
    study["models"]["shapes-llava-untrained"]["prompts"] = ["agree"]
    with pytest.raises(InputError, match=r"tower: there is nothing to read: .* name others in tower\.tasks"):
        grid_of(study)
