"""What the embedded model is taught about sequences of frames: lessons, batches and the second warm-up."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

from layerwise.datasets.frame_events import QUESTIONS
from layerwise.datasets.world.captions import reading_order
from layerwise.datasets.world.frames.ring import WAYS
from layerwise.datasets.world.frames.sequences import FrameSequence
from layerwise.datasets.world.render import render
from layerwise.models.embedded import frame_batches, frame_lessons, training
from layerwise.models.embedded.architecture import make_model, make_processor, prompt
from layerwise.models.embedded.batches import Packer
from layerwise.models.embedded.event_words import EventWords, first_block
from layerwise.models.embedded.forward import answer_logits
from layerwise.models.embedded.objectives import Frames
from layerwise.models.embedded.plans import Phase, plan_for
from layerwise.models.embedded.tokenizer import train_tokenizer

SCRIPTS = Path(__file__).parents[3] / "scripts"
ALL = Frames(1.0, dict.fromkeys(QUESTIONS, 1.0), dict.fromkeys(frame_lessons.FRAME_LESSONS, 1.0))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def processor():
    return make_processor(train_tokenizer(training.sample_texts(100) + training.frame_texts(200)))


@pytest.fixture(scope="module")
def model(processor):
    return make_model(processor.tokenizer, seed=0).eval()


def asked(lesson: str, kind: str, number: int = 300):
    """Pairs of sequences, and what a lesson asks of them."""
    rng = np.random.default_rng(1)
    for _ in range(number):
        pair = frame_lessons.draw_frames(kind, rng)
        yield pair, frame_lessons.FRAME_LESSONS[lesson](*pair, rng)


@pytest.mark.parametrize("kind", QUESTIONS)
def test_a_statement_is_true_of_one_of_two_partners(kind):
    counts: Counter[tuple[str, str]] = Counter()
    for (sequence, partner), (one, other) in asked("happened", kind):
        assert one.text == other.text
        assert {one.answer, other.answer} == {"yes", "no"}
        told = one.text.split('"')[1]
        assert sequence.statements(partner)[told] == (one.answer == "yes")
        counts["first", one.answer] += 1
    # Neither of the two is the true one more often.
    assert abs(counts["first", "yes"] - 150) < 4 * 75**0.5


@pytest.mark.parametrize("lesson", sorted(set(frame_lessons.FRAME_LESSONS) - {"happened"}))
@pytest.mark.parametrize("kind", QUESTIONS)
def test_other_lessons_ask_partners_the_same_and_answer_truly(lesson, kind):
    for pair, questions in asked(lesson, kind, 100):
        assert questions[0].text == questions[1].text
        for sequence, question in zip(pair, questions, strict=True):
            assert question.answer == answer_by_words(question.text, sequence), question


def answer_by_words(text: str, sequence: FrameSequence) -> str:
    """The answer, from the words of the question."""
    words, events = text.rstrip("?").split(), sequence.events
    if words[:4] == ["What", "is", "in", "picture"]:
        return reading_order(sequence.frames[int(words[4]) - 1]).text
    if text == "What changed first?":
        return events[0].who
    if text == "What happened?":
        told = [f"the {e.who} {e.what}" + (f" {e.way}" if e.way else "") for e in events]
        return ", then ".join(told).replace("the", "The", 1) + "."
    if words[0] == "Did":
        way = words.pop() if words[-1] in WAYS.values() else None
        did = next(what for what, verb in frame_lessons.VERBS.items() if words[-len(verb.split()) :] == verb.split())
        fitting = [e for e in events if e.what == did and words[1:3] in (["the", e.who], ["something", words[2]])]
        return "yes" if any(way in (None, e.way) for e in fitting) else "no"
    if words[0] == "Which":
        return next((e.way for e in events if e.who == words[4]), None) or "nothing"
    if words[1] == "did":
        return next((e.what for e in events if e.who == words[3]), "nothing")
    names = [e.who for e in events if e.what == " ".join(words[1:])]
    return "both" if len(names) > 1 else names[0] if names else "nothing"


def test_partners_are_in_one_batch_with_the_same_questions(processor):
    packer = Packer(processor)
    batch = frame_batches.draw(
        packer, np.random.default_rng(0), 12, 140, {"object": 1.0}, Frames(0.7, ALL.kinds, ALL.lessons)
    )
    counts = [len(sequence.frames) for sequence in batch.sequences]
    assert counts[:4] == [1, 1, 1, 1]
    assert all(one == other for one, other in zip(counts[4::2], counts[5::2], strict=True))
    assert len(batch.pixels) == sum(counts)
    assert int((batch.ids == processor.tokenizer.convert_tokens_to_ids("<image>")).sum()) == 16 * sum(counts)
    assert int((batch.ids != processor.tokenizer.pad_token_id).sum(1).max()) <= 140


def test_packed_questions_about_frames_get_the_logits_that_each_has_alone(processor, model):
    packer, rng = Packer(processor), np.random.default_rng(5)
    pairs = [frame_lessons.draw_frames(kind, rng) for kind in QUESTIONS]
    rows = [[(name, lesson(*pair, rng)[0]) for name, lesson in frame_lessons.FRAME_LESSONS.items()] for pair in pairs]
    sequences = [pair[0] for pair in pairs]
    pixels = packer.pixels(np.stack([render(frame) for sequence in sequences for frame in sequence.frames]))
    batch = packer.pack(pixels, rows, sequences)
    with torch.no_grad():
        packed = answer_logits(model, batch)
        number = 0
        for sequence, row in zip(sequences, rows, strict=True):
            for _, question in row:
                text = prompt(question.text, len(sequence.frames)) + question.answer + "</s>"
                images = [Image.fromarray(render(frame)) for frame in sequence.frames]
                inputs = processor(images=images, text=text, return_tensors="pt")
                mine = batch.question == number
                length = int(mine.sum())
                assert batch.targets[mine].tolist() == inputs["input_ids"][0, -length:].tolist()
                alone = model(**inputs).logits[0, -length - 1 : -1]
                torch.testing.assert_close(packed[mine], alone, atol=1e-3, rtol=1e-3)
                number += 1


def test_patches_are_told_what_happened_there(processor, model):
    """A sequence whose object moves and one whose object grows, word by word."""
    words = EventWords(model, processor.tokenizer)
    rng = np.random.default_rng(0)
    seen = set()
    while seen < {"moved", "grew", "appeared", "disappeared", "changed colour"}:
        sequence = frame_lessons.draw_frames("first", rng)[0]
        added, kinds = words.targets([sequence])
        for number, (before, now) in enumerate(pairwise(sequence.frames), start=1):
            event = next((event for event in sequence.events if event.after == number), None)
            changed = {item.row * 4 + item.column for item in {*before.objects} ^ {*now.objects} if event is not None}
            assert {int(i) for i in (kinds[number] == 2).nonzero()} == changed
            for patch in changed:
                here = [item for item in now.objects if item.row * 4 + item.column == patch]
                told = _nearest(added[number, patch], words, str(number + 1))
                assert ("changed" in told) == bool(here)
                assert ("gone" in told) == (not here)
                if here and event.way:
                    assert event.way in told
            seen.add(event.what if event else "pause")


def _nearest(vector: torch.Tensor, words: EventWords, number: str) -> set[str]:
    """The words whose vectors add up to this one, with the picture's number; by least squares."""
    names = list(words._word)
    matrix = torch.stack([words._word[name] for name in names]).T
    parts = torch.linalg.lstsq(matrix, vector[:, None]).solution[:, 0]
    said = {name: round(part) for name, part in zip(names, parts.tolist(), strict=True) if round(part)}
    # Which way something moved is said twice as loudly.
    assert all(loudness == (2 if name in WAYS.values() else 1) for name, loudness in said.items())
    told = set(said)
    assert number in told
    return told - {number}


