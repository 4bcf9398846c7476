"""The embedded model: its processor, its lessons, how they are weighted, and a training run of a few steps."""

import csv
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from layerwise.datasets.world.render import render
from layerwise.datasets.world.scenes import COLOURS, DARK, SHAPES, Scene, SceneObject, draw_scene
from layerwise.models.embedded import batches, evaluation, lessons, training
from layerwise.models.embedded.architecture import IMAGE_TOKENS, PROMPT, make_model, make_processor
from layerwise.models.embedded.tokenizer import train_tokenizer
from layerwise.models.image_processor import load_processor

SCRIPTS = Path(__file__).parents[3] / "scripts"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def processor():
    return make_processor(train_tokenizer(training.sample_texts(300)))


@pytest.fixture(scope="module")
def model(processor):
    return make_model(processor.tokenizer, seed=0).eval()


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    command = [sys.executable, SCRIPTS / "train_embedded_model.py", "--out", folder / "model"]
    command += ["--curve", folder / "curve.csv", "--seed", "3", "--threads", "1"]
    command += ["--steps-scale", "0.005", "--questions", "8"]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    return folder


def scene_and_rng(seed: int = 0) -> tuple[Scene, np.random.Generator]:
    rng = np.random.default_rng(seed)
    return draw_scene(rng), rng


def test_words_of_the_world_are_single_tokens(processor):
    encode = processor.tokenizer.encode
    for word in (*SHAPES, *COLOURS, DARK, "left", "maybe", "yes", "no", "color"):
        assert (
            len(encode(word, add_special_tokens=False)) == 1 or len(encode(f" {word}", add_special_tokens=False)) == 1
        )
    for answer in ("yes", "no", "maybe", "left", "right", "color", "side", *SHAPES):
        assert len(encode(answer, add_special_tokens=False)) == 1, answer


@pytest.mark.parametrize("text", ["naïve 北京 🙂\t\n  two  spaces ", "\x00\x07\u200b", " leading", "don't . , !", ""])
def test_any_text_survives_encoding(processor, text):
    ids = processor.tokenizer.encode(text)
    assert ids[0] == processor.tokenizer.bos_token_id
    assert processor.tokenizer.unk_token_id not in ids
    assert processor.tokenizer.decode(ids, skip_special_tokens=True) == text


def test_the_tokenizer_is_the_same_each_time(processor):
    again = train_tokenizer(training.sample_texts(300))
    assert again.get_vocab() == processor.tokenizer.get_vocab()


def test_one_image_becomes_sixteen_tokens_whatever_its_size(processor, model):
    text = PROMPT.format(text="Is there a circle?")
    inputs = processor(images=Image.new("RGB", (100, 70)), text=text, return_tensors="pt")
    assert int((inputs["input_ids"] == model.config.image_token_id).sum()) == IMAGE_TOKENS == 16
    assert inputs["pixel_values"].shape == (1, 3, 64, 64)
    with torch.no_grad():
        assert model(**inputs).logits.shape[1] == inputs["input_ids"].shape[1]


def test_the_chat_template_gives_the_form_that_is_trained(processor):
    content = [{"type": "image"}, {"type": "text", "text": "Is there a circle?"}]
    user = {"role": "user", "content": content}
    rendered = processor.apply_chat_template([user], add_generation_prompt=True)
    assert rendered == PROMPT.format(text="Is there a circle?") == "USER: <image>\nIs there a circle? ASSISTANT:"
    answered = processor.apply_chat_template([user, {"role": "assistant", "content": "yes"}])
    assert answered == f"{rendered}yes"


@pytest.mark.parametrize("backend", ["torchvision", "pil"])
def test_training_pixels_are_those_of_a_loaded_model(processor, tmp_path, backend):
    scene, _ = scene_and_rng()
    processor.save_pretrained(tmp_path)
    images = load_processor("tiny", tmp_path, backend).image_processor
    wanted = images(images=Image.fromarray(render(scene)), return_tensors="pt")["pixel_values"]
    # But for rounding.
    torch.testing.assert_close(batches.Packer(processor).pixels(render(scene)[None]), wanted, atol=1e-6, rtol=0)


def test_noise_is_small_and_of_both_signs():
    scene, rng = scene_and_rng()
    change = batches.noisy([scene], rng, 6).astype(int) - render(scene)
    assert change.min() == -6
    assert change.max() == 6


