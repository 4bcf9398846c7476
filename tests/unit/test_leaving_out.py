"""A study without some of its models."""

import pytest

from layerwise.config.reading import validate
from layerwise.config.study import StudyConfig
from layerwise.errors import InputError
from layerwise.planning.leaving_out import leave_out, said_of
from layerwise.study import Study

CUT = {"cut-image": {"blocks": "upper"}}


def made(*left_out: str, **more) -> StudyConfig:
    models = {"a": {"source": "lab/a"}, "a-bypassed": {"source": "lab/a", "intervention": CUT}}
    models |= {"b": {"source": "lab/b"}, "a-twin": {"source": "lab/a", "weights": "random"}}
    config = {
        "models": models | more.pop("models", {}),
        "prompts": {},
        "leave_out": list(left_out),
        "flow": {"models": {"a": {}, "b": {}}, "questions": {"gqa": {"dataset": "gqa", "prompt": "short"}}},
        "states": {"sites_of": {"models": ["a", "b"]}},
        "probes": {"kinds_of": {"models": ["a", "b"]}},
        "specifications": {"models": ["a", "b"]},
        "used": {"tasks": ["t"], "models": ["a", "b"]},
        "tower": {"models": ["a", "b"]},
        "pooled": {"tasks": ["t"], "models": ["a", "b"]},
    }
    return validate(config | more)


def test_a_model_goes_with_its_interventions_and_flows():
    before = made("a")
    config, left_out = leave_out(before)
    assert left_out == ["a", "a-bypassed"]
    assert set(config.models) == {"b", "a-twin"}
    assert set(config.flow.models) == {"b"}
    assert config.states.sites_of.models == config.probes.kinds_of.models == config.specifications.models == ["b"]
    assert config.used.models == config.tower.models == config.pooled.models == ["b"]
    assert set(before.models) == {"a", "a-bypassed", "b", "a-twin"}, "a config is never changed"
    assert leave_out(made("a-bypassed"))[1] == ["a-bypassed"]


def test_questions_go_with_the_last_model_that_answers_them():
    assert set(leave_out(made("a"))[0].flow.questions) == {"gqa"}
    flow = leave_out(made("a", "b"))[0].flow
    assert flow.models == flow.questions == {}


def test_what_nobody_is_left_to_need_is_not_trained():
    models = {}
    for name in ("shapes", "captions"):
        models[name] = {"source": "embedded", "embedded": name}
        models[f"{name}-cut"] = models[name] | {"intervention": CUT}
        models[f"{name}-twin"] = models[name] | {"weights": "random"}
    config = made("captions", "captions-twin", models=models, embedded_models={"shapes": {}, "captions": {}})
    config, left_out = leave_out(config)
    assert left_out == ["captions", "captions-cut", "captions-twin"]
    assert set(config.embedded_models) == {"shapes"}


def test_a_curve_goes_with_the_last_model_that_has_one(study):
    study["specifications"] = {}
    study["leave_out"] = ["shapes-llava"]
    assert Study.from_config(study).grid.specification_cells() == []
    del study["leave_out"], study["models"]["shapes-llava"], study["flow"]
    with pytest.raises(InputError, match="specifications: no model has a task and a prompt"):
        Study.from_config(study)


def test_nothing_is_left_out_unasked():
    config, left_out = leave_out(made())
    assert (config, left_out) == (made(), [])
    assert said_of([]) == ""


def test_mistakes_are_named():
    with pytest.raises(InputError, match="leave_out: there is no model 'c'; models has a, a-bypassed, b, a-twin"):
        leave_out(made("c"))
    with pytest.raises(InputError, match="no model left"):
        leave_out(made("a", "b", "a-twin"))
