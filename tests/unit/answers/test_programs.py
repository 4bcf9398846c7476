"""From pictures to answers by the programs that the workflow runs."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from layerwise.answers.table import read_answers
from layerwise.models.adapters import generic
from layerwise.models.answer_tokens import answer_tokens
from layerwise.models.registration import describe_model
from tests.cells import extraction, run_here, write_items
from tests.conftest import REPOSITORY

ANSWERS = {"match": ["yes"], "mismatch": ["no", "green"]}


def test_programs_read_what_the_model_says(tmp_path, tiny_llava, monkeypatch):
    for name, colour in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (32, 32), colour).save(tmp_path / f"{name}.png")
    texts = ["Is it a circle?", "A blue star?", "Is a red square left of it?"]
    shown = [(f"i{n}", tmp_path / f"{'ab'[n % 2]}.png", text) for n, text in enumerate(texts)]
    items = write_items(tmp_path, shown)
    entry = {"source": str(tiny_llava), "weights": "pretrained", "adapter": "generic"}
    described = describe_model("m", entry | dict.fromkeys(("dtype", "conversation"), "auto"), None, 0)
    run_here(extraction(tmp_path, described, ["last"], tmp_path / "s.h5"), monkeypatch)

    def program(name, **options):
        given = [str(part) for key, value in options.items() for part in (f"--{key}", value)]
        run_here(["python", str(REPOSITORY / f"scripts/{name}.py"), *given], monkeypatch)

    program("read_head", model=tmp_path / "model.json", out=tmp_path / "head.safetensors")
    cell = {"stimuli": "s", "prompt": "p", "prompt_entry": {"text": "{text}"}, "positions": ["last"]}
    asked = {"text": "{text}", "answers": ANSWERS}
    program(
        "read_answers", states=tmp_path / "s.h5", cell=json.dumps(cell), model=tmp_path / "model.json",
        stimuli=tmp_path, head=tmp_path / "head.safetensors", prompt=json.dumps(asked), threads=1,
        out=tmp_path / "answers.parquet",
    )  # fmt: skip
    found = read_answers(tmp_path / "answers.parquet")
    assert found.cell["model_digest"] == described["digest"]
    top = found.table[found.table["layer"] == found.table["layer"].max()]
    model = generic.load(described, "cpu")
    for row, scores, mass in zip(items.itertuples(), top["scores"], top["mass"], strict=True):
        with torch.inference_mode():
            logits = model.model(**model.prepare([Image.open(row.image)], [row.text])).logits[0, -1]
        p = []
        for name, words in ANSWERS.items():
            tokens = {token for word in words for ids in answer_tokens(model, row.text, word).values() for token in ids}
            assert {token["id"] for token in found.tokens[name]} == tokens
            p.append(float(logits.softmax(-1)[list(tokens)].sum()))
        np.testing.assert_allclose(scores, np.log(np.array(p) / sum(p)), atol=1e-5)
        assert mass == pytest.approx(sum(p), rel=1e-4)
    assert list(top["item_id"]) == list(items["item_id"])
