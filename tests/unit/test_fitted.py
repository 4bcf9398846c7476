"""Models whose intervention needs a concept: which one, where it lies, what it decides, and what is refused."""

import copy
import re

import pytest

from layerwise.compare.intervened import in_words
from layerwise.config.reading import merge
from layerwise.errors import InputError
from layerwise.planning.grid import FITTED_BY, FittedOn, ProbeCell, StatesCell
from layerwise.study import Study

ERASE = {"task": "entailment", "prompt": "agree", "block": 3}
STEER = ERASE | {"strength": 2}


def changed(study, **interventions):
    """The study with models that change the trained one; their prompts are ``agree``."""
    plain = {"source": "embedded", "prompts": ["agree"]}
    made = {name: plain | {"intervention": intervention} for name, intervention in interventions.items()}
    return study | {"models": study["models"] | made}


def test_a_concept_is_that_of_the_model_as_it_is(study):
    twin = {"source": "embedded", "weights": "random", "seed": 9}
    study["models"]["twin"] = twin
    study = changed(
        study, last={"erase": ERASE}, text={"steer": STEER | {"at": "text"}}, cut={"cut-image": {"blocks": [1, 2]}}
    )
    study["models"]["of-twin"] = twin | {"prompts": ["agree"], "intervention": {"erase": ERASE}}
    made = Study.from_config(study)
    cell = ProbeCell("shapes-llava", "entailment", "agree")
    assert made.grid.fitted_on("last") == FittedOn(cell, "last", 3)
    assert made.grid.fitted_on("text") == FittedOn(cell, "text", 3)
    # The twin's own, not that of the model which it is a twin of.
    assert made.grid.fitted_on("of-twin").cell.model == "twin"
    assert made.grid.fitted_on("cut") is made.grid.fitted_on("twin") is None
    assert made.grid.concept_cells() == [cell, cell._replace(model="twin")]
    assert made.fitted_file("last") == "results/used/shapes-llava/entailment/agree.concept.safetensors"
    assert made.fitted_file("text") == "results/used/shapes-llava/entailment/agree.text-3.streamed.safetensors"
    assert made.fitted_file("shapes-llava") is made.fitted_file("cut") is None
    # It is asked its own prompts, and is compared with the model as it is.
    assert [cell for cell in made.grid.states_cells() if cell.model == "last"] == [
        StatesCell("last", "captions", "agree")
    ]
    assert "last" not in made.grid.base_models()


def test_the_code_that_fits_counts_in_the_states_of_no_other_model(study, monkeypatch):
    study = changed(
        study, last={"erase": ERASE}, text={"erase": ERASE | {"at": "text"}}, cut={"cut-image": {"blocks": [1, 2]}}
    )
    grid = Study.from_config(study).grid
    before = {cell: grid.planned(*cell) for cell in grid.states_cells()}
    assert {cell.model for cell in before if "fitted_by" in before[cell]} == {"last", "text"}
    digest = {FITTED_BY[0]: "another"}
    own = "layerwise.planning.grid.code_digest"
    from layerwise.planning.grid import code_digest

    monkeypatch.setattr(own, lambda *files: digest.get(files[0]) or code_digest(*files))
    assert {cell.model for cell in before if grid.planned(*cell) != before[cell]} == {"last"}
    digest["stream_concept.py"] = "another"
    assert {cell.model for cell in before if grid.planned(*cell) != before[cell]} == {"last", "text"}


@pytest.mark.parametrize(
    ("change", "makes_another_model"),
    [
        ({"block": 2}, True),
        ({"at": "text"}, True),
        ({"at": "last"}, False),
        ({"prompt": "caption"}, True),
    ],
)
def test_an_entry_is_another_model(study, change, makes_another_model):
    before = Study.from_config(changed(study, m={"erase": ERASE})).model_folder("m")
    after = Study.from_config(changed(study, m={"erase": ERASE | change})).model_folder("m")
    assert (before != after) is makes_another_model


OBJECTS = {"task": "objects", "prompt": "category", "block": 3}


