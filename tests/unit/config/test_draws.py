"""Several draws of an untrained twin: an entry with `seeds` is one model per seed wherever models run."""

import pytest

from layerwise.config.reading import validate
from layerwise.errors import InputError
from layerwise.planning.grid import Grid
from layerwise.planning.leaving_out import leave_out

TWIN = {"source": "lab/a", "weights": "random"}


def study(more=None, **sections):
    return validate({"models": {"a": {"source": "lab/a"}, "twin": TWIN | {"seeds": [3, 1, 2]}} | (more or {}),
                     "prompts": {}} | sections)  # fmt: skip


def test_an_entry_with_seeds_becomes_one_model_per_seed_in_its_place():
    config = study({"b": {"source": "lab/b"}})
    assert list(config.models) == ["a", "twin-3", "twin-1", "twin-2", "b"]
    drawn = config.models["twin-1"]
    # The entry that a user would write by hand, so that its recipe and its states are the same.
    assert drawn.entry() == validate({"models": {"x": TWIN | {"seed": 1}}, "prompts": {}}).models["x"].entry()
    assert Grid(config).draws() == {"twin-3": "twin", "twin-1": "twin", "twin-2": "twin"}


def test_twins_are_of_the_same_architecture_and_input():
    others = {
        "a-cut": {"source": "lab/a", "intervention": {"cut-image": {"blocks": "upper"}}},
        "a-again": {"source": "lab/a", "dtype": "float16"},
        "b": {"source": "lab/b"},
        "other-words": {"source": "lab/a", "conversation": "<image>{prompt}"},
    }
    draws = ["twin-3", "twin-1", "twin-2"]
    assert Grid(study(others)).twins() == {"a": draws, "a-again": draws}


def test_leaving_out_the_entry_leaves_out_all_its_draws():
    config, left_out = leave_out(study(leave_out=["twin"]))
    assert (list(config.models), left_out) == (["a"], ["twin-1", "twin-2", "twin-3"])
    assert leave_out(study(leave_out=["twin-1"]))[1] == ["twin-1"]


def test_draws_keep_no_sites():
    config = study(states={"sites": ["block", "mlp"]})
    assert [Grid(config).sites(model, "p") for model in config.models] == [["mlp"], [], [], []]


@pytest.mark.parametrize(
    ("models", "sections", "message"),
    [
        ({"twin-1": {"source": "lab/b"}}, {}, "models: 'twin-1' is the name of two models"),
        ({"twin": TWIN | {"seeds": [0, 1, 2], "seed": 1}}, {}, "models.twin: `seed` and `seeds` exclude each other"),
        ({"twin": {"source": "lab/a", "seeds": [0, 1, 2]}}, {}, "models.twin.seeds: they draw random weights; add"),
        ({"twin": TWIN | {"seeds": [0, 1]}}, {}, "models.twin.seeds: must have at least 3 values"),
        ({"twin": TWIN | {"seeds": [0, 1, 1]}}, {}, "models.twin.seeds: 1 is there twice"),
        ({}, {"states": {"sites_of": {"models": ["twin"]}}}, "states.sites_of.models: twin has `seeds`"),
        ({}, {"probes": {"kinds_of": {"models": ["twin"]}}}, "probes.kinds_of.models: twin has `seeds`"),
        ({}, {"specifications": {"models": ["twin"]}}, "specifications.models: twin has `seeds`"),
    ],
)
def test_mistakes_are_named(models, sections, message):
    with pytest.raises(InputError, match=message):
        study(models, **sections)