def test_the_second_warm_up_trains_the_first_block_alone(processor):
    student = make_model(processor.tokenizer, seed=0)
    before = {name: value.clone() for name, value in student.state_dict().items()}
    plan = replace(plan_for("frames"), event_steps=8, event_rows=8)
    packer = Packer(processor)
    words = EventWords(student, processor.tokenizer)
    training.warm_up_events(student, words, packer, np.random.default_rng(0), plan, lambda *_: None)
    changed = {name for name, value in student.state_dict().items() if not torch.equal(value, before[name])}
    first = {f"model.language_model.layers.0.{name}" for name, _ in first_block(student).named_parameters()}
    assert changed == first
    batch = frame_batches.draw(Packer(processor), np.random.default_rng(1), 8, 80, {}, ALL)
    losses = []
    for weights in (before, student.state_dict()):
        copy = make_model(processor.tokenizer, seed=0)
        copy.load_state_dict(weights)
        losses.append(EventWords(copy, processor.tokenizer).loss(copy, batch).item())
    assert losses[1] < losses[0]


def test_questions_about_the_way_tell_partners_apart():
    """Of sequences that differ in the way alone, nothing else could."""
    apart = [one.answer != other.answer for _, (one, other) in asked("whether", "direction")]
    assert sum(apart) > 60


