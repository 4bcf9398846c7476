"""In which cells layers are measured, and what is refused."""

from pathlib import Path

import pytest

from layerwise.cost.estimate import estimate_states
from layerwise.cost.likeness import likeness_cost
from layerwise.errors import InputError
from layerwise.study import Study


def cells_of(config):
    return [tuple(cell) for cell in Study.from_config(config).grid.likeness_cells()]


def test_one_prompt_with_pictures_and_one_without_stand_for_a_set(study):
    trained, untrained = "shapes-llava", "shapes-llava-untrained"
    wanted = [(trained, "captions", "agree"), (trained, "captions", "agree-text-only")]
    wanted += [(trained, "hypotheses", "statement"), (trained, "hypotheses", "statement-text-only")]
    wanted += [(trained, "objects", "no-cue")]
    wanted += [
        (untrained, "captions", "agree"),
        (untrained, "hypotheses", "statement"),
        (untrained, "objects", "no-cue"),
    ]
    assert cells_of(study) == wanted
    # That which most models are asked.
    study["models"][untrained]["prompts"] = ["caption", "statement", "category"]
    assert cells_of(study)[:2] == [(trained, "captions", "caption"), (trained, "captions", "agree-text-only")]
    study["likeness"] = {"prompts": ["entail", "agree"]}
    assert cells_of(study) == [(trained, "captions", "agree"), (trained, "hypotheses", "entail")]
    study["likeness"] = {"models": [untrained]}
    assert {model for model, _, _ in cells_of(study)} == {untrained}


def test_changed_models_have_none_and_states_that_are_not_kept_are_left_alone(study, tmp_path):
    study["pathvars"] = {"results": str(tmp_path)}
    study["models"]["changed"] = {
        "source": "embedded",
        "intervention": {"bypass": {"from": 2, "into": 4, "scale": 1.0}},
    }
    assert {model for model, _, _ in cells_of(study)} == {"shapes-llava", "shapes-llava-untrained"}
    study["states"] = {"keep": False}
    assert Study.from_config(study).likeness_cells() == []
    study["likeness"] = {"measured": True}
    assert Study.from_config(study).likeness_cells() == Study.from_config(study).grid.likeness_cells() != []
    study["states"], study["likeness"] = {"keep": True}, {"measured": False}
    assert Study.from_config(study).likeness_cells() == []


@pytest.mark.parametrize(
    ("likeness", "error"),
    [
        ({"models": ["lava"]}, r"likeness\.models: .*lava"),
        ({"prompts": ["agree", "disagree"]}, r"likeness\.prompts: .*disagree"),
        ({"models": ["shapes-llava-untrained"], "prompts": ["agree-text-only"]}, "likeness: no model is asked such"),
        ({"items": 7}, "at least 8"),
    ],
)
def test_what_is_not_there_is_refused(study, likeness, error):
    study["likeness"] = likeness
    with pytest.raises(InputError, match=error):
        Study.from_config(study)


def test_a_model_that_is_left_out_is_not_asked_for(study):
    study["likeness"] = {"models": ["shapes-llava", "shapes-llava-untrained"]}
    study["leave_out"] = ["shapes-llava"]
    assert {model for model, _, _ in cells_of(study)} == {"shapes-llava-untrained"}


def test_states_that_were_deleted_are_not_made_again(study, tmp_path):
    study["pathvars"] = {"results": str(tmp_path)}
    made = Study.from_config(study)
    cell, *others = made.likeness_cells()
    scores = Path(made.scores_file(made.grid.probe_cells()[0]))
    scores.parent.mkdir(parents=True)
    scores.touch()
    # The others were never run.
    assert made.likeness_cells() == others
    for there in (*made.states_files(*cell), made.likeness_files(cell).grams):
        Path(there).parent.mkdir(parents=True, exist_ok=True)
        Path(there).touch()
        assert made.likeness_cells() == [cell, *others]
        Path(there).unlink()
    study["likeness"] = {"measured": True}
    assert Study.from_config(study).likeness_cells() == [cell, *others]


def test_it_costs_the_products_of_items_and_layers(study, tmp_path):
    expected = {"layers": 32, "width": 4096, "parameters": 7, "vision_parameters": 0.3, "image_tokens": 576}
    del study["embedded_models"], study["flow"]
    study["pathvars"] = {"results": str(tmp_path)}
    entry = {"source": "some/model", "expected": expected, "prompts": ["agree", "statement", "no-cue"]}
    study["models"] = {"one": entry, "other": entry | {"source": "other/model"}}
    made = Study.from_config(study)
    flop, stored = likeness_cost(made, estimate_states(made, "cuda"))
    # Six cells of 34 layers, both scalings, and half of all pairs of 300 items.
    assert stored == 6 * 34 * 2 * 300**2 / 2 * 4
    # By set: each model with itself, and the two.
    assert flop == 6 * 34 * 2 * 2 * 300**2 * 4096 + 3 * 3 * 2 * 6 * 34**2 * 300**2
