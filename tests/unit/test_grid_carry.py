"""Which kept probes read which states, and what is refused when a study is planned."""

import json

import pytest

from layerwise.compare.statistics.answered import named_cells
from layerwise.errors import InputError
from layerwise.planning.grid import CarriedFrom, ProbeCell, as_patterns, in_short
from layerwise.probes.carrying import Carried
from layerwise.study import Study

SAME = {"match": "entailment", "mismatch": "contradiction"}
TWICE = {"match": "contradiction", "mismatch": "contradiction"}
BACK = {"entailment": "match", "contradiction": "mismatch"}


def carried(config, model, task):
    return Study.from_config(config).grid.carried(model, task)


def test_probes_are_carried_between_all_prompts_of_a_task(study):
    found = carried(study, "shapes-llava", "entailment")
    prompts = study["stimuli"]["captions"]["prompts"]
    assert {(each.prompt, each.source.prompt) for each in found} == {(a, b) for a in prompts for b in prompts if a != b}
    assert {(each.kind, each.source.model, each.source.task) for each in found} == {
        ("prompts", "shapes-llava", "entailment")
    }


def test_versions_are_read_by_the_model_as_it_is(study):
    study["models"]["four-bits"] = {"source": "embedded", "quantization": "4bit"}
    study["models"]["bypassed"] = {"source": "embedded", "intervention": {"bypass": {"from": 1, "scale": 1.0}}}
    study["carry"] = {"prompts": False}
    grid = Study.from_config(study).grid
    for version in ("four-bits", "bypassed", "shapes-llava-untrained"):
        (found, *_) = grid.carried(version, "snli-ve")
        assert found == CarriedFrom("versions", "statement", ProbeCell("shapes-llava", "snli-ve", "statement"))
    assert grid.carried("shapes-llava", "snli-ve") == []
    # They have no map of their own, but are columns of the model's.
    assert grid.source_models() == ["shapes-llava"]
    assert set(grid.carried_models()) == {"four-bits", "shapes-llava-untrained", "shapes-llava"}
    # An intervention has nothing but that.
    study["carry"] = {}
    assert {each.kind for each in carried(study, "bypassed", "snli-ve")} == {"versions"}


def test_tasks_of_the_same_classes_exchange_probes_both_ways_unless_told_otherwise(study):
    pair = {"from": "entailment", "to": "snli-ve-binary", "classes": SAME}
    study["carry"] = {"prompts": False, "versions": False, "tasks": [pair]}
    there, back = (carried(study, "shapes-llava", task) for task in ("snli-ve-binary", "entailment"))
    assert {(each.kind, each.source.task, tuple(each.classes.items())) for each in there} == {
        ("tasks", "entailment", tuple(SAME.items()))
    }
    assert {tuple(each.classes.items()) for each in back} == {tuple(BACK.items())}
    assert len(there) == len(back) == 9
    pair["back"] = False
    assert carried(study, "shapes-llava", "entailment") == []


def test_a_prompt_that_negates_flips_classes(study):
    study["prompts"]["coco-entailment"]["caption"] |= {
        "negates": True,
        "answers": {"match": ["no"], "mismatch": ["yes"]},
    }
    by_prompts = {(each.prompt, each.source.prompt): each for each in carried(study, "shapes-llava", "entailment")}
    swapped = {"match": "mismatch", "mismatch": "match"}
    assert by_prompts["caption", "agree"].flipped == by_prompts["agree", "caption"].flipped == swapped
    assert by_prompts["agree", "agree-text-only"].flipped is None
    # Of three classes the answers tell which is which, and without them nothing does.
    answers = {"entailment": ["no"], "neutral": ["maybe"], "contradiction": ["yes"]}
    study["prompts"]["snli-ve"]["entail"] |= {"negates": True, "answers": answers}
    of_three = {"entailment": "contradiction", "neutral": "neutral", "contradiction": "entailment"}

    def flipped():
        found = carried(study, "shapes-llava", "snli-ve")
        return next(each.flipped for each in found if (each.prompt, each.source.prompt) == ("entail", "statement"))

    assert flipped() == of_three
    del study["prompts"]["snli-ve"]["entail"]["answers"]
    assert flipped() is None


