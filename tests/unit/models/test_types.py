"""Models by their type: refused by name from config.json alone, unknown to transformers, or without a row."""

import json
import logging

import pytest
import torch
from transformers import CONFIG_MAPPING, __version__

from layerwise.errors import InputError
from layerwise.models import families
from layerwise.models.opening import open_model
from layerwise.models.registration import describe_model
from tests.families.measure import POSITIONS, PROMPTS, pictures
from tests.hub import COMMIT, Hub, in_process, serve

ENTRY = {"weights": "pretrained", "dtype": "float32", "adapter": "generic", "conversation": "auto"}
# Those that transformers knows; tests/unit/models/test_family_rows.py has the others.
REFUSED = {name: row.refused for name, row in families.FAMILIES.items() if row.refused and name in CONFIG_MAPPING}


def described(folder, **more):
    return describe_model("m", ENTRY | {"source": str(folder)} | more, None, seed=0)


def config_of(model_type, folder):
    """A folder with nothing but the configuration of a type."""
    CONFIG_MAPPING[model_type]().save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["model_type"] == model_type
    return folder


@pytest.fixture
def git_is_refused(monkeypatch):
    """Whatever the table says of it."""
    row = families.Family(refused="this test refuses it")
    monkeypatch.setattr(families, "FAMILIES", {**families.FAMILIES, "git": row})


@pytest.mark.parametrize("model_type", REFUSED)
def test_a_refused_type_is_named_with_the_reason(model_type, tmp_path):
    with pytest.raises(InputError) as refusal:
        described(config_of(model_type, tmp_path))
    assert str(refusal.value) == f"models.m: a model of type {model_type} is not served: {REFUSED[model_type]}"


@pytest.mark.parametrize("more", [{}, {"weights": "random"}, {"trust_remote_code": True}], ids=str)
def test_a_row_refuses_a_type_whatever_the_entry_says(git_is_refused, tmp_path, more):
    with pytest.raises(InputError, match=r"^models\.m: a model of type git is not served: this test refuses it$"):
        described(config_of("git", tmp_path), **more)


REGISTER = """
import json, sys
from layerwise.jobs.command import run
from layerwise.models import families
from layerwise.models.registration import describe_model
families.FAMILIES = {**families.FAMILIES, "git": families.Family(refused="this test refuses it")}
run(lambda: describe_model("m", json.loads(sys.argv[1]), None, 0))
"""


@pytest.mark.parametrize("revision", [None, COMMIT])
def test_nothing_but_the_configuration_is_downloaded_of_a_refused_type(tmp_path, revision):
    config = (config_of("git", tmp_path) / "config.json").read_bytes()
    entry = ENTRY | {"source": "lab/git", "revision": revision}
    with serve(Hub("lab/git", {"config.json": config, "tokenizer.json": b"{}", "model.safetensors": b"large"})) as hub:
        done = in_process(hub, tmp_path, ["-c", REGISTER, json.dumps(entry)])
        assert done.returncode == 1
        assert "error: models.m: a model of type git is not served: this test refuses it" in done.stderr
        assert list(hub.sent) == ["config.json"]


@pytest.mark.parametrize("model_type", ["vit", "qwen2_audio"])
def test_a_type_that_reads_no_pictures_is_told_so(tmp_path, model_type):
    folder = config_of(model_type, tmp_path)
    # Not even its weights are looked at.
    (folder / "model.safetensors").write_bytes(b"none")
    with pytest.raises(
        InputError, match=rf"models\.m: transformers {__version__} loads no model of type {model_type} as"
    ):
        described(folder)


@pytest.mark.parametrize(
    ("more", "fix"),
    [
        ({}, "if a newer release knows it, install that one in place of the pinned one"),
        ({"auto_map": {"AutoConfig": "configuration.Config"}}, "code that comes with it runs with `trust_remote_code:"),
    ],
)
def test_a_type_that_transformers_does_not_know_is_told_so(tmp_path, more, fix):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llava_of_2030"} | more))
    with pytest.raises(
        InputError, match=rf"models\.m: transformers {__version__} knows no type llava_of_2030 .*; {fix}"
    ):
        described(tmp_path)


@pytest.mark.parametrize("config", [b"[]", b"{}", b'{"model_type": 3}', b"\xff", b"{"])
def test_a_damaged_configuration_is_told_by_what_reads_all_of_it(tmp_path, config):
    (tmp_path / "config.json").write_bytes(config)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(InputError, match=r"models\.m: .*config\.json"):
        described(tmp_path)


def test_a_type_without_a_row_is_served_with_the_defaults_and_a_warning(tiny_llava, monkeypatch, caplog):
    """As one that transformers adds later."""
    usual = open_model(described(tiny_llava), "cpu")
    assert "no test covers" not in caplog.text
    rows = {model_type: row for model_type, row in families.FAMILIES.items() if model_type != "llava"}
    for module in ("families", "type_checks"):
        monkeypatch.setattr(f"layerwise.models.{module}.FAMILIES", rows)
    with caplog.at_level(logging.WARNING):
        description = described(tiny_llava)
    assert "models.m: no test covers models of type llava yet. It runs with the defaults" in caplog.text
    model = open_model(description, "cpu")
    assert usual.shares_prefix
    assert not model.shares_prefix
    states, again = (one.states(pictures(), PROMPTS[:2], POSITIONS) for one in (usual, model))
    assert all(torch.equal(states[position], again[position]) for position in POSITIONS)
