"""Questions of one's own, from a table to what is measured: several pictures, spans, boxes and distractors."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageDraw

from layerwise.config.flow import QuestionTable
from layerwise.errors import InputError
from layerwise.flow import measuring
from layerwise.flow.asking import Asking
from layerwise.flow.flows import FLOWS, flows_of, windows
from layerwise.flow.own_questions import own_questions
from layerwise.flow.positions import position_sets
from layerwise.flow.program import trace_flow
from layerwise.flow.questions import describe, questions_digest
from layerwise.flow.results import ResultFiles, read_changes, read_differences, read_flow_description, write_results
from layerwise.models.adapters import generic
from layerwise.models.attention_mask import attention_cut
from layerwise.models.greedy import greedy_answers
from layerwise.models.registration import describe_model
from layerwise.several_pictures import place
from layerwise.states.images import read_images
from layerwise.states.work import WorkFolder
from tests import families

TEMPLATE = "One: {image 1} Two: {image 2} {question} Answer {options}."
WIDTH = 2
# Tokens of a picture: patches of 16 x 16 pixels, 4 in a row.
SIDE, PATCHES = 64, 16
ENTRY = {
    "image_column": ["left", "right"],
    "distractor_column": "wrong",
    "boxes_column": "boxes",
    "options_column": ["yes", "no"],
    "spans": {"subject": "what", "object": "whose"},
}
QUESTIONS = ["Is a red circle left of a star?", "Is there a green circle or a star?", "Is a blue circle above a star?"]


@pytest.fixture(scope="module")
def model(tiny_llava):
    entry = {"source": str(tiny_llava), "weights": "pretrained", "dtype": "float32", "conversation": "auto"}
    return generic.load(describe_model("tiny", entry | {"adapter": "generic"}, None, seed=0), "cpu")


@pytest.fixture(scope="module")
def asked(model, tmp_path_factory):
    """Three questions about two pictures each; the gold answers of the first two are what the model says."""
    folder = tmp_path_factory.mktemp("own")
    rows = []
    for i, question in enumerate(QUESTIONS):
        for side, colour in (("left", "red"), ("right", "blue")):
            picture = Image.new("RGB", (SIDE, SIDE), "white")
            ImageDraw.Draw(picture).ellipse((10 * i, 5, 10 * i + 20, 40), fill=colour)
            picture.save(folder / f"{i}-{side}.png")
        boxes = [{"image": 2, "box": [0, 0, 16, 16]}, {"image": 1, "box": [48, 48, 16, 16]}]
        row = {"left": f"{i}-left.png", "right": f"{i}-right.png", "question": question, "answer": "yes", "wrong": "x"}
        colour = question.split(" circle")[0].split()[-1]
        rows.append(row | {"boxes": json.dumps(boxes), "what": f"{colour} circle", "whose": "star", "yes": "yes"})
        rows[-1]["no"] = "no"
    # Without this span, and without boxes: what is about them is missing for this question.
    rows[1] |= {"whose": "", "boxes": "[]"}
    pd.DataFrame(rows).to_csv(folder / "q.csv", index=False)
    entry = QuestionTable.model_validate({"file": str(folder / "q.csv")} | ENTRY)
    table, found = own_questions(entry, 0, None)
    description = describe("own", table, found, entry.has)
    asking = Asking.of({"prompt_entry": {"text": TEMPLATE}, "window": WIDTH, "question_tokens": "text"}, description)
    shown = [read_images(cell) for cell in table["image"]]
    answers = greedy_answers(model, shown, [asking.prompt(row) for row in table.itertuples()])
    table["answer"] = [answers[0].text, answers[1].text, "never said"]
    return table, description, asking, answers


@pytest.fixture(scope="module")
def measured(asked, model, tmp_path_factory):
    table, description, asking, _ = asked
    out = tmp_path_factory.mktemp("flow")
    work = WorkFolder(out)
    parts = measuring.measure_parts(model, table, asking, 2, work)
    rows = [row for _, row in measuring.rows_of(work, parts, measuring.names_of(asking))]
    files = ResultFiles(*(out / name for name in ("a.parquet", "b.parquet", "c.parquet", "d.json")))
    cell = {"model": "tiny", "questions": "own", "window": WIDTH}
    write_results(files, rows, table, description, cell, asking.flows)
    return files


def by_hand(model, prepared, question):
    """The sets of a prepared question, worked out from its token ids alone."""
    ids, tokenizer = prepared["input_ids"][0].tolist(), model.processor.tokenizer
    patches = [i for i, token in enumerate(ids) if token == model.model.config.image_token_id]
    first, second = patches[:PATCHES], patches[PATCHES:]
    assert len(second) == PATCHES
    last, behind = len(ids) - 1, set(range(first[-1] + 1, len(ids) - 1)) - set(second)
    sets = {"image": patches, "image 1": first, "image 2": second, "question": sorted(behind), "last": [last]}
    # What of the text each token is.
    ends = np.cumsum([len(tokenizer.decode([token])) for token in ids[second[-1] + 1 :]])
    text = tokenizer.decode(ids[second[-1] + 1 :])
    for name, words in (("subject", question.split(" circle")[0].split()[-1] + " circle"), ("object", "star")):
        start = text.index(question) + question.index(words)
        own = [i for i, end in enumerate(ends) if end > start and (ends[i - 1] if i else 0) < start + len(words)]
        sets[f"span:{name}"] = [second[-1] + 1 + i for i in own]
        sets[f"rest:{name}"] = [i for i in sorted(behind) if i > sets[f"span:{name}"][-1]]
    sets["object"] = [first[15], second[0]]
    sets["other"] = [i for i in patches if i not in sets["object"]]
    return len(ids), sets


def test_every_number_is_that_of_masks_written_by_hand(measured, asked, model):
    table, _, asking, answers = asked
    assert [flow.name for flow in asking.flows] == read_flow_description(measured.description)["flows"]
    changes = read_differences(measured.changes)
    row, prompt = next(table.itertuples()), asking.prompt(next(table.itertuples()))
    assert prompt == f"One: {place(1)} Two: {place(2)} {QUESTIONS[0]} Answer yes or no."
    prepared = model.prepare([read_images(row.image)], [prompt])
    n_tokens, sets = by_hand(model, prepared, row.question)
    (wrong,) = model.processor.tokenizer("x", add_special_tokens=False)["input_ids"]

    def mask(name):
        found = torch.zeros(1, n_tokens, dtype=torch.bool)
        found[0, sets[name]] = True
        return found

    @torch.inference_mode()
    def read():
        logits = model.model(**prepared, use_cache=False).logits[0, -1]
        return logits.softmax(-1)[answers[0].first_id].item(), (logits[answers[0].first_id] - logits[wrong]).item()

    free, moved = read(), []
    mine = changes[changes["question_id"] == row.question_id].set_index(["flow", "window"])
    assert mine.index.get_level_values("flow").unique().tolist() == [flow.name for flow in asking.flows]
    for flow in asking.flows:
        for window, blocks in enumerate(windows(model.n_layers, WIDTH), start=1):
            with attention_cut([model.blocks[block] for block in blocks], mask(flow.target), mask(flow.source)):
                p, difference = read()
            found = mine.loc[(flow.name, window)]
            assert found["p"] == pytest.approx(free[0], abs=1e-6)
            assert found["p_blocked"] == pytest.approx(p, abs=1e-6)
            assert found["logit_difference"] == pytest.approx(free[1], abs=2e-5)
            assert found["logit_difference_blocked"] == pytest.approx(difference, abs=2e-5)
            moved.append(abs(difference - free[1]))
    # Or equality would say nothing.
    assert np.median(moved) > 1e-3


def test_what_a_question_lacks_is_missing_for_it_alone(measured, asked):
    table, _, asking, _ = asked
    changes = read_changes(measured.changes)
    first, second = (set(changes.loc[changes["question_id"] == q, "flow"]) for q in table["question_id"][:2])
    of_objects = {flow.name for flow in asking.flows if flow.source in ("object", "other")}
    of_span = {flow.name for flow in asking.flows if "span:object" in flow.name}
    assert first - second == of_objects | of_span
    assert not second - first
    description = read_flow_description(measured.description)
    assert description["types"]["all"] == {
        "asked": 3,
        "kept": 2,
        "kept_share": pytest.approx(2 / 3),
        "left_out": {"answered wrongly": 1},
    }
    assert description["without_object_patches"] == {"no image token shows its object": 1}


def test_a_distractor_that_begins_as_the_answer_is_counted_and_not_measured(asked, model):
    table, _, asking, _ = asked
    answer = table["answer"].iloc[0]
    wrong = [f"{answer} indeed", "", "x"]
    rows = [
        row._replace(distractor=word, answer=answer)
        for row, word in zip([next(table.itertuples(index=False))] * 3, wrong, strict=True)
    ]
    found = measuring._measure(model, rows, asking, 3)
    assert found["outcome"].tolist() == [measuring.KEPT] * 3
    assert measuring._as_texts(found["undecided"].numpy()) == [
        "its distractor begins with the same token as its answer",
        "it has no distractor",
        "",
    ]
    assert torch.isnan(found["difference"]).tolist() == [True, True, False]


def test_the_flows_of_a_set_follow_from_what_its_questions_have():
    def names(*args):
        return [flow.name for flow in flows_of(*args)]

    assert flows_of() == list(FLOWS)
    assert names([1], [], False) == ["question->last", "image->last", "image->question", "last->last"]
    of_pictures = names([2, 1, 3], [], False)[4:]
    assert of_pictures[:4] == ["image 1->question", "image 1->last", "image 2->question", "image 2->last"]
    # In the order of the text.
    assert of_pictures[6:] == ["image 2->image 1", "image 2->image 3", "image 1->image 3"]
    of_span = ["image->span:who", "object->span:who", "span:who->last", "span:who->question"]
    assert names([1], ["who"])[6:] == of_span


@pytest.mark.parametrize("takes", ["text", "words"])
def test_sets_of_several_pictures_and_spans(takes):
    model = families.frozen(families.llava)
    picture = Image.new("RGB", (60, 60))
    prompt = f"First {place(2)}, then {place(1)}: is a red circle left of it? Say so."
    prepared = model.prepare([(picture, picture.rotate(90))], [prompt])
    question = "is a red circle left of it?"
    spans = {"subject": "red circle"}
    sets = position_sets(model, prepared, prompt, question, {1: [0], 2: [3]}, takes, spans)
    ids, tokenizer = prepared["input_ids"][0], model.processor.tokenizer
    assert sets["image 2"][-1] < sets["image 1"][0]
    assert sets["object"].tolist() == sorted([int(sets["image 1"][0]), int(sets["image 2"][3])])
    assert tokenizer.decode(ids[sets["span:subject"]]).strip() == "red circle"
    rest = tokenizer.decode(ids[sets["rest:subject"]])
    between = tokenizer.decode(ids[sets["question"][sets["question"] < sets["image 1"][0]]])
    if takes == "words":
        assert (rest.strip(), between) == ("left of it?", "")
    else:
        assert rest.strip().startswith("left of it? Say so")
        assert "then" in between


def test_a_family_of_one_picture_is_not_asked_about_several(asked, tmp_path):
    """Before torch is imported, by its type alone."""
    table, description, _, _ = asked
    folder = tmp_path / "questions"
    folder.mkdir()
    table.to_parquet(folder / "questions.parquet")
    (folder / "questions.json").write_text(json.dumps(description | {"digest": questions_digest(table)}))
    (tmp_path / "model.json").write_text(json.dumps({"model_type": "kosmos-2", "digest": "1"}))
    given = {"model": tmp_path / "model.json", "questions": folder, "cell": {"model": "k", "questions": "own"}}
    given |= {"batch_size": 1, "device_map": None, "cards": 0, "threads": 1, "work": tmp_path, "kept": None}
    with pytest.raises(InputError, match=r"own shows 2 pictures in a text, and models.k, of type kosmos-2, takes one"):
        trace_flow(**given, files=ResultFiles(*[tmp_path / "x"] * 4))
