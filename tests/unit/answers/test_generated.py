"""What a model writes, and which class it says."""

import json
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from layerwise.answers import written_parts
from layerwise.answers.matching import filled, said_in
from layerwise.answers.writing import generate
from layerwise.answers.written import read_texts, write_texts
from layerwise.errors import InputError
from layerwise.models.adapters import generic
from layerwise.models.registration import describe_model
from tests.cells import run_here, write_items
from tests.conftest import REPOSITORY

YES_NO = {"present": ["yes"], "absent": ["no"]}
NAMED = {"present": ["{category}"], "absent": []}
WHERE = {"left": ["left", "to the left"], "right": ["right"], "both": ["left and right"]}


@pytest.mark.parametrize(
    ("text", "answers", "said"),
    [
        ("Yes.", YES_NO, "present"),
        ("**YES**, there is", YES_NO, "present"),
        ("No, there is not. Yes?", YES_NO, "absent"),
        # Words are compared whole.
        ("Nothing is known; not yesterday", YES_NO, ""),
        ("", YES_NO, ""),
        ("A dog and two cats.", NAMED, "present"),
        ("The dining_table", {"present": ["a dining table"], "absent": []}, "present"),
        ("three dining tables", {"present": ["dining table"], "absent": []}, "present"),
        ("dinings table", {"present": ["dining table"], "absent": []}, "absent"),
        ("Knives, buses", {"present": ["knife"], "absent": []}, "present"),
        ("Knives, buses", {"present": ["bus"], "absent": []}, "present"),
        ("a category", NAMED, "absent"),
        ("catalogues", NAMED, "absent"),
        # Nothing is no answer.
        (" ?! ", NAMED, ""),
        # Of answers that begin at the same word, the longest.
        ("Left and right!", WHERE, "both"),
        ("Left.", WHERE, "left"),
        ("It isn't there", {"present": ["is"], "absent": ["isn't"]}, "absent"),
        # Two classes at once.
        ("grey", {"light": ["grey"], "dark": ["Grey"]}, ""),
    ],
)
def test_what_a_text_says(text, answers, said):
    assert said_in(text, filled(answers, {"category": "cat"})) == said


@pytest.fixture
def cell(tmp_path, tiny_llava) -> dict:
    """The options of a job about a few items, of which two show the model the same."""
    for name, colour in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (32, 32), colour).save(tmp_path / f"{name}.png")
    texts = ["a circle?", "a blue star?", "a red square left of it?", "a circle?"]
    write_items(
        tmp_path, [(f"i{n}", tmp_path / f"{'ab'[n % 2]}.png", text) for n, text in enumerate([*texts, texts[0]])]
    )
    entry = {
        "source": str(tiny_llava),
        "weights": "pretrained",
        "dtype": "auto",
        "adapter": "generic",
        "conversation": "auto",
    }
    (tmp_path / "model.json").write_text(json.dumps(describe_model("m", entry, None, 0)))
    asked = {"model": "m", "stimuli": "s", "prompt": "p", "prompt_entry": {"text": "Is there {text}"}, "most_tokens": 5}
    return {
        "model": tmp_path / "model.json", "stimuli": tmp_path, "cell": asked, "batch_size": 1, "device_map": None,
        "cards": 1, "threads": 1, "work": tmp_path / "work", "kept": None, "out": tmp_path / "out.parquet",
    }  # fmt: skip


def by_hand(cell: dict) -> list[str]:
    """What ``generate`` of transformers itself writes, one item at a time."""
    described = json.loads(cell["model"].read_text())
    model = generic.load(described, "cpu")
    written = []
    for row in pd.read_parquet(cell["stimuli"] / "items.parquet").itertuples():
        inputs = model.prepare([Image.open(row.image)], [f"Is there {row.text}"])
        ids = model.model.generate(**inputs, max_new_tokens=cell["cell"]["most_tokens"], do_sample=False)
        new = ids[0, inputs["input_ids"].shape[1] :]
        written.append(model.processor.tokenizer.decode(new, skip_special_tokens=True).strip())
    return written


def test_a_model_writes_what_generate_does_and_goes_on_where_it_was_killed(cell, monkeypatch):
    asked: list[str] = []
    greedy = written_parts.greedy_answers

    def killed(model, images, prompts, most_tokens):
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.extend(prompts)
        return greedy(model, images, prompts, most_tokens)

    monkeypatch.setattr("layerwise.states.plan.BATCHES_PER_PART", 1)
    monkeypatch.setattr(written_parts, "greedy_answers", killed)
    with pytest.raises(KeyboardInterrupt):
        generate(**cell)
    assert not cell["out"].exists()
    more: list[str] = []
    monkeypatch.setattr(written_parts, "greedy_answers", lambda *given: more.extend(given[2]) or greedy(*given))
    generate(**cell)
    # Five items are four inputs, and none was run twice.
    assert len(asked) + len(more) == len({*asked, *more}) + 1 == 4
    texts, made_from = read_texts(cell["out"])
    assert list(texts["item_id"]) == [f"i{n}" for n in range(5)]
    assert list(texts["text"]) == by_hand(cell)
    assert len(set(texts["text"])) > 1
    assert made_from["most_tokens"] == 5
    assert not any(Path(cell["work"]).glob("*/"))


def test_texts_are_matched_with_what_their_items_put_in(tmp_path, monkeypatch):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    write_items(tmp_path, [(f"i{n}", tmp_path / "a.png", text) for n, text in enumerate(["a cat", "a dog", "a hat"])])
    written = pd.DataFrame({"item_id": ["i0", "i1", "i2"], "text": ["Cats.", "Cats.", ""]})
    write_texts(tmp_path / "w.parquet", written, {})
    options = {"--written": "w.parquet", "--stimuli": "", "--out": "said.parquet"}
    command = [
        "python",
        str(REPOSITORY / "scripts/match_answers.py"),
        "--answers",
        '{"named": ["{text}"], "other": []}',
    ]
    command += [str(part) for name, file in options.items() for part in (name, tmp_path / file)]
    run_here(command, monkeypatch)
    assert pd.read_parquet(tmp_path / "said.parquet").to_dict("list") == {
        **written.to_dict("list"),
        "class": ["named", "other", ""],
    }
    write_texts(tmp_path / "w.parquet", written[:2], {})
    with pytest.raises(InputError, match=r"w\.parquet: is about other items than"):
        run_here(command, monkeypatch)
