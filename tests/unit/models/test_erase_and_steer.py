"""Erasing and steering as interventions: against hooks written out by hand, in batches and over a shared prefix."""

import re

import numpy as np
import pytest
import torch

from layerwise.errors import InputError
from layerwise.models.intervening import Intervention
from layerwise.models.interventions.concept_entry import output_changed
from layerwise.models.interventions.concept_file import Change, Concept, ConceptFile, Steering, write_concept
from layerwise.models.interventions.fitted import digest_of, with_file
from layerwise.models.interventions.model_checks import check_intervention
from tests import families
from tests.concepts import random_concept
from tests.families.measure import POSITIONS, PROMPTS, one_at_a_time, pictures, relative
from tests.families.text_models import LANGUAGE_MODELS

# Some prompts of one image are equal, or the start of another.
SHARING = [*PROMPTS, PROMPTS[0], f"{PROMPTS[0]} And what else is there?"]
ERASE = {"task": "t", "prompt": "p", "block": 2}
STEER = ERASE | {"strength": 2, "along": "means"}
KINDS = {
    f"{kind} at {at}": {kind: how | {"at": at}}
    for kind, how in (("erase", ERASE), ("steer", STEER))
    for at in ("last", "text", "image")
}
each_kind = pytest.mark.parametrize("intervention", KINDS.values(), ids=KINDS)
WITH_SHARING = [families.llava, families.qwen2_vl, families.internvl, families.gemma3, families.kosmos2]


def changed(family, intervention, tmp_path, **concept):
    """A model with an intervention, whose concept is random."""
    model = families.frozen(family)
    ((how,),) = (intervention.values(),)
    file = random_concept(tmp_path / "c.safetensors", model.width, how["at"], how["block"], **concept)
    model.intervention = Intervention(with_file(intervention, file), model.blocks)
    return model


def by_hand(model, prepared, at, edit):
    """States at the last token and over the image, with a hook that edits the block's output token by token."""
    image = model.image_tokens(prepared)[0]
    last = len(image) - 1
    where = {"last": [last], "text": (~image).nonzero().flatten().tolist(), "image": image.nonzero().flatten().tolist()}
    layers = []

    def hook(block, _args, output):
        hidden = output[0] if isinstance(output, tuple) else output
        if block is model.blocks[1]:
            hidden = hidden.clone()
            for token in where[at]:
                hidden[0, token] = torch.from_numpy(edit(hidden[0, token].double().numpy())).to(hidden.dtype)
        layers.append(hidden[0])
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    handles = [block.register_forward_hook(hook) for block in model.blocks]
    with torch.inference_mode():
        model.forward(**prepared, use_cache=False)
    for handle in handles:
        handle.remove()
    return {
        "last": torch.stack([layer[last] for layer in layers]),
        "image-mean": torch.stack([layer[image].mean(0) for layer in layers]),
    }


@each_kind
def test_the_states_are_those_of_a_hook_written_by_hand(intervention, tmp_path):
    model, image = changed(families.llava, intervention, tmp_path), pictures()[0]
    ((kind, how),) = intervention.items()
    concept = ConceptFile(tmp_path / "c.safetensors").block(2)
    from_, to = (part.astype(np.float64) for part in concept.erase)
    direction = concept.steer["means"]

    def edit(x):
        if kind == "erase":
            return x - sum(float(f @ (x - concept.mean)) * t for f, t in zip(from_, to, strict=True))
        return x + 2.0 * direction.deviation[0] * direction.direction[0].astype(np.float64)

    states = model.states([image], PROMPTS[:1], POSITIONS)
    plain = families.frozen(families.llava)
    expected = by_hand(plain, plain.prepare([image], PROMPTS[:1]), how["at"], edit)
    as_it_is = plain.states([image], PROMPTS[:1], POSITIONS)
    for position in POSITIONS:
        # Behind the blocks: the first layer is the embeddings, the last is the final norm.
        assert relative(states[position][0, 1:-1], expected[position]) < 1e-5
        assert torch.equal(states[position][0, :2], as_it_is[position][0, :2])
    assert relative(states["last"], as_it_is["last"]) > 1e-2
    if how["at"] == "last":
        assert torch.equal(states["image-mean"], as_it_is["image-mean"])


