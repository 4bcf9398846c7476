"""Which routes a study trains, what decides them and the states behind them, and what is refused."""

import copy

import pytest

from layerwise.errors import InputError
from layerwise.planning.grid import ProbeCell
from layerwise.study import Study

ROUTE = {"kind": "map", "model": "shapes-llava", "task": "entailment", "prompt": "agree", "from": 3}


@pytest.fixture
def routed(study) -> dict:
    """The demo with a map, and a model that runs with it."""
    study["used"] = {"tasks": ["entailment"], "routes": {"up": dict(ROUTE)}}
    intervened = study["models"]["shapes-llava"] | {"intervention": {"route": {"name": "up"}}, "prompts": ["agree"]}
    study["models"]["routed"] = intervened
    return study


def changed(config: dict, **entry) -> dict:
    """The config with another entry of the route; keys of None are left out."""
    config = copy.deepcopy(config)
    route = config["used"]["routes"]["up"] | entry
    config["used"]["routes"]["up"] = {key: value for key, value in route.items() if value is not None}
    return config


def test_a_model_with_a_route_waits_for_it(routed):
    study = Study.from_config(routed)
    assert study.grid.route_cells() == {"up": ProbeCell("shapes-llava", "entailment", "agree")}
    files = study.route_files("up")
    assert study.fitted_file("routed") == files.route
    assert files.route.endswith("used/routes/shapes-llava/entailment/agree/up.safetensors")
    assert study.grid.route_of("shapes-llava") is None
    assert "fitted_by" in study.grid.planned("routed", "captions", "agree")
    assert "fitted_by" not in study.grid.planned("shapes-llava", "captions", "agree")


def test_what_decides_a_route(routed):
    def planned(config):
        return Study.from_config(config).grid.planned_route("up")

    plain = planned(routed)
    assert (plain["from"], plain["rank"], plain["kind"]) == (3, 4, "map")
    # A default that is written out changes nothing, and neither does what lies beside it.
    assert planned(changed(routed, rank=4)) == plain
    assert planned(changed(routed, rank=2)) != plain
    attention = planned(changed(routed, kind="attention"))
    assert (attention["heads"], attention["size"]) == (1, 8)
    # Its code covers the adapter, which runs the model.
    assert attention["code"] != plain["code"]
    gates = planned(changed(routed, kind="gates", **{"from": None}))
    assert not {"from", "rank", "heads", "size"} & set(gates)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"from": None}, "map needs `from`, the block that is read"),
        ({"kind": "gates"}, "gates has no `from`"),
        ({"kind": "attention", "rank": 2}, "attention has no `rank`"),
        ({"from": 0}, "must be a whole number of at least 1"),
        ({"model": "nobody"}, r"used\.routes\.up\.model: there is no 'nobody'"),
        ({"model": "routed"}, "has an intervention, and a route is trained on the model as it is"),
        ({"model": "shapes-llava-untrained"}, "has random weights, and its answers mean nothing"),
        ({"task": "nothing"}, r"used\.routes\.up\.task: there is no 'nothing'"),
        ({"prompt": "entail"}, r"used\.routes\.up\.prompt: there is no 'entail'; stimuli\.captions has"),
        ({"task": "objects", "prompt": "no-cue"}, "no-cue has no `answers` for the classes of objects"),
        ({"kind": "attention", "prompt": "agree-text-only"}, "agree-text-only shows no image, which attention reads"),
        ({"prompt": "caption"}, r"models\.routed: it is not asked caption in the task entailment"),
    ],
)
def test_a_route_that_cannot_be_trained_is_refused(routed, entry, message):
    with pytest.raises(InputError, match=message):
        Study.from_config(changed(routed, **entry))


def test_a_model_that_fits_no_route_is_refused(routed):
    routed["models"]["routed"]["intervention"]["route"]["name"] = "down"
    with pytest.raises(InputError, match=r"intervention\.route\.name: there is no 'down'; `used\.routes` has up"):
        Study.from_config(routed)
    routed["models"]["routed"]["intervention"]["route"]["name"] = "up"
    other = {**routed["models"]["shapes-llava"], "dtype": "bfloat16"}
    routed["models"] |= {"halved": other, "routed": {**routed["models"]["routed"], "dtype": "bfloat16"}}
    with pytest.raises(InputError, match="up is trained on shapes-llava, and this entry differs from it"):
        Study.from_config(routed)


def test_a_route_that_reads_the_image_needs_one_in_every_prompt(routed):
    routed["models"]["routed"]["prompts"] = ["agree", "agree-text-only"]
    Study.from_config(routed)
    with pytest.raises(InputError, match=r"agree-text-only of stimuli\.captions shows no image, which its route reads"):
        Study.from_config(changed(routed, kind="attention"))


def test_a_route_is_left_out_with_its_model(routed):
    study = Study.from_config(routed, leave_out=["shapes-llava"])
    assert study.grid.route_cells() == {}
    assert "routed" not in study.config.models
