"""Which tasks are compared with shortcuts, in which models, and which words they read."""

import json

import pytest

from layerwise.study import Study


def grid_of(config):
    return Study.from_config(config).grid


def test_global_tasks_with_picture_and_text_have_shortcuts_in_trained_models(study):
    grid = grid_of(study)
    tasks = ("entailment", "snli-ve", "snli-ve-binary")
    assert [tuple(cell) for cell in grid.shortcut_cells()] == [("shapes-llava", task) for task in tasks]
    # Two tasks share the pictures of one stimulus set.
    assert [tuple(cell) for cell in grid.pictures_cells()] == [
        ("shapes-llava", "captions"),
        ("shapes-llava", "hypotheses"),
    ]
    assert grid.shortcut_prompts() == {
        "entailment": {"shown": ["agree", "caption"], "text": ["agree-text-only"]},
        "snli-ve": {"shown": ["statement", "entail"], "text": ["statement-text-only"]},
        "snli-ve-binary": {"shown": ["statement", "entail"], "text": ["statement-text-only"]},
    }
    assert grid.shortcut_columns("entailment") == ["text"]
    study["tasks"]["entailment"]["question"] = "local"
    assert [cell.task for cell in grid_of(study).shortcut_cells()] == list(tasks[1:])
    study["probes"] = {"shortcuts": False}
    assert grid_of(study).shortcut_cells() == grid_of(study).pictures_cells() == []
    assert grid_of(study).shortcut_prompts() == {}


def test_changed_models_language_models_and_other_prompts_have_none(study):
    models = study["models"]
    models["changed"] = {"source": "embedded", "intervention": {"bypass": {"from": 2, "into": 4, "scale": 1.0}}}
    models["words"] = {"source": "org/words", "adapter": "text", "revision": "a" * 40, "tasks": ["entailment"]}
    models["words"] |= {"prompts": ["agree-text-only"]}
    models["texts-alone"] = {"source": "embedded", "prompts": ["agree-text-only", "no-cue", "statement-text-only"]}
    assert {cell.model for cell in grid_of(study).shortcut_cells()} == {"shapes-llava"}
    study["stimuli"]["captions"]["prompts"] = ["agree-blank", "agree-shuffled", "agree-text-only"]
    models.pop("texts-alone")
    models["shapes-llava-untrained"]["prompts"] = ["statement", "no-cue", "agree-blank"]
    assert "entailment" not in {cell.task for cell in grid_of(study).shortcut_cells()}


def test_a_caption_in_place_of_the_picture_is_no_text_alone_and_its_words_are_not_read(study):
    study["stimuli"]["hypotheses"] |= {"premise": True, "prompts": ["statement", "premise", "premise-and-image"]}
    grid = grid_of(study)
    assert grid.shortcut_prompts()["snli-ve"] == {"shown": ["statement", "premise-and-image"], "text": []}
    assert grid.shortcut_columns("snli-ve") == ["text"]
    # What every prompt shows is read.
    study["stimuli"]["hypotheses"]["prompts"] = ["premise", "premise-and-image"]
    study["models"].pop("shapes-llava-untrained")
    grid = grid_of(study)
    assert grid.shortcut_columns("snli-ve") == ["premise", "text"]
    assert grid.shortcut_prompts()["snli-ve"]["text"] == ["premise"]


@pytest.mark.parametrize("shortcuts", [True, False])
def test_the_key_makes_no_other_cell_stale(study, shortcuts):
    plain, other = grid_of(study), grid_of(study | {"probes": {"shortcuts": shortcuts}})
    cells = plain.states_cells()
    assert cells == other.states_cells()
    assert json.dumps([plain.planned(*cell) for cell in cells]) == json.dumps([other.planned(*cell) for cell in cells])