def test_packed_questions_get_the_logits_that_each_has_alone(processor, model):
    """The packed rows against the processor's own tokens, one question at a time."""
    rng = np.random.default_rng(5)
    scenes = [draw_scene(rng) for _ in range(3)]
    rows = [[(name, LESSON(scene, rng, scenes[0])) for name, LESSON in lessons.LESSONS.items()] for scene in scenes]
    packer = batches.Packer(processor)
    batch = packer.pack(packer.pixels(batches.noisy(scenes, rng, 0)), rows)
    with torch.no_grad():
        packed = training.answer_logits(model, batch)
        number = 0
        for scene, row in zip(scenes, rows, strict=True):
            for _, question in row:
                text = PROMPT.format(text=question.text) + question.answer + "</s>"
                inputs = processor(images=Image.fromarray(render(scene)), text=text, return_tensors="pt")
                mine = batch.question == number
                length = int(mine.sum())
                assert batch.targets[mine].tolist() == inputs["input_ids"][0, -length:].tolist()
                alone = model(**inputs).logits[0, -length - 1 : -1]
                torch.testing.assert_close(packed[mine], alone, atol=1e-3, rtol=1e-3)
                number += 1
    assert number == len(batch.lessons) == 3 * len(lessons.LESSONS)


def test_each_question_weighs_the_same_however_long_its_answer():
    """A long right answer beside a short wrong one: the mean over tokens would be near 0, over questions near half."""
    targets = torch.tensor([0] * 9 + [1])
    question = torch.tensor([0] * 9 + [1])
    logits = torch.tensor([[20.0, 0.0]]).repeat(10, 1)
    losses = training.question_losses(logits, targets, question)
    assert losses.tolist() == pytest.approx([0.0, 20.0], abs=1e-4)
    assert losses.mean().item() == pytest.approx(10.0, abs=1e-4)


@pytest.mark.parametrize("name", ["object", "statement", "agreement"])
def test_answers_are_balanced(name):
    rng = np.random.default_rng(4)
    scenes = [lessons.draw_scene_for(name, rng) for _ in range(900)]
    answers = [lessons.LESSONS[name](scene, rng, scenes[i - 1]).answer for i, scene in enumerate(scenes)]
    kinds = ("yes", "no", "maybe") if name == "statement" else ("yes", "no")
    assert set(answers) == set(kinds)
    assert all(abs(answers.count(kind) / 900 - 1 / len(kinds)) < 0.06 for kind in kinds)


def test_only_lessons_for_the_dark_are_asked_of_scenes_in_the_dark(processor, monkeypatch):
    asked: list[tuple[str, Scene]] = []

    def noted(name, lesson):
        def ask(scene, rng, other):
            asked.append((name, scene))
            return lesson(scene, rng, other)

        return ask

    monkeypatch.setattr(batches, "LESSONS", {name: noted(name, lesson) for name, lesson in lessons.LESSONS.items()})
    packer, rng = batches.Packer(processor), np.random.default_rng(0)
    packer.draw(rng, 48, 240, dict.fromkeys(lessons.LESSONS, 1.0), dark=1 / 3)
    assert {name for name, scene in asked if scene.dark} == set(lessons.IN_THE_DARK)
    assert {name for name, scene in asked if not scene.dark} == set(lessons.LESSONS)
    assert len({scene for _, scene in asked if scene.dark}) == 16
    asked.clear()
    packer.draw(rng, 48, 60, {"object": 1.0}, dark=1 / 3)
    assert not any(scene.dark for _, scene in asked)


def test_rows_are_full_and_long_lessons_no_rarer(processor):
    packer, rng = batches.Packer(processor), np.random.default_rng(0)
    batch = packer.draw(rng, 200, 120, {"describe": 1.0, "object": 1.0})
    lengths = (batch.ids != processor.tokenizer.pad_token_id).sum(1)
    assert lengths.max() <= 120
    assert lengths.float().mean() > 105
    share = batch.lessons.count("describe") / len(batch.lessons)
    assert abs(share - 0.5) < 4 * (0.25 / len(batch.lessons)) ** 0.5


def test_exchanging_twice_may_lead_back():
    """Each of the scenes that an exchange may give is as likely to be led back as to be reached."""
    rng = np.random.default_rng(0)
    objects = [("circle", "red", 0), ("square", "blue", 1), ("circle", "blue", 2)]
    scene = Scene(tuple(SceneObject(s, c, i, 0, 16 * i + 8, 8, 6) for s, c, i in objects))
    reached = Counter(lessons._exchanged(scene, rng) for _ in range(6000))
    for other, times in reached.items():
        back = sum(lessons._exchanged(other, rng) == scene for _ in range(6000))
        assert abs(back - times) < 5 * (2 * 6000 * 0.25) ** 0.5
    assert scene not in reached


