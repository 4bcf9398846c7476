"""Whose image tokens are kept, which tasks are probed over them, and what is refused before anything is run."""

import pytest
import yaml

from layerwise.errors import InputError
from layerwise.planning.pooled_grid import TokensCell
from layerwise.study import Study
from tests.conftest import REPOSITORY

CHANGED = {"source": "embedded", "intervention": {"bypass": {"from": 2, "into": 4, "scale": 1.0}}}


def grid_of(config):
    return Study.from_config(config).grid


def test_without_the_section_nothing_is_kept(study):
    grid = grid_of(study)
    assert grid.pooled_cells() == grid.tokens_cells() == []


def test_tasks_that_share_their_pictures_share_one_file(study):
    study["models"]["changed"] = CHANGED
    study["models"]["drawn"] = {"source": "embedded", "weights": "random", "seeds": [3, 4, 5]}
    study["tasks"]["count"] = {"stimuli": "objects", "question": "local", "knowledge": {"about": "count", "bins": 2}}
    study["pooled"] = {"tasks": ["objects", "count"]}
    grid = grid_of(study)
    models = ["shapes-llava", "shapes-llava-untrained", "drawn-3"]
    assert [tuple(cell) for cell in grid.tokens_cells()] == [(model, "objects") for model in models]
    found = [(model, task) for model in models for task in ("objects", "count")]
    assert sorted(map(tuple, grid.pooled_cells())) == sorted(found)
    study["pooled"]["models"] = ["drawn-4"]
    assert {cell.model for cell in grid_of(study).pooled_cells()} == {"drawn-4"}


def test_what_decides_the_tokens(study):
    cell = TokensCell("shapes-llava", "objects")
    study["pooled"] = {"tasks": ["objects"]}
    planned = grid_of(study).planned_tokens(cell)
    assert (planned["share"], planned["seed"], planned["layers"], planned["dtype"]) == (0.25, 0, None, "float32")
    # Of all pictures none is drawn, and the order of layers means nothing.
    study |= {"seed": 4, "pooled": {"tasks": ["objects"], "share": 1, "layers": [7, 0]}}
    planned = grid_of(study).planned_tokens(cell)
    assert (planned["share"], planned["seed"], planned["layers"]) == (1, None, [0, 7])


def test_a_model_that_is_left_out_is_not_asked_for(study):
    study["pooled"] = {"tasks": ["objects"], "models": ["shapes-llava"]}
    study["tower"] = {"tasks": ["objects"], "models": ["shapes-llava"]}
    study["leave_out"] = ["shapes-llava"]
    grid = grid_of(study)
    assert grid.pooled_cells() == grid.tower_cells() == []


@pytest.mark.parametrize(
    ("pooled", "said"),
    [
        (
            {"tasks": ["objects"], "models": ["nobody"]},
            r"pooled\.models: nobody .* image tokens can be read",
        ),
        ({"tasks": ["objects"], "models": ["changed"]}, r"pooled\.models: changed is no model"),
        ({"tasks": ["objects"], "models": ["words"]}, r"pooled\.models: words is no model"),
        (
            {"tasks": ["objects"], "models": ["old"]},
            r"pooled\.models: old .* there is shapes-llava, shapes",
        ),
        ({"tasks": ["nothing"]}, r"pooled\.tasks: nothing is no task .* entailment, snli-ve, snli-ve-binary, objects"),
        (
            {"tasks": ["pairs"]},
            r"pooled\.tasks: items of pairs show several .* of one are pooled",
        ),
        ({"tasks": ["objects"], "layers": [3, 8]}, r"pooled\.layers: there is no layer 8 in shapes-llava, .*6 blocks"),
        (
            {"tasks": ["objects"], "layers": [-1]},
            r"pooled\.layers\.0: must be a whole number of at least 0",
        ),
        ({"tasks": ["objects"], "layers": []}, r"pooled\.layers"),
        ({"tasks": ["objects"], "share": 0}, r"pooled\.share: must be a number above 0, and at most 1"),
        ({"tasks": ["objects"], "share": 1.1}, r"pooled\.share: .* not 1\.1"),
        ({"tasks": []}, r"pooled\.tasks"),
        ({"share": 0.5}, r"pooled: the key 'tasks' is missing"),
        (
            {"tasks": ["entailment"], "models": ["fresh"]},
            r"pooled: there is nothing to read: none of its tasks",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(study, tmp_path, pooled, said):
    models = study["models"]
    models["changed"] = CHANGED
    models["words"] = {"source": "org/words", "adapter": "text", "revision": "a" * 40, "tasks": ["entailment"]}
    models["words"] |= {"prompts": ["agree-text-only"]}
    models["old"] = {"source": "org/old", "adapter": "emu", "revision": "a" * 40}
    models["old"] |= {"tasks": ["entailment"], "prompts": ["agree"]}
    models["fresh"] = {"source": "org/fresh", "revision": "a" * 40, "prompts": ["agree-text-only"]}
    models["fresh"] |= {"tasks": ["entailment"]}
    (tmp_path / "pairs.csv").write_text("left,right,text,answer\na.png,b.png,a dog,yes\n")
    study["stimuli"]["pairs"] = {"kind": "table", "file": str(tmp_path / "pairs.csv"), "labels": {"answer": {}}}
    study["stimuli"]["pairs"] |= {"prompts": ["plain"], "text_column": "text", "image_column": ["left", "right"]}
    study["prompts"]["table"] = {"plain": {"text": "{text}"}}
    study["tasks"]["pairs"] = {"stimuli": "pairs", "question": "local"}
    for name in ("shapes-llava", "shapes-llava-untrained"):
        models[name]["tasks"] = ["entailment", "snli-ve", "snli-ve-binary", "objects", "pairs"]
    models["shapes-llava-untrained"].pop("prompts")
    study |= yaml.safe_load((REPOSITORY / "config/adapters.yaml").read_text())
    with pytest.raises(InputError, match=said):
        grid_of(study | {"pooled": pooled})
