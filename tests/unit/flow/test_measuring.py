"""One model and some questions: what is kept, what is measured, and how a killed job goes on."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from layerwise.datasets.gqa_sources import QUESTION_SOURCE
from layerwise.errors import InputError
from layerwise.flow import measuring
from layerwise.flow.asking import Asking
from layerwise.flow.flows import FLOWS, windows
from layerwise.flow.head_results import read_heads
from layerwise.flow.knockout import naive_knockout
from layerwise.flow.positions import position_sets
from layerwise.flow.questions import choose_questions, describe, objects_of, questions_digest, tabulate
from layerwise.flow.results import read_answers, read_changes, read_flow_description, read_tracing
from layerwise.models.adapters import generic
from layerwise.models.answer_tokens import answer_tokens
from layerwise.models.greedy import greedy_answers
from layerwise.models.patches import object_tokens
from layerwise.models.registration import describe_model
from layerwise.states.images import read_image
from layerwise.states.work import WorkFolder
from tests.cells import run_here
from tests.conftest import REPOSITORY

TEMPLATE = "{text}\nAnswer the question using a single word or phrase."
HEADS = {"flows": ["question->last", "image->last"], "groups": {"two": [[2, 3], [1, 1]]}}
WIDTH = 3


@pytest.fixture(scope="module")
def registered(tiny_llava):
    entry = {"source": str(tiny_llava), "weights": "pretrained", "dtype": "float32", "conversation": "auto"}
    return describe_model("tiny", entry | {"adapter": "generic"}, None, seed=0)


@pytest.fixture(scope="module")
def model(registered):
    return generic.load(registered, "cpu")


@pytest.fixture(scope="module")
def asked(world, model, tmp_path_factory):
    """Questions of two types, most of them answered as the untrained model does, so that it is right; as a folder."""
    folder = tmp_path_factory.mktemp("questions")
    found = choose_questions(QUESTION_SOURCE, world / "gqa", ["ChooseAttr", "LogicalObj"], 20, seed=0)
    table = tabulate(QUESTION_SOURCE, found, world / "coco/val2017")
    prompts = [TEMPLATE.replace("{text}", question) for question in table["question"]]
    answers = greedy_answers(model, [read_image(image) for image in table["image"]], prompts)
    table["answer"] = [answer.text.upper() for answer in answers]
    # One question is answered wrongly; another one's boxes cover the image, so that there are no other patches.
    table.loc[3, "answer"] = "something else"
    table.loc[4, "objects"][0] |= {"x": 0, "y": 0, "w": 64, "h": 64}
    table.to_parquet(folder / "questions.parquet")
    description = describe("some", table, found)
    description["left_out"]["ChooseAttr"] = {"its image is missing": 2}
    (folder / "questions.json").write_text(json.dumps(description | {"digest": questions_digest(table)}))
    return folder, table


def command(folder, out, registered, **changed):
    (out / "model.json").write_text(json.dumps(registered))
    digest = json.loads((folder / "questions.json").read_text())["digest"]
    cell = {"model": "tiny", "model_digest": registered["digest"], "questions": "some", "questions_digest": digest}
    cell |= {"prompt_entry": {"text": TEMPLATE}, "window": WIDTH, "question_tokens": "text", "code": "1"} | changed
    run = [sys.executable, REPOSITORY / "scripts/trace_flow.py", "--model", out / "model.json", "--questions", folder]
    run += ["--cell", json.dumps(cell), "--batch-size", "8", "--threads", "1", "--work", out / "work"]
    run += ["--changes", out / "some.parquet", "--tracing", out / "some.tracing.parquet"]
    run += ["--answers", out / "some.answers.parquet", "--description", out / "some.json"]
    return list(map(str, run))


@pytest.fixture(scope="module")
def measured(asked, registered, tmp_path_factory):
    folder, table = asked
    out = tmp_path_factory.mktemp("flow")
    with_heads = [*command(folder, out, registered, heads=HEADS), "--heads", str(out / "some.heads.parquet")]
    result = subprocess.run(with_heads, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return out, table


def test_a_blind_model_is_not_asked(asked, registered, tmp_path, monkeypatch):
    blind = generic.load(registered, "cpu")
    for parameter in blind.model.base_model.multi_modal_projector.parameters():
        parameter.zero_()
    for part in (blind.model, blind.processor):
        part.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"models\.tiny: this model is blind"):
        run_here(command(asked[0], tmp_path, registered | {"folder": str(tmp_path)}), monkeypatch)


@torch.inference_mode()
def lens(model, prepared):
    """Probabilities of the next token by layer, with and without the final norm, from what transformers reports.

    It reports the last block's state behind the final norm only, so that the one before it is taken by a hook.
    """
    before = []
    handle = model.final_norm.register_forward_pre_hook(lambda _module, args: before.append(args[0]))
    output = model.model(**prepared, output_hidden_states=True)
    handle.remove()
    states = [hidden[0, -1] for hidden in (*output.hidden_states[:-1], before[0])]
    head = model.model.lm_head
    found = [(head(model.final_norm(state)).softmax(-1), head(state).softmax(-1)) for state in states]
    assert torch.allclose(found[-1][0], output.logits[0, -1].softmax(-1), atol=1e-6)
    return found


def test_every_number_is_that_of_whole_masked_runs(measured, model):
    """By the plain loop, one question at a time, with sets made here."""
    out, table = measured
    changes = read_changes(out / "some.parquet")
    tracing = read_tracing(out / "some.tracing.parquet")
    for row in list(table.itertuples())[::7]:
        image, prompt = read_image(row.image), TEMPLATE.replace("{text}", row.question)
        (answer,) = greedy_answers(model, [image], [prompt])
        prepared = model.prepare([image], [prompt])
        n = int(model.image_tokens(prepared).sum())
        images = model.processor.image_processor
        patches = object_tokens(objects_of(row), model.model.config, images, image.size, prepared, [n]).tolist()
        sets = position_sets(model, prepared, prompt, row.question, {1: patches})
        expected = naive_knockout(model, prepared, sets, FLOWS, windows(model.n_layers, WIDTH), answer.first_id)
        mine = changes[changes["question_id"] == row.question_id]
        assert mine["p"].unique() == pytest.approx(expected.free, abs=1e-6)
        for flow, values in zip(FLOWS, expected.blocked, strict=True):
            found = mine[mine["flow"] == flow.name].sort_values("window")
            np.testing.assert_allclose(found["p_blocked"], values, atol=1e-6)
            np.testing.assert_allclose(found["change"], 100 * (values / expected.free - 1), rtol=1e-3, atol=1e-3)
            assert found["window"].tolist() == list(range(1, model.n_layers + 1))
        traced = tracing[tracing["question_id"] == row.question_id].set_index(["norm", "casing", "layer"])["p"]
        for casing, ids in answer_tokens(model, prompt, row.answer).items():
            for layer, (normed, plain) in enumerate(lens(model, prepared)):
                assert traced[True, casing, layer] == pytest.approx(float(normed[ids].sum()), abs=1e-6)
                assert traced[False, casing, layer] == pytest.approx(float(plain[ids].sum()), abs=1e-5)


def test_every_head_and_group_is_that_of_whole_masked_runs(measured, model):
    out, table = measured
    heads, changes = read_heads(out / "some.heads.parquet"), read_changes(out / "some.parquet")
    kept = changes["question_id"].unique()
    assert heads["question_id"].unique().tolist() == kept.tolist()
    places = [(block + 1, head + 1, "") for block in range(model.n_layers) for head in range(model.n_heads)]
    row = next(row for row in table.itertuples() if row.question_id == kept[-1])
    mine = heads[heads["question_id"] == row.question_id]
    of_each = list(zip(mine["layer"], mine["head"], mine["group"], strict=True))
    assert of_each == [*places, (0, 0, "two")] * 2
    prompt = TEMPLATE.replace("{text}", row.question)
    (answer,) = greedy_answers(model, [read_image(row.image)], [prompt])
    prepared = model.prepare([read_image(row.image)], [prompt])
    sets = position_sets(model, prepared, prompt, row.question)
    where = [*({layer - 1: [head - 1]} for layer, head, _ in places), {0: [0], 1: [2]}]
    flows = [flow for flow in FLOWS if flow.name in HEADS["flows"]]
    expected = naive_knockout(model, prepared, sets, flows, where, answer.first_id)
    assert mine["flow"].unique().tolist() == [flow.name for flow in flows]
    np.testing.assert_allclose(mine["p_blocked"], expected.blocked.flatten(), atol=1e-6)
    np.testing.assert_allclose(mine["change"], 100 * (mine["p_blocked"] / mine["p"] - 1), atol=1e-3)


def test_a_group_whose_heads_are_not_there_is_refused_before_anything_is_measured(
    asked, registered, tmp_path, monkeypatch
):
    heads = HEADS | {"groups": {"mine": [[1, 1], [2, 9]]}}
    with pytest.raises(InputError, match=r"flow\.heads\.groups\.mine: block 2 has no head 9; it has heads 1 to 4"):
        run_here(command(asked[0], tmp_path, registered, heads=heads), monkeypatch)
    assert not list(tmp_path.rglob("part*"))


def test_what_is_kept_and_left_out_is_counted(measured):
    out, table = measured
    answers, changes = read_answers(out / "some.answers.parquet"), read_changes(out / "some.parquet")
    description = read_flow_description(out / "some.json")
    wrong = table.loc[3, "question_id"]
    assert answers["question_id"].tolist() == table["question_id"].tolist()
    assert answers.loc[3, "outcome"] == "answered wrongly"
    assert (answers["outcome"] == "kept").sum() == len(table) - 1
    assert (answers.drop(3)["given"].str.upper() == answers.drop(3)["answer"]).all()
    assert wrong not in set(changes["question_id"])
    types = description["types"]
    assert types["ChooseAttr"]["left_out"] == {"answered wrongly": 1, "its image is missing": 2}
    assert types["ChooseAttr"]["kept_share"] == pytest.approx(19 / 20)
    assert types["LogicalObj"] == {"asked": 20, "kept": 20, "kept_share": 1.0, "left_out": {}}
    # The object that covers the image leaves no other patches.
    flows = changes.loc[changes["question_id"] == table.loc[4, "question_id"], "flow"]
    assert set(flows) == {flow.name for flow in FLOWS} - {"other->question"}
    assert answers.loc[4, ["image_tokens", "object_tokens"]].tolist() == [16, 16]


def test_a_killed_job_goes_on_at_its_part_and_gives_the_same(measured, asked, model, registered, tmp_path, monkeypatch):
    out, table = measured
    asked_again = table.iloc[np.argsort(table["image_sha256"].to_numpy(), kind="stable")]
    (tmp_path / "work").mkdir()
    made = []
    measure = measuring._measure

    def counted(*args):
        made.append(len(args[1]))
        if len(made) == 2 and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            raise KeyboardInterrupt
        return measure(*args)

    monkeypatch.setattr(measuring, "_measure", counted)
    arguments = (model, asked_again, Asking(TEMPLATE, WIDTH, "text"), 8)
    with pytest.raises(KeyboardInterrupt):
        measuring.measure_parts(*arguments, WorkFolder(tmp_path / "work"))
    # The next job finds what the first one left on the disk.
    work = WorkFolder(tmp_path / "work")
    parts = measuring.measure_parts(*arguments, work)
    # 32 questions once, and the 8 of the part that was lost twice.
    assert made == [32, 8, 8]
    rows = [row for _, row in measuring.rows_of(work, parts)]
    answers = read_answers(out / "some.answers.parquet").set_index("question_id")
    assert [row["given"] for row in rows] == answers.loc[asked_again["question_id"], "given"].tolist()
    free = read_changes(out / "some.parquet").groupby("question_id")["p"].first()
    for question, row in zip(asked_again["question_id"], rows, strict=True):
        if row["outcome"] == measuring.KEPT:
            assert row["p"] == pytest.approx(free[question], abs=1e-6)


def test_what_the_vocabulary_lacks_is_counted_and_not_measured(asked, registered):
    """The embedded tokenizer has every byte. Here one of its tokens is what a word that it does not know becomes."""
    _, table = asked
    model = generic.load(registered, "cpu")
    tokenizer = model.processor.tokenizer
    (letter,) = tokenizer("q", add_special_tokens=False)["input_ids"]
    tokenizer.unk_token = tokenizer.convert_ids_to_tokens(letter)
    rows = [row._replace(answer="q") for row in table.iloc[:1].itertuples(index=False)]
    found = measuring._measure(model, rows, Asking("Is it red?", WIDTH, "text"), 8)
    assert found["outcome"].tolist() == [measuring.NO_TOKEN]
    assert torch.isnan(found["blocked"]).all()
    assert (
        measuring._first_tokens(model, rows[0]._replace(answer="red"), Asking("Is it red?", WIDTH, "text")) is not None
    )


def test_a_family_whose_patches_are_not_known_has_no_object_flows_and_says_why(asked, model, monkeypatch):
    _, table = asked
    monkeypatch.setattr("layerwise.models.families.FAMILIES", {})
    rows = list(table.iloc[:2].itertuples(index=False))
    found = measuring._measure(model, rows, Asking(TEMPLATE, WIDTH, "text"), 8)
    blocked = {flow.name: torch.isnan(found["blocked"][:, f]).all().item() for f, flow in enumerate(FLOWS)}
    assert {name for name, absent in blocked.items() if absent} == {"object->question", "other->question"}
    assert "llava" in measuring._as_texts(found["unmapped"])[0]


def test_nothing_that_is_known_to_be_wrong_is_run(asked, registered, tmp_path):
    folder, table = asked
    shutil.copytree(folder, tmp_path / "questions")
    table.iloc[1:].to_parquet(tmp_path / "questions/questions.parquet")
    stale = command(tmp_path / "questions", tmp_path, registered)
    result = subprocess.run(stale, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "questions.parquet is not the file that questions.json describes" in result.stderr
    assert "torch" not in result.stderr


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda table: table.drop(columns="flow"), "lacks the columns flow"),
        (lambda table: table.assign(p_blocked=1.5), "row 0 has p_blocked = 1.5, which is no probability"),
        (lambda table: table.assign(window=0), "row 0 has a window that is not in the model's blocks"),
    ],
)
def test_a_damaged_table_is_refused(measured, tmp_path, change, complaint):
    out, _ = measured
    change(pd.read_parquet(out / "some.parquet")).to_parquet(tmp_path / "bad.parquet")
    with pytest.raises(InputError, match=complaint):
        read_changes(tmp_path / "bad.parquet")
