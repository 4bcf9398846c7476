"""Language models in a study: the prompts that they are asked, what is refused, and models made from them."""

import copy

import pytest

from layerwise.config.reading import validate
from layerwise.cost.estimate import estimate_states
from layerwise.errors import InputError
from layerwise.planning.grid import ProbeCell, StatesCell
from layerwise.planning.leaving_out import leave_out
from layerwise.study import Study
from tests.families.text_models import LANGUAGE_MODELS

TEXT_ONLY = {"agree-text-only", "statement-text-only", "premise"}
LANGUAGE_MODEL = {"source": "lab/llama", "adapter": "text"}


@pytest.fixture
def asked(study):
    """The demo's study with a language model, which one model was made from, and its untrained twin."""
    study["flow"] = {}
    study["stimuli"]["hypotheses"] |= {"premise": True, "prompts": ["statement", "statement-text-only", "premise"]}
    study["models"] |= {
        "llava": {"source": "lab/llava", "made_from": "llama"},
        "llama": dict(LANGUAGE_MODEL),
        "llama-untrained": LANGUAGE_MODEL | {"weights": "random"},
    }
    return study


def test_it_is_asked_the_prompts_without_an_image(asked):
    grid = Study.from_config(asked).grid
    for model in ("llama", "llama-untrained"):
        cells = [cell for cell in grid.states_cells() if cell.model == model]
        assert {cell.prompt for cell in cells} == TEXT_ONLY
        # A stimulus set without such a prompt has no cell.
        assert {cell.stimuli for cell in cells} == {"captions", "hypotheses"}
    # Others are asked all, in the order of the set.
    prompts = [cell.prompt for cell in grid.states_cells() if cell[:2] == ("llava", "captions")]
    assert prompts == ["agree", "caption", "agree-text-only"]
    assert StatesCell("llama", "hypotheses", "premise") in grid.answers_cells()
    assert grid.twins()["llama"] == ["llama-untrained"]
    assert {cell.model for cell in grid.carried_cells()} >= {"llama", "llama-untrained"}


def test_named_prompts_are_those_alone(asked):
    asked["models"]["llama"] = LANGUAGE_MODEL | {"prompts": ["premise"], "tasks": ["snli-ve"]}
    cells = [cell for cell in Study.from_config(asked).grid.probe_cells() if cell.model == "llama"]
    assert cells == [ProbeCell("llama", "snli-ve", "premise")]


def test_cells_that_both_have_are_compared(asked):
    asked["models"]["llava"]["prompts"] = ["statement", "premise"]
    study = Study.from_config(asked)
    expected = [ProbeCell("llava", task, "premise") for task in ("snli-ve", "snli-ve-binary")]
    assert study.grid.made_from() == {"llava": "llama"}
    assert study.grid.made_from_cells() == expected
    assert study.notes == []
    asked["models"]["llava"]["prompts"] = ["statement"]
    assert any(
        note.startswith("The config: models.llava.made_from has no effect") for note in Study.from_config(asked).notes
    )


def test_an_origin_changes_no_recipe_and_goes_with_its_model(asked):
    plain = copy.deepcopy(asked)
    del plain["models"]["llava"]["made_from"]
    folders = {Study.from_config(config).model_folder("llava") for config in (asked, plain)}
    assert len(folders) == 1
    config, _ = leave_out(validate(asked | {"leave_out": ["llama"]}))
    assert config.models["llava"].made_from is None
    config, _ = leave_out(validate(asked | {"leave_out": ["llama-untrained"]}))
    assert config.models["llava"].made_from == "llama"
    # An intervention is compared with the model as it is, and with nothing else.
    asked["models"]["cut"] = asked["models"]["llava"] | {
        "intervention": {"cut-image": {"blocks": "upper"}},
        "prompts": ["agree"],
    }
    assert Study.from_config(asked).grid.made_from() == {"llava": "llama"}


