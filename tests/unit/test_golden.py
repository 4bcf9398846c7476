"""Numbers that every release must give, and which code counts as the same by them."""

import json

import pytest

from layerwise import code_digest as module
from tests.conftest import REPOSITORY
from tests.golden import __main__ as tool
from tests.golden.computed import (
    differences,
    of_fitted,
    of_flow,
    of_interventions,
    of_probes,
    of_questions,
    of_states,
)


@pytest.mark.slow
def test_states_and_scores_are_the_golden_ones(tmp_path, tiny_llava):
    """If this fails on purpose: ``python -m tests.golden --new states`` (or probes), and say so in CHANGELOG.md."""
    states = of_states(tmp_path, tiny_llava)
    assert differences(states, "states") == []
    assert differences(of_interventions(tmp_path, tiny_llava), "interventions") == []
    assert differences(of_fitted(tmp_path, tiny_llava), "fitted") == []
    assert differences(of_probes(tmp_path), "probes") == []
    assert differences(of_questions(tmp_path), "questions") == []
    assert differences(of_flow(tmp_path, tiny_llava), "flow") == []
    # A difference would show.
    name = next(name for name in states if name.endswith("last"))
    states[name] = states[name] * 1.001
    (said,) = differences(states, "states")
    assert said.startswith(f"{name} differs by ")


def test_what_is_listed_gives_the_numbers_that_are_kept():
    """New numbers end old lists, so that none is left that was compared with others."""
    listed = json.loads(module.SAME_CODE.read_text())
    assert set(tool.PROGRAMS) <= set(listed)
    for name in set(listed) - set(tool.PROGRAMS):
        assert (REPOSITORY / "scripts" / f"{name.partition(' ')[0]}.py").is_file()
    for program in tool.PROGRAMS:
        assert listed[program]["golden"] == tool.golden_of(program), f"python -m tests.golden --new {program}"


def test_listed_code_counts_as_the_one_that_it_equals(tmp_path, monkeypatch):
    own = module.own_digest("fit_probes.py")
    monkeypatch.setattr(module, "SAME_CODE", tmp_path / "same.json")

    def counts_as(same):
        listed = {"probes": {"stands_for_all": "older", "same": same, "golden": ""}}
        (tmp_path / "same.json").write_text(json.dumps(listed))
        return module.code_digest.__wrapped__("fit_probes.py")

    assert counts_as(["another", own]) == "older"
    assert counts_as(["another"]) == own