@pytest.mark.parametrize(
    ("intervention", "more", "message"),
    [
        (
            {"erase": ERASE | {"task": "entailmnt"}},
            {},
            "m.intervention.erase.task: there is no 'entailmnt'; `tasks` has",
        ),
        ({"erase": ERASE | {"prompt": "agre"}}, {}, "erase.prompt: there is no 'agre'; stimuli.captions has agree, "),
        ({"erase": ERASE | {"prompt": "statement"}}, {}, "erase.prompt: there is no 'statement'; stimuli.captions has"),
        ({"erase": ERASE | {"block": 0}}, {}, "erase.block: must be a whole number of at least 1"),
        ({"erase": ERASE | {"at": "first"}}, {}, "erase.at: "),
        ({"erase": {"task": "entailment", "prompt": "agree"}}, {}, "erase: the key 'block' is missing"),
        ({"steer": ERASE}, {}, "steer: the key 'strength' is missing"),
        ({"steer": STEER | {"strength": 0}}, {}, "steer.strength: 0 moves nothing"),
        (
            {"steer": STEER | {"along": "probe", "at": "text"}},
            {},
            "steer.along: kept probes are those of the last token",
        ),
        ({"steer": STEER | {"toward": "agree"}}, {}, "steer.toward: the task entailment has no class 'agree'; it has "),
        (
            {"steer": STEER | {"task": "snli-ve", "prompt": "statement"}},
            {},
            "steer.toward: the task snli-ve has 3 classes; say toward which states are moved: ",
        ),
        (
            {"erase": OBJECTS | {"prompt": "no-cue"}},
            {},
            "erase.prompt: no-cue reads the same for all categories of an image",
        ),
        (
            {"erase": ERASE | {"prompt": "agree-text-only", "at": "image"}},
            {"stimuli": {"captions": {"prompts": ["agree", "agree-text-only"]}}},
            "erase.prompt: agree-text-only shows no image",
        ),
        (
            {"erase": ERASE},
            {"models": {"shapes-llava": {"prompts": ["caption"]}}},
            "erase.prompt: the concept is fitted to states of shapes-llava, which is not asked agree in the task "
            "entailment; add them to models.shapes-llava.prompts",
        ),
        (
            {"erase": ERASE},
            {"models": {"shapes-llava": {"tasks": ["objects"]}}},
            "erase.prompt: the concept is fitted to states of shapes-llava, which is not asked agree",
        ),
        ({"erase": ERASE}, {"probes": {"keep": False}}, "erase.at: a concept of the last token is fitted beside kept"),
        (
            {"erase": ERASE},
            {
                "states": {"positions": ["image-mean", "last"]},
                "stimuli": {"captions": {"prompts": ["agree"]}, "hypotheses": {"prompts": ["statement"]}},
            },
            "erase.at: the concept is fitted to states of the last token, and probes read image-mean",
        ),
        (
            {"erase": ERASE | {"task": "many"}},
            {
                "tasks": {
                    "many": {
                        "stimuli": "captions",
                        "question": "local",
                        "knowledge": {"about": "count", "as": "number"},
                        "metric": "r2",
                    }
                }
            },
            "erase.task: many is about numbers, and a concept has classes",
        ),
        (
            {"erase": OBJECTS | {"task": "colours"}},
            {
                "tasks": {
                    "colours": {
                        "stimuli": "objects",
                        "question": "local",
                        "knowledge": {"about": "attributes", "attribute": "colour"},
                    }
                }
            },
            "erase.task: colours has several labels for an item, and a concept has one",
        ),
    ],
)
def test_what_cannot_be_fitted_is_refused_when_the_study_is_planned(study, intervention, more, message):
    made = copy.deepcopy(changed(study, m={"erase": ERASE}))
    Study.from_config(made)
    made["models"]["m"]["intervention"] = intervention
    made["models"]["m"]["prompts"] = ["agree"]
    merge(made, more)
    with pytest.raises(InputError, match=re.escape(message)):
        Study.from_config(made)


def test_a_model_whose_blocks_are_not_reached_is_refused(study):
    study["models"]["emu"] = {"source": "lab/emu", "adapter": "emu"}
    study["models"]["m"] = study["models"]["emu"] | {"prompts": ["agree"], "intervention": {"erase": ERASE}}
    study["adapters"] = {"emu": {"environment": "legacy"}}
    with pytest.raises(InputError, match=r"m\.intervention: the adapter emu of models\.m runs its authors' code"):
        Study.from_config(study)


def test_the_model_as_it_is_must_be_there(study):
    study["models"]["m"] = {"source": "lab/other", "intervention": {"erase": ERASE}}
    with pytest.raises(InputError, match=r"models\.m: an intervention is shown beside the same model without it"):
        Study.from_config(study)


def test_image_tokens_need_an_image(study):
    study["stimuli"]["captions"]["prompts"] = ["agree", "agree-text-only"]
    made = changed(study, m={"erase": ERASE | {"at": "image"}})
    Study.from_config(made)
    made["models"]["m"]["prompts"] = ["agree", "agree-text-only"]
    with pytest.raises(
        InputError, match=r"m\.intervention\.erase: the prompt agree-text-only of stimuli\.captions shows"
    ):
        Study.from_config(made)
    # The last token of a text without an image is changed like any other.
    made["models"]["m"]["intervention"] = {"erase": ERASE}
    Study.from_config(made)


@pytest.mark.parametrize(
    ("intervention", "words"),
    [
        ({"cut-image": {"blocks": "middle"}}, "image cut in middle blocks"),
        ({"cut-image": {"blocks": [2, 4], "image": 2}}, "picture 2 cut in blocks 2-4"),
        ({"ablate-image": {"from": 3, "with": "mean"}}, "image tokens averaged from block 3 on"),
        ({"ablate-image": {"from": 3, "with": "zero", "image": 1}}, "picture 1's tokens zero from block 3 on"),
        ({"erase": ERASE | {"at": "last"}}, "entailment/agree erased at block 3 (last token)"),
        (
            {"steer": STEER | {"at": "text", "along": "means", "strength": -1.5}},
            "entailment/agree steered by -1.5 SD at block 3 (text tokens)",
        ),
        (
            {"steer": STEER | {"at": "last", "along": "probe", "toward": "match"}},
            "entailment/agree steered by 2 SD toward match along the probe at block 3 (last token)",
        ),
    ],
)
def test_in_words(intervention, words):
    assert in_words(intervention) == words