def test_a_prompt_over_ones_own_table_flips_the_classes_that_have_answers(study, tmp_path):
    (tmp_path / "own.csv").write_text("image,rising\na.png,up\nb.png,down\n")
    entry = {"kind": "table", "file": str(tmp_path / "own.csv"), "labels": ["rising"], "prompts": ["rises", "falls"]}
    study["stimuli"]["own"], study["tasks"]["own"] = entry, {"stimuli": "own", "question": "local"}
    prompts = {"rises": {"text": "Is it rising?"}, "falls": {"text": "Is it falling?", "negates": True}}
    study["prompts"]["table"] = prompts
    assert {each.flipped for each in carried(study, "shapes-llava", "own")} == {None}
    prompts["rises"]["answers"] = {"up": ["yes"], "down": ["no"]}
    prompts["falls"]["answers"] = {"up": ["no"], "down": ["yes"]}
    assert [each.flipped for each in carried(study, "shapes-llava", "own")] == 2 * [{"up": "down", "down": "up"}]


def test_nothing_is_carried_without_kept_probes(study):
    study["probes"] = {"keep": False}
    study["carry"] = {"labels": ["objects"]}
    checked = Study.from_config(study)
    assert checked.grid.carried_cells() == checked.grid.carried_models() == checked.grid.source_models() == []
    assert [note for note in checked.notes if "carry has no effect" in note]


def test_options_of_a_job_are_short_and_say_all(study):
    found = carried(study, "shapes-llava", "entailment")
    entries = in_short(found)
    assert len(entries) == 3
    assert [tuple(vars(each).values()) for entry in entries for each in Carried.of(entry)] == [
        (each.kind, each.prompt, tuple(each.source), each.classes, each.flipped) for each in found
    ]


def test_cells_of_a_large_study_fit_into_one_argument():
    """Linux allows 128 KiB."""
    cells = [
        ProbeCell(f"a-model-{m}", f"some-task-{t}", f"some-prompt-{p}")
        for m in range(50)
        for t in range(10)
        for p in range(10 if m % 25 else 20)
    ]
    patterns = as_patterns(cells)
    assert [ProbeCell(*cell) for cell in named_cells(patterns)] == cells
    assert len(json.dumps(patterns)) < 2**17 / 8


def test_numbers_are_not_carried(study):
    study["tasks"]["centre"] = {"stimuli": "objects", "question": "local", "knowledge": {"about": "asked-centre"}}
    study["tasks"]["centre"]["metric"] = "r2"
    for carry, key in (
        ({"labels": ["centre"]}, "labels"),
        ({"tasks": [{"from": "entailment", "to": "centre"}]}, "tasks.0.to"),
    ):
        with pytest.raises(InputError, match=f"carry.{key}: centre is about numbers"):
            Study.from_config(study | {"carry": carry})


@pytest.mark.parametrize(
    ("carry", "said"),
    [
        ({"tasks": [{"from": "entailment", "to": "none"}]}, "there is no 'none'"),
        ({"tasks": [{"from": "entailment", "to": "entailment"}]}, "name two tasks"),
        ({"tasks": [{"from": "entailment", "to": "snli-ve"}]}, "say which mean the same"),
        ({"tasks": [{"from": "entailment", "to": "snli-ve", "classes": {"match": "entailment"}}]}, "two classes"),
        (
            {"tasks": [{"from": "entailment", "to": "snli-ve", "classes": SAME | {"match": "contradiction"}}]},
            "each once",
        ),
        ({"tasks": [{"from": "entailment", "to": "snli-ve", "classes": SAME | {"match": "yes"}}]}, "no class 'yes'"),
        ({"tasks": [{"from": "snli-ve", "to": "entailment", "classes": SAME}]}, "snli-ve has no class 'match'"),
        ({"labels": ["entailment"]}, "only one label"),
        ({"labels": ["none"]}, "there is no 'none'"),
    ],
)
def test_what_cannot_be_carried_is_refused_when_planned(study, carry, said):
    study["carry"] = carry
    with pytest.raises(InputError, match=said):
        Study.from_config(study)