def change(name, **keys):
    return lambda c: c["models"][name].update(keys)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            change("llama", prompts=["agree"]),
            "models.llama.prompts: the prompt agree of stimuli.captions shows a picture, and a language model sees",
        ),
        (change("llama", tasks=["objects"]), "models.llama: a language model is asked prompts without a picture, and"),
        (
            lambda c: c["models"].update(again=LANGUAGE_MODEL | {"source": "embedded"}),
            "models.again.adapter: the embedded model sees pictures",
        ),
        (change("llama", image_processor="pil"), "models.llama.image_processor: a language model is shown no picture"),
        (
            change("llama", processor={"do_resize": False}),
            "models.llama.processor: a language model is shown",
        ),
        (
            change("shapes-llava", processor={"do_resize": False}),
            "models.shapes-llava.processor: the embedded model is trained on",
        ),
        (
            lambda c: c["models"].update(emu={"source": ".", "adapter": "emu", "processor": {"do_resize": False}}),
            "models.emu.processor: the adapter 'emu' makes the pixels with its authors' code; leave it out",
        ),
        (change("llama", conversation="Hm."), r"conversation: 'Hm.' must hold \{prompt\} exactly once"),
        (change("llama", conversation="<image><image>{prompt}"), "must hold <image> exactly once"),
        (
            lambda c: c["models"].update(cut=LANGUAGE_MODEL | {"intervention": {"cut-image": {"blocks": "upper"}}}),
            "models.cut.intervention.cut-image: it changes the image, and a language model is shown none",
        ),
        (
            lambda c: c["flow"].update(
                models={"llama": {}}, questions={"q": {"dataset": "shapes-gqa", "prompt": "short"}}
            ),
            "flow.models.llama: flows start at the question's image, and a language model sees none",
        ),
        (change("llama", made_from="llama"), "models.llama.made_from: this is a language model itself"),
        (change("llava", made_from="nope"), "models.llava.made_from: there is no 'nope'; `models` has"),
        (change("llava", made_from="shapes-llava"), "made_from: shapes-llava is not a language model; name an entry"),
        (change("llava", made_from="llama-untrained"), "llama-untrained has random weights or an intervention"),
        (change("llava", weights="random"), "models.llava.made_from: random weights were made from no other model"),
    ],
)
def test_what_is_refused_when_the_study_is_planned(asked, change, complaint):
    Study.from_config(copy.deepcopy(asked))
    change(asked)
    with pytest.raises(InputError, match=complaint):
        Study.from_config(asked)


@pytest.mark.parametrize("conversation", ["{prompt}", "USER: {prompt}", "<image>\nUSER: {prompt}", "chat"])
def test_its_conversation_needs_no_place_for_an_image(asked, conversation):
    asked["models"]["llama"]["conversation"] = conversation
    Study.from_config(asked)


def test_a_bypass_is_allowed(asked):
    asked["models"]["routed"] = LANGUAGE_MODEL | {"intervention": {"bypass": {"from": 1, "scale": 1}}}
    assert "routed" in {cell.model for cell in Study.from_config(asked).grid.states_cells()}


def test_its_cost_is_that_of_its_texts(asked, tmp_path):
    """By what the entry expects, and read off its files."""
    for part in LANGUAGE_MODELS[0].build():
        part.save_pretrained(tmp_path / "llama")
    expected = {"layers": 3, "width": 64, "parameters": 1e-4, "image_tokens": 0, "vision_parameters": 0}
    asked["models"] = {
        "expected": LANGUAGE_MODEL | {"expected": expected},
        "here": LANGUAGE_MODEL | {"source": str(tmp_path / "llama")},
    }
    asked["embedded_models"] = {}
    cells = estimate_states(Study.from_config(asked), "cpu").set_index(["model", "stimuli", "prompt"])
    for stimuli, prompt in (("captions", "agree-text-only"), ("hypotheses", "premise")):
        by_files, by_entry = cells.loc[("here", stimuli, prompt)], cells.loc[("expected", stimuli, prompt)]
        assert by_files["inputs"] == by_entry["inputs"] > 0
        # A text of 15 to 60 words; the tiny tokenizer writes most of them in pieces.
        assert 5 < by_files["tokens"] / by_files["inputs"] < 200
        assert 5 < by_entry["tokens"] / by_entry["inputs"] < 200
        assert by_files["layers"] == by_entry["layers"] == 3
        assert by_files["flop"] > 0