def test_text_counts_only_if_it_is_asked_for(processor, model):
    batch = frame_batches.draw(Packer(processor), np.random.default_rng(1), 8, 80, {}, ALL)
    words = EventWords(model, processor.tokenizer)
    assert words.loss(model, batch, text=False) < words.loss(model, batch)


def test_a_lesson_is_learned_when_nine_of_ten_are_right_of_late():
    learned = training.Learned("moved")
    assert not any(learned.after({"moved": 0.5, "who": 1.0}) for _ in range(50))
    assert not any(learned.after({"who": 1.0}) for _ in range(50))
    needed = next(number for number in range(1, 100) if learned.after({"moved": 1.0}))
    # 1 - 0.5 * 0.9 ** n is 0.9 after 16 batches.
    assert needed == 16
    assert not training.Learned("").after({"moved": 1.0})


def test_steps_that_a_lesson_does_not_need_are_spent_on_the_next_phase_without_one(processor, monkeypatch):
    monkeypatch.setattr(training.Learned, "after", lambda self, right: self._lesson == "moved")
    phases = (Phase("which", 5, 0.0, until="moved"), Phase("way", 3, 0.0, until="direction"), Phase("frames", 2, 0.0))
    plan = replace(plan_for("frames"), phases=phases, pictures=4, event_sequences=2, report_every=1)
    packer, seen = Packer(processor), []
    student = make_model(processor.tokenizer, seed=0)
    words = EventWords(student, processor.tokenizer)
    monkeypatch.setattr(training, "_held_out", lambda packer, plan: [])
    training.teach(student, words, packer, np.random.default_rng(0), plan, lambda *row: seen.append(row[:2]))
    assert sorted(set(seen)) == [
        (1, "which"),
        (2, "way"),
        (3, "way"),
        (4, "way"),
        *((n, "frames") for n in range(5, 11)),
    ]


def test_prompts_name_as_many_pictures_as_there_are():
    assert prompt("Is it {so}?", 2) == "USER: <image>\n<image>\nIs it {so}? ASSISTANT:"


@pytest.mark.slow
def test_a_short_run_says_how_often_it_is_right_with_frames_and_without_their_order(tmp_path):
    command = [sys.executable, SCRIPTS / "train_embedded_model.py", "--out", tmp_path / "model"]
    command += ["--curve", tmp_path / "curve.csv", "--seed", "3", "--threads", "1", "--objective", "frames"]
    command += ["--steps-scale", "0.005", "--questions", "8"]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    evaluated = json.loads((tmp_path / "model/evaluation.json").read_text())
    assert set(QUESTIONS) < set(evaluated["held_out_accuracy"])
    assert {shown: set(by_kind) for shown, by_kind in evaluated["accuracy_by_frames"].items()} == {
        "random order": set(QUESTIONS),
        "one frame": set(QUESTIONS),
    }
    phases = {line.split(",")[2] for line in (tmp_path / "curve.csv").read_text().splitlines()[1:]}
    # Of so short a run, the last step of each warm-up and of the lessons.
    assert phases == {"warm-up", "event warm-up", "together"}
    # A seed decides the weights.
    again, _ = training.train(3, plan_for("frames").scaled(0.005), lambda *_: None)
    saved = AutoModelForImageTextToText.from_pretrained(tmp_path / "model").state_dict()
    assert all(torch.equal(value, saved[name]) for name, value in again.state_dict().items())


@pytest.mark.whole
def test_the_full_training_learns_every_lesson_and_no_shortcut(tmp_path):
    command = [sys.executable, SCRIPTS / "train_embedded_model.py", "--out", tmp_path / "model"]
    command += ["--curve", tmp_path / "curve.csv", "--objective", "frames", "--threads", "1"]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    evaluated = json.loads((tmp_path / "model/evaluation.json").read_text())
    held_out, by_frames = evaluated["held_out_accuracy"], evaluated["accuracy_by_frames"]
    assert all(held_out[kind] >= 0.85 for kind in QUESTIONS), held_out
    # Four standard errors of 500 guesses. Which of two objects moved, the frames tell in any order.
    assert all(abs(share - 0.5) < 0.09 for share in by_frames["one frame"].values()), by_frames
    assert all(abs(by_frames["random order"][kind] - 0.5) < 0.09 for kind in set(QUESTIONS) - {"moved"}), by_frames
