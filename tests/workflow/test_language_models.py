"""A tiny Llama beside the tiny LLaVA whose decoder it is, through the workflow: the same states of the same text."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoProcessor, LlavaForConditionalGeneration

from layerwise.states.store import StatesFile
from tests.workflow.conftest import TINY, Project, copy_project

CONVERSATION = "<image>\nUSER: {prompt}"
LLAVA = {"source": "models/llava", "batch_size": 32, "conversation": CONVERSATION}
LLAMA = {"source": "models/llama", "adapter": "text", "batch_size": 32, "conversation": CONVERSATION}
ANSWERS = {"yes": ["yes"], "no": ["no"]}
STUDY = TINY | {
    "embedded_models": {},
    "prompts": {
        "table": {
            "alone": {"text": "Is it {text}?", "image": "none", "answers": ANSWERS},
            "seen": {"text": "Is it {text}?", "answers": ANSWERS},
        },
    },
    "stimuli": {
        "own": TINY["stimuli"]["own"] | {"text_column": "even", "prompts": ["seen", "alone"]},
        "premises": TINY["stimuli"]["hypotheses"] | {"premise": True, "prompts": ["statement", "premise"]},
    },
    "tasks": {"warm": TINY["tasks"]["warm"], "premises": TINY["tasks"]["snli-ve"] | {"stimuli": "premises"}},
    "models": {
        "llava": LLAVA | {"made_from": "llama"},
        "llama": LLAMA,
        "llama-untrained": LLAMA | {"weights": "random"},
    },
    "states": {},
}
TEXT_ONLY = {("own", "alone"), ("premises", "premise")}


def make_language_model(llava: Path, folder: Path) -> None:
    """Write the decoder of a LLaVA as a language model, with its tokenizer."""
    whole = LlavaForConditionalGeneration.from_pretrained(llava, dtype=torch.float32)
    model = AutoModelForCausalLM.from_config(whole.config.text_config)
    model.model.load_state_dict(whole.model.language_model.state_dict())
    model.lm_head.load_state_dict(whole.lm_head.state_dict())
    model.save_pretrained(folder)
    AutoProcessor.from_pretrained(llava).tokenizer.save_pretrained(folder)


@pytest.fixture(scope="module")
def project(tmp_path_factory, tiny_llava, warm) -> Project:
    project = copy_project(tmp_path_factory.mktemp("language-models"), warm)
    shutil.copytree(tiny_llava, project.folder / "models/llava")
    make_language_model(tiny_llava, project.folder / "models/llama")
    project.configure(STUDY)
    project.snakemake()
    return project


@pytest.mark.slow
def test_a_model_and_its_language_model_have_the_same_states_of_a_text(project):
    results = project.folder / "results"
    for stimuli, prompt in TEXT_ONLY:
        files = [results / f"states/{model}/{stimuli}/{prompt}.h5" for model in STUDY["models"]]
        read = []
        for file in files:
            with StatesFile(file) as states:
                layers = [states.layer("last", layer) for layer in range(len(states.layers))]
                read.append(np.stack(layers)[:, states.row_of_item])
        llava, llama, untrained = read
        assert np.ptp(llava[-1], axis=0).max() > 1e-2
        distance = np.linalg.norm(llava - llama, axis=-1) / np.linalg.norm(llava, axis=-1)
        assert distance.max() <= 1e-5
        assert (np.linalg.norm(llava - untrained, axis=-1) / np.linalg.norm(llava, axis=-1)).min() > 0.1


@pytest.mark.slow
def test_the_language_model_is_asked_texts_alone(project):
    results = project.folder / "results"
    for model in ("llama", "llama-untrained"):
        asked = {(file.parent.name, file.stem) for file in results.glob(f"states/{model}/*/*.h5")}
        assert asked == TEXT_ONLY
    assert (results / "states/llava/own/seen.h5").exists()
    described = json.loads(next(results.glob("models/llama/*/model.json")).read_text())
    assert (described["adapter"], described["image_processor"]) == ("text", None)


@pytest.mark.slow
def test_what_both_say_and_know_is_the_same(project):
    results = project.folder / "results"
    llava, llama = (pd.read_parquet(results / f"answers/{model}/own/alone.parquet") for model in ("llava", "llama"))
    assert list(llava["item_id"]) == list(llama["item_id"])
    np.testing.assert_allclose(np.stack(llava["scores"]), np.stack(llama["scores"]), atol=1e-4)
    compared = pd.read_parquet(results / "compare/language-models.parquet")
    rows = set(zip(compared["model"], compared["base"], compared["task"], compared["prompt"], strict=True))
    assert rows == {("llava", "llama", "warm", "alone"), ("llava", "llama", "premises", "premise")}
    assert (compared["difference"].abs() < 1e-6).all()
    page = (results / "tables/table-language-models.md").read_text()
    assert "What multimodal training changed" in page
    assert "best layer" in page
    headline = pd.read_parquet(results / "compare/headline.parquet")
    assert set(zip(headline["model"], headline["made_from"], strict=True)) == {
        ("llava", "llama"),
        ("llama", ""),
        ("llama-untrained", ""),
    }
    for form in ("png", "svg", "pdf", "html"):
        assert (results / f"figures/recognition-by-model-by-layer.{form}").stat().st_size > 1000
    assert "is the language model that the other was made from" in (
        results / "figures/recognition-by-model-by-layer.html"
    ).read_text().replace("\n", " ")


@pytest.mark.slow
def test_nothing_is_left_to_do_and_an_origin_makes_no_state_stale(project):
    assert project.planned() == {}
    alone = STUDY | {"models": STUDY["models"] | {"llava": LLAVA}}
    project.configure(alone)
    try:
        planned = project.planned()
    finally:
        project.configure(STUDY)
    assert not {"register_model", "extract_states", "fit_probes", "read_answers"} & set(planned)
    assert planned["compare"] >= 1
