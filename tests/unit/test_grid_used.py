"""Which cells have a concept and a sweep, what decides them, and what is refused when a study is planned."""

import copy
import json

import pytest

from layerwise.errors import InputError
from layerwise.planning.grid import ProbeCell
from layerwise.study import Study

RELATIONS = {
    "kind": "coco-relations",
    "dataset": "shapes-coco",
    "images": {"train2017": "all", "val2017": "all"},
    "prompts": ["statement-left-of", "statement-above", "where"],
}


@pytest.fixture
def used(study) -> dict:
    """The demo with two used tasks."""
    return study | {"used": {"tasks": ["entailment", "objects"]}}


def cells(config: dict) -> list[tuple[str, str, str]]:
    return [tuple(cell) for cell in Study.from_config(config).grid.used_cells()]


def sweep(config: dict) -> dict:
    return Study.from_config(config).grid.planned_sweep(ProbeCell("shapes-llava", "entailment", "agree"))


def test_a_cell_is_a_model_and_a_prompt_that_asks_for_the_classes_of_a_task(used):
    found = cells(used)
    assert found == [
        ("shapes-llava", "entailment", "agree"),
        ("shapes-llava", "entailment", "caption"),
        ("shapes-llava", "entailment", "agree-text-only"),
        # The other two prompts over objects ask for no category, or for all.
        ("shapes-llava", "objects", "category"),
        # The twin is asked one wording.
        ("shapes-llava-untrained", "entailment", "agree"),
        ("shapes-llava-untrained", "objects", "category"),
    ]
    grid = Study.from_config(used).grid
    assert [tuple(cell) for cell in grid.concept_cells()] == found
    used["used"] |= {"prompts": ["agree", "category"], "models": ["shapes-llava"]}
    assert cells(used) == [found[0], found[3]]
    assert cells({key: value for key, value in used.items() if key != "used"}) == []


def test_a_prompt_with_answers_to_all_categories_at_once_asks_for_none_of_them(used):
    listed = used["prompts"]["coco-objects"]["category-list"]
    listed["answers"] = {"present": ["yes"], "absent": ["no"]}
    assert ("shapes-llava", "objects", "category-list") not in cells(used)
    listed["text"] = "Is {category} in the image?"
    assert ("shapes-llava", "objects", "category-list") in cells(used)


def test_answers_for_more_classes_than_a_task_has_are_enough_and_for_fewer_are_not(used):
    used["used"] = {"tasks": ["snli-ve-binary"]}
    prompts = {prompt for _, _, prompt in cells(used)}
    assert prompts == set(used["stimuli"]["hypotheses"]["prompts"])
    del used["prompts"]["snli-ve"]["statement"]["answers"]["contradiction"]
    assert {prompt for _, _, prompt in cells(used)} == prompts - {"statement"}


def test_words_that_differ_between_items_are_not_read(used):
    agree = used["prompts"]["coco-entailment"]["agree"]
    agree |= {"answers": {"match": ["{text}"], "mismatch": ["no"]}, "generate": 3}
    assert "agree" not in {prompt for _, _, prompt in cells(used)}


def test_a_relation_is_asked_by_its_own_prompts(used):
    used["stimuli"]["relations"] = RELATIONS
    for name in ("left-right", "above-below"):
        used["tasks"][name] = {"stimuli": "relations", "question": "local", "labels": [name]}
    used["used"] = {"tasks": ["left-right", "above-below"], "models": ["shapes-llava"]}
    assert [cell[1:] for cell in cells(used)] == [
        ("left-right", "statement-left-of"),
        ("left-right", "where"),
        ("above-below", "statement-above"),
        ("above-below", "where"),
    ]


def test_the_classes_of_a_table_are_known_only_when_it_is_read(used, tmp_path):
    (tmp_path / "own.csv").write_text("image,rising,even\na.png,up,up\nb.png,down,down\n")
    own = {"kind": "table", "file": str(tmp_path / "own.csv"), "labels": ["rising"], "prompts": ["describe"]}
    used["stimuli"]["own"], used["tasks"]["own"] = own, {"stimuli": "own", "question": "local"}
    used["used"] = {"tasks": ["own"], "models": ["shapes-llava"]}
    with pytest.raises(InputError, match=r"used.tasks: own: no prompt of stimuli.own asks for its classes; name one"):
        cells(used)
    used["prompts"]["table"]["describe"]["answers"] = {"up": ["rises"], "down": ["falls"]}
    assert cells(used) == [("shapes-llava", "own", "describe")]
    own["labels"].append("even")
    with pytest.raises(InputError, match=r"used.tasks: own has several labels for an item"):
        cells(used)
    used["tasks"]["own"]["labels"] = ["rising"]
    assert cells(used) == [("shapes-llava", "own", "describe")]


