"""The table of model families: a changed row makes stale what it changes, and nothing else."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from layerwise import code_digest as module
from layerwise.errors import InputError
from layerwise.models import families
from layerwise.models.registration import describe_model
from tests.families.queries import kosmos2
from tests.family_rows import RECORD, deciding

ENTRY = {"weights": "pretrained", "dtype": "float32", "adapter": "generic", "conversation": "auto"}
DECIDE = """
The rows of layerwise/models/families.py for {types} now say something else that decides numbers.
If models of such a type gave other numbers before, raise the type's number in layerwise/models/family_revisions.py:
their cells are then computed again, and nothing else is. If no such model was run, or its numbers stay, change nothing.
Then keep the decision: python -m tests.family_rows
"""


def test_a_changed_row_was_decided_on():
    recorded, said = json.loads(RECORD.read_text()), deciding()
    changed = [name for name in sorted({*recorded, *said}) if recorded.get(name) != said.get(name)]
    assert not changed, DECIDE.format(types=", ".join(changed))


def test_the_record_sees_what_decides_numbers_and_nothing_else(monkeypatch):
    before = deciding()

    def with_row(model_type, **changes):
        row = replace(families.family_of(model_type), **changes)
        monkeypatch.setattr(families, "FAMILIES", {**families.FAMILIES, model_type: row})
        return deciding()

    assert with_row("llava", needs_image="is new", not_shared="is new", cut_leaks="is new") == before
    assert with_row("llava", patches="tiled")["llava"] != before["llava"]
    assert with_row("brand-new", writes_begin=True)["brand-new"] == {"writes_begin": True, "revision": 0}


def test_a_revision_makes_other_models_of_its_family_alone(tiny_llava, monkeypatch):
    """Those that were registered before there were revisions have 0, and stay what they are."""
    entry = ENTRY | {"source": str(tiny_llava)}
    plain = describe_model("m", entry, None, 0)
    for revisions, same in (({"gemma3": 1}, True), ({"llava": 0}, True), ({"llava": 1}, False)):
        monkeypatch.setattr("layerwise.models.registration.REVISIONS", revisions)
        described = describe_model("m", entry, None, 0)
        assert (described["digest"] == plain["digest"]) is same
        assert described | {"digest": plain["digest"]} == plain


def test_models_are_registered_again_by_a_revision_and_by_no_row():
    """Or a description from before would stay, and with it the states."""

    def covered(*programs):
        files = module._closure([module.SCRIPTS / program for program in programs])
        return {str(file.relative_to(module.SCRIPTS)) for file in files}

    register = covered("register_model.py")
    runs = covered("extract_states.py", "trace_flow.py", "layerwise/models/adapters/generic.py")
    assert "layerwise/models/family_revisions.py" in register - runs
    assert "layerwise/models/families.py" not in register | runs


def test_a_family_with_an_adapter_of_its_own_is_told_so(tmp_path):
    for part in kosmos2():
        part.save_pretrained(tmp_path)
    entry = ENTRY | {"source": str(tmp_path)}
    with pytest.raises(InputError, match=r"models\.k\.adapter: a model of type kosmos-2 needs `adapter: kosmos2`"):
        describe_model("k", entry, None, 0)
    assert describe_model("k", entry | {"adapter": "kosmos2"}, None, 0)["model_type"] == "kosmos-2"


def test_families_that_transformers_does_not_know_are_named_before_it_is_asked(tmp_path):
    """By their type, or by an architecture under no type or another family's."""
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")

    def said(**config) -> str:
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(InputError) as refusal:
            describe_model("m", ENTRY | {"source": str(tmp_path)}, None, 0)
        return str(refusal.value)

    assert said(model_type="molmo") == "models.m.adapter: a model of type molmo needs `adapter: molmo`"
    minicpm = said(model_type="minicpmv")
    assert minicpm.startswith("models.m: a model of type minicpmv is not served: it runs on its authors' code, written")
    assert "transformers 4.36" in minicpm
    for architecture, family in families.ARCHITECTURES.items():
        for other in ({}, {"model_type": "llava"}):
            refused = said(architectures=[architecture], **other)
            assert refused == f"models.m: a model of type {family} is not served: {families.family_of(family).refused}"
            assert families.family_of(family).refused
    # Files that say no type are left to transformers.
    for config in ({"architectures": None}, {}):
        assert "has no config.json that transformers knows" in said(**config)
    for text in ("[]", "{"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(InputError, match=r"config\.json"):
            describe_model("m", ENTRY | {"source": str(tmp_path)}, None, 0)
