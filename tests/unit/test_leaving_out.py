"""A study without some of its models."""

import pytest

from layerwise.errors import InputError
from layerwise.leaving_out import leave_out, said_of


def entry(source: str, **more) -> dict:
    return {"source": source, "weights": "pretrained"} | more


def study(*left_out: str) -> dict:
    models = {"a": entry("lab/a"), "a-bypassed": entry("lab/a", intervention={}), "b": entry("lab/b")}
    models["a-twin"] = entry("lab/a") | {"weights": "random"}
    where_else = {
        "flow": {"models": {"a": {}, "b": {}}, "questions": {"gqa": {}}},
        "states": {"sites_of": {"models": ["a", "b"]}},
    }
    return {"models": models, "embedded_models": {}, "seed": 0, "leave_out": list(left_out)} | where_else


def test_a_model_goes_with_its_interventions_and_flows():
    config = study("a")
    assert leave_out(config) == ["a", "a-bypassed"]
    assert set(config["models"]) == {"b", "a-twin"}
    assert set(config["flow"]["models"]) == {"b"}
    assert config["states"]["sites_of"]["models"] == ["b"]
    config = study("a-bypassed")
    assert leave_out(config) == ["a-bypassed"]


def test_questions_go_with_the_last_model_that_answers_them():
    config = study("a")
    leave_out(config)
    assert config["flow"]["questions"] == {"gqa": {}}
    config = study("a", "b")
    leave_out(config)
    assert config["flow"] == {"models": {}, "questions": {}}


def test_what_nobody_is_left_to_need_is_not_trained():
    config = study("captions", "captions-twin") | {"embedded_models": {"shapes": {}, "captions": {}}}
    for name in config["embedded_models"]:
        config["models"][name] = entry("embedded", embedded=name)
        config["models"][f"{name}-cut"] = entry("embedded", embedded=name, intervention={})
        config["models"][f"{name}-twin"] = entry("embedded", embedded=name, weights="random")
    assert leave_out(config) == ["captions", "captions-cut", "captions-twin"]
    assert set(config["embedded_models"]) == {"shapes"}


def test_nothing_is_left_out_unasked():
    config = study()
    assert leave_out(config) == []
    assert set(config["models"]) == {"a", "a-bypassed", "b", "a-twin"}
    assert said_of([]) == ""


def test_mistakes_are_named():
    with pytest.raises(InputError, match="leave_out: there is no model 'c'; models has a, a-bypassed, b, a-twin"):
        leave_out(study("c"))
    with pytest.raises(InputError, match="no model left"):
        leave_out(study("a", "b", "a-twin"))