def test_models_run_by_default_on_the_generic_adapter_and_are_asked_what_they_can_see(used):
    used["models"] |= {
        "language": {"source": "lab/words", "adapter": "text"},
        "other": {"source": "lab/other", "adapter": "kosmos2"},
        "authors": {"source": "lab/authors", "adapter": "qwen_vl"},
        "bypassed": used["models"]["shapes-llava"] | {"intervention": {"bypass": {"from": 1, "scale": 1.0}}},
    }
    used["adapters"] = {"qwen_vl": {"environment": "legacy"}}
    used["models"]["authors"]["prompts"] = ["agree"]
    assert {model for model, _, _ in cells(used)} == {"shapes-llava", "shapes-llava-untrained", "language"}
    assert [cell for cell in cells(used) if cell[0] == "language"] == [("language", "entailment", "agree-text-only")]
    used["used"]["models"] = ["other"]
    assert {model for model, _, _ in cells(used)} == {"other"}


def test_other_concepts_are_those_of_every_other_used_task_in_the_same_model(used):
    used["used"]["tasks"].append("snli-ve-binary")
    grid = Study.from_config(used).grid
    found = grid.other_concepts(ProbeCell("shapes-llava", "entailment", "caption"))
    assert {name: tuple(cell) for name, cell in found.items()} == {
        "snli-ve-binary/statement": ("shapes-llava", "snli-ve-binary", "statement"),
        "objects/category": ("shapes-llava", "objects", "category"),
    }
    # The first used prompt of entailment, in this model.
    twin = grid.other_concepts(ProbeCell("shapes-llava-untrained", "objects", "category"))
    assert list(twin) == ["entailment/agree", "snli-ve-binary/statement"]
    assert {cell.model for cell in twin.values()} == {"shapes-llava-untrained"}
    used["used"] = {"tasks": ["entailment"]}
    assert Study.from_config(used).grid.other_concepts(ProbeCell("shapes-llava", "entailment", "agree")) == {}


def test_a_sweep_is_decided_by_its_own_keys(used):
    before = sweep(used)
    assert before["prompt_entry"]["answers"] == {"match": ["yes"], "mismatch": ["no"]}
    assert {key: before[key] for key in ("stimuli", "items", "strengths", "along", "draws", "seed")} == {
        "stimuli": "captions", "items": 200, "strengths": [-2, -1, 1, 2], "along": "means", "draws": 10, "seed": 0,
    }  # fmt: skip
    for key, value in {"items": 9, "strengths": [0.5], "along": "probe", "draws": 3}.items():
        changed = copy.deepcopy(used)
        changed["used"][key] = value
        assert {name for name, kept in sweep(changed).items() if kept != before[name]} == {key}
    changed = copy.deepcopy(used)
    # Which others there are shows in the job's inputs.
    changed["used"] |= {"tasks": ["entailment"], "models": ["shapes-llava"], "prompts": ["agree"]}
    assert sweep(changed) == before
    changed["prompts"]["coco-entailment"]["agree"]["answers"]["match"] = ["right"]
    assert json.dumps(sweep(changed)) != json.dumps(before)


def test_files_lie_beside_each_other(used):
    study = Study.from_config(used)
    cell = study.grid.used_cells()[0]
    assert study.concept_file(cell) == "results/used/shapes-llava/entailment/agree.concept.safetensors"
    assert study.used_files(cell) == (
        "results/used/shapes-llava/entailment/agree.parquet",
        "results/used/shapes-llava/entailment/agree.above.parquet",
    )


def test_a_model_that_is_left_out_has_no_sweep(used):
    used["used"]["models"] = ["shapes-llava"]
    used["leave_out"] = ["shapes-llava"]
    assert cells(used) == []


ATTRIBUTES = {"about": "attributes", "attribute": "colour"}
BYPASSED = {"source": "embedded", "intervention": {"bypass": {"from": 1, "scale": 1.0}}}


