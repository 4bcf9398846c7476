"""The part of a study under ``flow``: its cells, where their files lie, and what is refused when it is planned."""

import copy
import json
from pathlib import Path

import pytest
import yaml

from layerwise.datasets.gqa_tables import table_columns
from layerwise.errors import InputError
from layerwise.gqa_types import TABLES
from layerwise.planning.grid import FlowCell
from layerwise.study import Study
from tests.conftest import REPOSITORY


def sources(study: Study, questions: str) -> list[str]:
    """The files that a set of questions is read from."""
    entry = study.config.flow.questions[questions]
    return study.data.source_files(entry.dataset, entry.types)


def images(study: Study, questions: str) -> list[str]:
    """The downloads that its images are unpacked from."""
    entry = study.config.flow.questions[questions]
    return study.data.image_receipts(entry.dataset, entry.types)


def test_every_model_is_asked_all_questions(study):
    study["flow"]["questions"]["fewer"] = {"dataset": "shapes-gqa", "prompt": "plain", "types": ["ChooseRel"]}
    study["flow"]["models"]["shapes-llava-untrained"] = {}
    checked = Study.from_config(study)
    grid = checked.grid
    assert grid.flow_cells() == [
        FlowCell(model, questions)
        for model in ("shapes-llava", "shapes-llava-untrained")
        for questions in ("shapes-questions", "fewer")
    ]
    assert [grid.window(cell.model) for cell in grid.flow_cells()[1:3]] == [1, 7]
    assert grid.questions_prompt("fewer").entry() == {"text": "{text}"}
    assert sources(checked, "fewer") == ["<results>/worlds/shapes/world.json"]
    assert images(checked, "fewer") == []


def test_questions_lie_in_a_folder_named_after_what_decides_them(study):
    def folder(change=lambda config: None):
        changed = copy.deepcopy(study)
        change(changed)
        return Study.from_config(changed).questions_folder("shapes-questions")

    entry = "flow", "questions", "shapes-questions"

    def put(key, value):
        return lambda config: config[entry[0]][entry[1]][entry[2]].update({key: value})

    assert folder() == folder() != folder(put("per_type", 3))
    assert folder(put("types", ["QueryAttr"])) != folder() != folder(lambda c: c.update(seed=5))
    # The same questions in other words are asked of the same images.
    assert folder(put("prompt", "plain")) == folder()


def test_the_papers_study_asks_its_four_models_and_downloads_gqa():
    study = Study.load(REPOSITORY / "config/flow-paper.yaml")
    assert {cell.model: study.grid.window(cell.model) for cell in study.grid.flow_cells()} == {
        "llava-1.5-7b": 7,
        "llava-1.5-13b": 9,
        "llava-1.6-vicuna-7b": 7,
        "llava-next-llama3-8b": 7,
    }
    annotations = [f"data/gqa/annotations/val_{name}.json" for name in ("balanced_questions", "sceneGraphs")]
    assert sources(study, "gqa") == annotations
    archives = [f"data/gqa/archives/{name}.zip.json" for name in ("questions1.2", "sceneGraphs", "images")]
    assert images(study, "gqa") == archives[-1:]
    assert study.receipts == archives


@pytest.mark.parametrize("kind", [None, "ChooseRel"])
def test_a_folder_of_ones_own_must_hold_what_is_read(study, tmp_path, kind):
    study["datasets"]["shapes-gqa"] = {"format": "gqa", "annotations": str(tmp_path), "images": str(tmp_path)}
    if kind:
        (tmp_path / TABLES[kind]).write_text(",".join(table_columns(kind)))
    missing = TABLES["ChooseAttr"] if kind else "val_balanced_questions.json"
    with pytest.raises(InputError, match=rf"flow.questions.shapes-questions: there is no file .*{missing}; the folder"):
        Study.from_config(study)
    study["flow"]["questions"]["shapes-questions"]["types"] = ["ChooseRel"]
    if kind:
        assert [Path(file).name for file in sources(Study.from_config(study), "shapes-questions")] == [TABLES[kind]]
        (tmp_path / TABLES[kind]).write_text("question_id,img_id\n")
        with pytest.raises(InputError, match=rf"shapes-questions: .*{TABLES[kind]}: there is no column 'question'"):
            Study.from_config(study)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda c: c["flow"]["questions"]["q"].update(dataset="x"),
            r"questions.q.dataset: there is no 'x'; the config has",
        ),
        (lambda c: c["flow"]["questions"]["q"].update(dataset="shapes-coco"), "format gqa, and shapes-coco is coco"),
        (lambda c: c["flow"]["questions"]["q"].update(prompt="x"), "there is no 'x'; prompts.gqa has short, plain"),
        (
            lambda c: c["flow"]["questions"]["q"].update(types=["Other"]),
            r"q.types.0: must be one of ChooseAttr, .*, not 'Other'",
        ),
        (
            lambda c: c["flow"]["questions"]["q"].update(per_type=0),
            r"q.per_type: must be a whole number of at least 1",
        ),
        (lambda c: c["prompts"]["gqa"]["plain"].update(text="What?"), r"prompts.gqa.plain: the prompt needs \{text\}"),
        (lambda c: c["prompts"]["gqa"]["plain"].update(image="blank"), "prompts.gqa.plain: .*leave out `image`"),
        (lambda c: c["flow"]["models"].update(x={}), r"flow.models.x: there is no 'x'; models has shapes-llava"),
        (lambda c: c["flow"]["models"]["shapes-llava"].update(window=0), "shapes-llava.window: must be a whole number"),
        (lambda c: c["flow"].update(models={}), "flow.models: there are none, though flow.questions has q"),
        (
            lambda c: c["flow"].update(questions={}),
            "flow.questions: there are none, though flow.models has shapes-llava",
        ),
        (
            lambda c: c["models"]["shapes-llava"].update(adapter="emu") or c.update(tasks={}),
            "its adapter emu runs code whose attention",
        ),
        (lambda c: c.update(tasks={}, flow={}), "the config asks for nothing: give `stimuli` and `tasks`"),
    ],
)
def test_what_cannot_be_asked_is_refused_when_the_study_is_planned(study, change, complaint):
    study |= yaml.safe_load((REPOSITORY / "config/adapters.yaml").read_text())
    study["flow"]["questions"] = {"q": {"dataset": "shapes-gqa", "prompt": "plain"}}
    study = json.loads(json.dumps(study))
    change(study)
    with pytest.raises(InputError, match=complaint):
        Study.from_config(study)