@pytest.mark.parametrize("family", WITH_SHARING, ids=lambda f: f.__name__)
@each_kind
def test_padding_and_a_shared_prefix_change_nothing(family, intervention, tmp_path):
    model, image = changed(family, intervention, tmp_path), pictures()[0]
    images = [image] * len(SHARING)
    alone = one_at_a_time(model, images, SHARING)
    padded = model.states(images, SHARING, POSITIONS)
    shared = model.states_shared(image, SHARING, POSITIONS)
    reported = model.reported(model.prepare([image], SHARING[:1]), POSITIONS)
    for position in POSITIONS:
        assert relative(padded[position], alone[position]) < 1e-5
        assert relative(shared[position], alone[position]) < 1e-5
        own = torch.cat([alone[position][:1, :-2], alone[position][:1, -1:]], dim=1)
        assert relative(own, reported[position]) < 1e-5


@pytest.mark.parametrize("prompts", [["Is it red?"] * 3, ["Is it", "Is it red", "Is it red?"]], ids=["equal", "starts"])
@pytest.mark.parametrize("at", ["last", "text"])
def test_texts_that_end_where_others_go_on(at, prompts, tmp_path):
    model, image = changed(families.llava, {"erase": ERASE | {"at": at}}, tmp_path), pictures()[0]
    # Without anything behind the prompt, one text is the start of another.
    model.conversation = "<image>{prompt}"
    alone = one_at_a_time(model, [image] * 3, prompts)
    shared = model.states_shared(image, prompts, ["last"])
    assert relative(shared["last"], alone["last"]) < 1e-5


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("at", ["last", "text"])
def test_padding_on_either_side(side, at, tmp_path):
    model, image = changed(families.llava, {"erase": ERASE | {"at": at}}, tmp_path), pictures()[0]
    alone = one_at_a_time(model, [image] * len(PROMPTS), PROMPTS)
    model.processor.tokenizer.padding_side = side
    padded = model.states([image] * len(PROMPTS), PROMPTS, ["last"])
    assert relative(padded["last"], alone["last"]) < 1e-5