def with_task(knowledge: dict | None = None, **more):
    """A used task of some knowledge over the objects."""

    def change(config: dict) -> None:
        about = {"knowledge": knowledge} if knowledge else {}
        config["tasks"]["one"] = {"stimuli": "objects", "question": "local"} | about | more
        config["used"]["tasks"] = ["one"]

    return change


def with_model(entry: dict):
    """A used model of another kind."""

    def change(config: dict) -> None:
        config["models"]["one"] = entry
        config["adapters"] = {"qwen_vl": {"environment": "legacy"}}
        config["used"]["models"] = ["one"]

    return change


def read_at_the_image(config: dict) -> None:
    """Probes read the mean over the image's tokens, which text-only prompts have none of."""
    config["states"] = {"positions": ["image-mean", "last"]}
    for stimuli in config["stimuli"].values():
        stimuli["prompts"] = [prompt for prompt in stimuli["prompts"] if "text-only" not in prompt]


def without_answers(config: dict) -> None:
    """No prompt over the objects says whether a category is there."""
    del config["prompts"]["coco-objects"]["category"]["answers"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["used"].update(tasks=["none"]), "used.tasks: there is no 'none'; `tasks` has entailment"),
        (lambda c: c["used"].update(prompts=["none"]), "used.prompts: there is no 'none'"),
        (lambda c: c["used"].update(models=["none"]), "used.models: there is no 'none'; `models` has shapes-llava"),
        (lambda c: c["used"].update(tasks=[]), "used.tasks: must have at least a value"),
        (lambda c: c["used"].update(strengths=[1, 0]), "used.strengths.1: must be a number other than 0"),
        (lambda c: c["used"].update(strengths=[]), "used.strengths: must have at least a value"),
        (lambda c: c["used"].update(draws=1), "used.draws: must be a whole number of at least 2"),
        (lambda c: c["used"].update(items=0), "used.items: must be a whole number of at least 1"),
        (lambda c: c["used"].update(along="axis"), "used.along: "),
        (with_task({"about": "asked-centre"}, metric="r2"), "used.tasks: one is about numbers"),
        (with_task(ATTRIBUTES), "used.tasks: one has several labels for an item"),
        (with_task({"about": "left-right"}), "used.tasks: one has several labels for an item"),
        (with_task({"about": "count", "bins": [1, 2]}), "used.tasks: one: no prompt of stimuli.objects asks for its"),
        (
            without_answers,
            r"used.tasks: objects: no prompt of stimuli.objects asks for its classes \(absent, present\); name one",
        ),
        (with_model(BYPASSED), "used.models: one has an intervention"),
        (
            with_model({"source": "lab/one", "adapter": "qwen_vl", "prompts": ["agree"]}),
            "used.models: one: its adapter qwen_vl runs its authors' code",
        ),
        (
            with_model({"source": "embedded", "prompts": ["statement"]}),
            "used.tasks: nothing is run for entailment. A used model must be asked",
        ),
        (lambda c: c["used"].update(prompts=["agree"]), "used.tasks: nothing is run for objects"),
        (
            lambda c: c["used"].update(prompts=["agree", "category", "no-cue"]),
            "used.prompts: nothing is run for no-cue",
        ),
        (
            lambda c: (
                c["models"].update(words={"source": "lab/words", "adapter": "text"}),
                c["used"].update(models=["words", "shapes-llava"], prompts=["agree", "category"]),
            ),
            "used.models: nothing is run for words",
        ),
        (lambda c: c.update(probes={"keep": False}), "used: states are steered along kept probes.*`probes.keep`"),
        (
            read_at_the_image,
            "used: the last token's states are changed, and probes read image-mean.*name last first",
        ),
        (
            lambda c: (
                c["models"].update(twins={"source": "embedded", "weights": "random", "seeds": [1, 2, 3]}),
                c["used"].update(models=["twins"]),
            ),
            "used.models: twins has `seeds` and is several models",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused_when_planned(used, change, said):
    change(used)
    with pytest.raises(InputError, match=said):
        Study.from_config(used)


def test_a_study_whose_models_all_run_on_other_adapters_must_name_them(used):
    used["models"] = {"other": {"source": "lab/other", "adapter": "kosmos2"}}
    del used["embedded_models"], used["flow"]
    with pytest.raises(InputError, match="used: no model runs on the adapter generic or text; name others"):
        cells(used)
