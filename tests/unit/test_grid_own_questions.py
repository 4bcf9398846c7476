"""Questions of a table in the plan of a study: what they have, what makes them stale, and what is refused."""

import pandas as pd
import pytest

from layerwise.errors import InputError
from layerwise.study import Study

ROW = {"left": "a.png", "right": "b.png", "question": "Is it red?", "answer": "yes", "wrong": "no", "it": "it"}
PLACED = "{image 1} and {image 2}: {question}"


@pytest.fixture
def own(study, tmp_path):
    """A study of the demo's model and a table of questions about two pictures each."""
    pd.DataFrame([ROW, ROW | {"question": "Is it blue?"}]).to_csv(tmp_path / "q.csv", index=False)
    for name in "ab":
        (tmp_path / f"{name}.png").touch()
    study["flow"] = {
        "questions": {
            "own": {
                "file": str(tmp_path / "q.csv"),
                "prompt": "placed",
                "image_column": ["left", "right"],
                "distractor_column": "wrong",
                "spans": {"subject": "it"},
            }
        },
        "models": {"llava": {}},
    }
    study["models"] = {"llava": {"source": "embedded"}}
    study["prompts"]["questions"] = {"placed": {"text": PLACED}, "plain": {"text": "{question}"}}
    for section in ("stimuli", "tasks", "carry", "specifications", "used"):
        study.pop(section, None)
    return study


def test_a_table_is_planned_and_says_what_its_questions_have(own):
    study = Study.from_config(own)
    assert study.grid.had_by_questions("own") == {"pictures", "spans", "distractors"}
    assert study.grid.planned_flow("llava", "own")["prompt_entry"] == {"text": PLACED}


def test_only_what_is_asked_and_shown_decides_the_recipe(own, tmp_path):
    def folder():
        return Study.from_config(own).questions_folder("own")

    first, entry = folder(), own["flow"]["questions"]["own"]
    entry["prompt"] = "plain"
    assert folder() == first
    table = pd.read_csv(tmp_path / "q.csv").assign(further=1)
    table.to_csv(tmp_path / "elsewhere.csv", index=False)
    entry["file"] = str(tmp_path / "elsewhere.csv")
    assert folder() == first
    table.assign(wrong="maybe").to_csv(tmp_path / "elsewhere.csv", index=False)
    assert folder() != first
    table.to_csv(tmp_path / "elsewhere.csv", index=False)
    (tmp_path / "a.png").write_text("another picture")
    assert folder() != first


@pytest.mark.parametrize(
    ("entry", "text", "complaint"),
    [
        (
            {"question_column": "asked"},
            PLACED,
            r"own.file: .*q.csv: there is no column 'asked'; it has 'left', 'right'",
        ),
        ({"prompt": "gone"}, PLACED, "flow.questions.own.prompt"),
        ({}, "{image 1}{image 2} Is it so?", r"prompts.questions.placed: the prompt needs \{question\} once"),
        ({}, "{image 1} {question}", r"a place for \{image 1\} but none for \{image 2\}"),
        ({}, "{image 1} {question} {image 2}", "put the question behind all of them"),
        ({}, "{question} Choose {options}.", "name the questions' `options_column`, or take it out"),
        ({}, "{question} {choices}", r"the prompt has \{choices\}; the question of a table stands at \{question\}"),
        ({"dataset": "gqa"}, PLACED, "own: unknown key 'dataset'; known keys of the kind questions of a table: file,"),
        ({"spans": {"Big Name": "it"}}, PLACED, "the name 'Big Name' must be a name of lower-case letters"),
        ({"spans": {"image": "it"}}, PLACED, "own.spans.image: a flow's name would have two meanings; rename the span"),
    ],
)
def test_what_does_not_fit_is_refused_when_it_is_planned(own, entry, text, complaint):
    own["flow"]["questions"]["own"] |= entry
    own["prompts"]["questions"]["placed"]["text"] = text
    with pytest.raises(InputError, match=complaint):
        Study.from_config(own)


def test_an_adapter_of_one_picture_is_not_asked_about_several(own):
    own["models"]["one"] = {"source": "microsoft/kosmos-2-patch14-224", "adapter": "kosmos2"}
    own["flow"]["models"]["one"] = {}
    with pytest.raises(InputError, match=r"flow.models.one: flow.questions.own shows several pictures, .*kosmos2 take"):
        Study.from_config(own)
    own["flow"]["questions"]["own"] |= {"image_column": "left", "prompt": "plain"}
    Study.from_config(own)


def test_heads_are_part_of_the_cells_and_of_nothing_else(own):
    before = Study.from_config(own).grid.planned_flow("llava", "own")
    own["flow"]["heads"] = {"flows": ["image 1->image 2", "span:subject->last"], "groups": {"two": [[1, 1], [2, 3]]}}
    study = Study.from_config(own)
    assert study.had_by_questions("own") >= {"heads", "head differences"}
    own["flow"]["questions"]["own"].pop("distractor_column")
    assert "head differences" not in Study.from_config(own).had_by_questions("own")
    own["flow"]["questions"]["own"]["distractor_column"] = "wrong"
    heads = {"flows": ["image 1->image 2", "span:subject->last"], "groups": {"two": [[1, 1], [2, 3]]}}
    assert study.grid.planned_flow("llava", "own") == before | {"heads": heads}
    assert "heads" not in before


@pytest.mark.parametrize(
    ("heads", "said"),
    [
        (
            {"flows": ["image->first"]},
            r"flow\.heads\.flows: no question has the flow image->first; there are question->",
        ),
        ({"flows": ["object->question"]}, "no question has the flow object->question"),
        ({"groups": {"two": [[1, 1], [2, 2], [1, 1]]}}, r"flow\.heads\.groups\.two: \[1, 1\] is there twice"),
        ({"groups": {"two": [[1]]}}, r"flow\.heads\.groups\.two"),
        ({"groups": {"two": [[0, 1]]}}, r"flow\.heads\.groups\.two"),
        (
            {"groups": [[5, 3]]},
            r"flow\.heads\.groups: must be names of groups, each with its pairs of block and head, such as "
            r"`\{mine: \[\[5, 3\]\]\}`, not \[\[5, 3\]\]",
        ),
        ({"groups": {"two": [5, 3]}}, r"flow\.heads\.groups: must be .*, such as `\{two: \[\[5, 3\]\]\}`, not .*two"),
    ],
)
def test_heads_that_no_question_or_model_can_have_are_refused_when_planned(own, heads, said):
    own["flow"]["heads"] = heads
    with pytest.raises(InputError, match=said):
        Study.from_config(own)