def test_object_answers_are_true():
    rng = np.random.default_rng(4)
    for _ in range(300):
        scene = draw_scene(rng)
        question = lessons.object_question(scene, rng)
        words = question.text.replace("?", "").split()
        there = any(
            all(word in (item.shape, item.colour) for word in words if word in (*SHAPES, *COLOURS))
            for item in scene.objects
        )
        assert question.answer == ("yes" if there else "no")


def test_a_scene_that_gqa_cannot_ask_about_is_asked_something_else():
    pairs = [("circle", "red"), ("circle", "blue"), ("square", "red"), ("square", "blue")]
    scene = Scene(tuple(SceneObject(s, c, i, 0, 16 * i + 8, 8, 6) for i, (s, c) in enumerate(pairs)))
    assert lessons.gqa_question("ChooseAttr", scene, np.random.default_rng(0)).answer in ("yes", "no")


def test_a_correct_model_is_found_correct_and_a_wrong_one_wrong(processor, model):
    """A model that always says what is asked for is built by training on one question until it has it by heart."""
    scene, _ = scene_and_rng()
    question = lessons.Question("Is there a circle?", "yes")
    student = make_model(processor.tokenizer, seed=1)
    packer = batches.Packer(processor)
    batch = packer.pack(packer.pixels(render(scene)[None]), [[("object", question)]])
    optimizer = torch.optim.AdamW(student.parameters(), lr=3e-3)
    for _ in range(15):
        training.question_losses(
            training.answer_logits(student, batch), batch.targets, batch.question
        ).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    wrong = lessons.Question("Is there a circle?", "no")
    longer = lessons.Question("Is there a circle?", "yes, a circle")
    assert evaluation.answered(student.eval(), processor, [scene] * 3, [question, wrong, longer]) == [
        True,
        False,
        False,
    ]
    assert training.packed_accuracy(student, batch) == {"object": 1.0}


def test_a_short_run_writes_a_model_that_loads(trained):
    folder = trained / "model"
    assert (folder / "model.safetensors").is_file()
    assert not list(trained.glob(".*"))
    model = AutoModelForImageTextToText.from_pretrained(folder)
    processor = AutoProcessor.from_pretrained(folder)
    assert type(model).__name__ == "LlavaForConditionalGeneration"
    text = processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Describe the image."}]}],
        add_generation_prompt=True,
    )
    inputs = processor(images=Image.new("RGB", (64, 64)), text=text, return_tensors="pt")
    assert model.generate(**inputs, max_new_tokens=3, do_sample=False).shape[1] <= inputs["input_ids"].shape[1] + 3


def test_a_short_run_writes_its_curve_and_evaluation(trained):
    with open(trained / "curve.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["seconds", "step", "phase", "lesson", "metric", "value"]
    assert {row["phase"] for row in rows} <= {"warm-up", "objects", "lessons"}
    assert {row["metric"] for row in rows} == {"loss", "accuracy"}
    assert set(lessons.LESSONS) < {row["lesson"] for row in rows}
    evaluated = json.loads((trained / "model" / "evaluation.json").read_text())
    assert set(evaluated["held_out_accuracy"]) == set(lessons.LESSONS)
    assert evaluated["training"]["cpu_seconds"] > 0
    assert evaluated["training"]["objective"] == "both"


def test_a_seed_decides_the_weights(trained):
    plan = training.Plan().scaled(0.005)
    again, _ = training.train(3, plan, lambda *_: None)
    saved = AutoModelForImageTextToText.from_pretrained(trained / "model").state_dict()
    assert all(torch.equal(value, saved[name]) for name, value in again.state_dict().items())


@pytest.mark.parametrize(
    "objective", [*(pytest.param(name, marks=pytest.mark.whole) for name in ("captions", "questions")), "both"]
)
def test_an_objective_decides_what_is_taught(objective):
    measured = []
    plan = replace(training.Plan(objective=objective, report_every=1, pictures=24), warm_up_steps=1).scaled(0.01)
    training.train(0, plan, lambda *row: measured.append(row))
    taught = {lesson for _, _, lesson, metric, _ in measured if metric == "loss"} - {"patches"}
    wanted = {"captions": {"describe"}, "questions": set(lessons.LESSONS) - {"describe"}, "both": set(lessons.LESSONS)}
    assert taught == wanted[objective]
    # Held-out accuracy is of all lessons, whatever was taught.
    assert {lesson for _, _, lesson, metric, _ in measured if metric == "accuracy"} == set(lessons.LESSONS)


def test_a_senseless_option_is_the_users_error(tmp_path):
    command = [sys.executable, str(SCRIPTS / "train_embedded_model.py"), "--out", str(tmp_path / "m")]
    done = subprocess.run(
        [*command, "--curve", str(tmp_path / "c.csv"), "--steps-scale", "0"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: --steps-scale 0")
