"""Whose output head is read at the image tokens of which pictures, and what is refused."""

import pytest
import yaml

from layerwise.errors import InputError
from layerwise.planning.lens_grid import LensCell
from layerwise.study import Study
from tests.conftest import REPOSITORY


def grid_of(config):
    return Study.from_config(config).grid


def test_models_as_they_are_read_the_pictures_that_are_meant_for_testing(study):
    bypass = {"from": 2, "into": 4, "scale": 1.0}
    study["models"]["changed"] = {"source": "embedded", "intervention": {"bypass": bypass}}
    study["models"]["drawn"] = {"source": "embedded", "weights": "random", "seeds": [3, 4, 5]}
    study["lens"] = {"stimuli": ["objects"], "pictures": 200}
    grid = grid_of(study)
    models = ["shapes-llava", "shapes-llava-untrained", "drawn-3"]
    assert [tuple(cell) for cell in grid.lens_cells()] == [(model, "objects") for model in models]
    planned = grid.planned_lens(LensCell("shapes-llava", "objects"))
    assert (planned["pictures"], planned["parts"]) == (200, ["val2017"])
    study["lens"] = {"stimuli": ["objects", "captions"], "models": ["shapes-llava"], "pictures": 3}
    assert len(grid_of(study).lens_cells()) == 2
    # A model that is left out is no longer asked for.
    study["leave_out"] = ["shapes-llava"]
    assert grid_of(study).lens_cells() == []
    del study["lens"], study["leave_out"]
    assert grid_of(study).lens_cells() == []


@pytest.mark.parametrize(
    ("lens", "said"),
    [
        ({"stimuli": ["nothing"]}, r"lens\.stimuli: there is no 'nothing'"),
        ({"stimuli": ["hypotheses"]}, r"lens\.stimuli: hypotheses is snli-ve, which has no annotated objects"),
        ({"stimuli": ["objects"], "models": ["none"]}, r"lens\.models: there is no 'none'"),
        ({"stimuli": ["objects"], "models": ["changed"]}, r"lens\.models: changed has an intervention"),
        ({"stimuli": ["objects"], "models": ["words"]}, r"lens\.models: words is a language model"),
        ({"stimuli": ["objects"], "models": ["old"]}, r"lens\.models: old runs on its authors' code"),
        ({"stimuli": ["objects"], "models": ["code"]}, r"lens\.models: code runs on its authors' code"),
        ({"stimuli": ["objects"], "models": ["drawn"]}, r"lens\.models: drawn has `seeds`"),
        ({"stimuli": []}, r"lens\.stimuli"),
        ({"stimuli": ["objects"], "pictures": 0}, r"lens\.pictures"),
    ],
)
def test_what_cannot_be_read_is_refused(study, lens, said):
    models = study["models"]
    models["changed"] = {"source": "embedded", "intervention": {"bypass": {"from": 2, "into": 4, "scale": 1.0}}}
    models["words"] = {"source": "org/words", "adapter": "text", "revision": "a" * 40, "tasks": ["entailment"]}
    models["words"] |= {"prompts": ["agree-text-only"]}
    models["old"] = {"source": "org/old", "adapter": "emu", "revision": "a" * 40}
    models["old"] |= {"tasks": ["entailment"], "prompts": ["agree"]}
    models["code"] = {"source": "org/code", "adapter": "molmo", "revision": "a" * 40, "trust_remote_code": True}
    models["drawn"] = {"source": "embedded", "weights": "random", "seeds": [3, 4, 5]}
    study |= yaml.safe_load((REPOSITORY / "config/adapters.yaml").read_text())
    with pytest.raises(InputError, match=said):
        grid_of(study | {"lens": lens})