NOTHING = {
    "an eraser of zeros": lambda d: Change(np.zeros((2, d)), np.ones((2, d)), np.ones(d), np.zeros(d)),
    "an eraser of rank 0": lambda d: Change(np.zeros((0, d)), np.zeros((0, d)), np.ones(d), np.zeros(d)),
    "a shift of zero": lambda d: Change(np.zeros((0, d)), np.zeros((0, d)), np.zeros(d), -0.0 * np.ones(d)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("nothing", NOTHING.values(), ids=NOTHING)
def test_a_change_of_nothing_leaves_every_bit(nothing, dtype):
    block = torch.nn.Linear(8, 8, dtype=dtype)
    hidden = torch.randn(2, 5, 8, dtype=dtype)
    plain = block(hidden)
    with output_changed(block, torch.ones(2, 5, dtype=torch.bool), nothing(8)):
        again = block(hidden)
    assert torch.equal(plain.view(torch.uint8), again.view(torch.uint8))


def test_a_class_can_be_named(tmp_path):
    """With two classes, a move away from the second is one toward the first."""
    image = pictures()[0]

    def states(**how):
        three = {"classes": ("a", "b", "c")} if how.pop("three", False) else {}
        return changed(families.llava, {"steer": STEER | {"at": "last"} | how}, tmp_path, **three).states(
            [image], PROMPTS[:1], ["last"]
        )["last"]

    assert torch.equal(states(), states(toward="yes"))
    assert torch.equal(states(toward="no"), states(strength=-2))
    assert not torch.equal(states(), states(strength=-2))
    assert not torch.equal(states(), states(along="probe"))
    assert not torch.equal(states(three=True, toward="b"), states(three=True, toward="c"))
    for how, message in (
        ({"three": True}, "has no class None to steer toward; it has a, b, c"),
        ({"toward": "maybe"}, "has no class 'maybe' to steer toward; it has no, yes"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            states(**how)


def test_a_concept_that_tells_nothing_is_refused(tmp_path):
    model, image = families.frozen(families.llava), pictures()[0]
    zeros = Steering(np.zeros((1, model.width)), np.zeros(1))
    none = np.zeros((1, model.width))
    concept = Concept(np.zeros(model.width), (none, none), (np.empty((0, 1, model.width)),) * 2, {"means": zeros})
    told = {"blocks": [2], "position": "last", "classes": ["no", "yes"], "cell": {}, "draws": 0, "seed": 0}
    write_concept(tmp_path / "c.safetensors", told, [concept])
    for kind in ({"erase": ERASE | {"at": "last"}}, {"steer": STEER | {"at": "last"}}):
        model.intervention = Intervention(with_file(kind, tmp_path / "c.safetensors"), model.blocks)
        with pytest.raises(InputError, match="nothing tells the classes apart in the output of block 2"):
            model.states([image], PROMPTS[:1], ["last"])


def test_what_changes_nothing_stops(tmp_path):
    image = pictures()[0]
    model = changed(families.llava, {"erase": ERASE | {"at": "last"}}, tmp_path)
    model.intervention._blocks = [torch.nn.Identity()] * 3
    with pytest.raises(ValueError, match="the block whose output is to be changed did not run"):
        model.states([image], PROMPTS[:1], ["last"])
    model = changed(families.llava, {"erase": ERASE | {"at": "image"}}, tmp_path)
    with pytest.raises(ValueError, match="there are no image tokens to change"):
        model.states([None], ["Hm."], ["last"])
    wrong = {"erase": ERASE | {"at": "text"}}
    model.intervention = Intervention(with_file(wrong, tmp_path / "c.safetensors"), model.blocks)
    with pytest.raises(InputError, match="the concept is of the position image, and it is changed at text"):
        model.states([image], PROMPTS[:1], ["last"])


def test_a_language_model_is_changed_too(tmp_path):
    model = LANGUAGE_MODELS[0].served()
    plain = model.states([None, None], ["A cat.", "A dog that runs."], ["last"])["last"]
    for at in ("last", "text"):
        file = random_concept(tmp_path / f"{at}.safetensors", model.width, at, 2)
        model.intervention = Intervention(with_file({"erase": ERASE | {"at": at}}, file), model.blocks)
        found = model.states([None, None], ["A cat.", "A dog that runs."], ["last"])["last"]
        assert torch.equal(found[:, :2], plain[:, :2])
        assert not torch.isclose(found[:, 2:], plain[:, 2:]).all(-1).any()


@pytest.mark.parametrize(
    ("intervention", "model_type", "message"),
    [
        ({"erase": ERASE | {"block": 9, "at": "last"}}, "llava", r"erase\.block: there is no block 9; the model has 3"),
        ({"steer": STEER | {"strength": 0, "at": "last"}}, "llava", r"steer\.strength: 0 moves nothing"),
        (
            {"steer": STEER | {"along": "probe", "at": "text"}},
            "llava",
            r"steer\.along: kept probes are those of the last token, and states are steered at the text tokens",
        ),
        ({"erase": ERASE | {"at": "image"}}, "mllama", r"erase: a model of type mllama allows none"),
    ],
)
def test_what_a_model_does_not_allow_is_named(intervention, model_type, message):
    with pytest.raises(InputError, match=message):
        check_intervention("m", intervention, 3, model_type)


def test_what_a_concept_was_fitted_from_counts_and_its_controls_and_names_do_not(tmp_path):
    rng = np.random.default_rng(0)

    def digest(kind="erase", how=None, draws=0, turn=1.0, **cell):
        numbers = rng.standard_normal((draws, 1, 8))
        concept = Concept(
            np.zeros(8),
            (np.eye(8)[:1], np.eye(8)[:1]),
            (numbers, numbers),
            {name: Steering(turn * np.eye(8)[:1], np.ones(1)) for name in ("means", "probe")},
        )
        cell = {"task": "t", "labels_digest": "l", "states": {"model": "m", "model_digest": "d", "code": "c"}} | cell
        told = {"blocks": [1], "position": "last", "classes": ["a", "b"], "cell": cell, "draws": draws, "seed": draws}
        write_concept(tmp_path / "c.safetensors", told, [concept])
        return digest_of({kind: {"block": 1} | (how or {})}, tmp_path / "c.safetensors")

    plain = digest()
    assert digest(draws=3) == digest(task="renamed") == plain
    kept = {"model": "other", "model_digest": "d", "code": "c", "sites": ["heads"], "torch": "2.0"}
    assert digest(states=kept) == plain
    assert digest(labels_digest="others") != plain
    assert digest(states=kept | {"model_digest": "e"}) != plain
    # A probe that was fitted otherwise counts where states are steered along it.
    along = {name: {"along": name} for name in ("means", "probe")}
    assert digest("steer", along["means"], turn=-1) == digest("steer", along["means"])
    assert digest("steer", along["probe"], turn=-1) != digest("steer", along["probe"])
