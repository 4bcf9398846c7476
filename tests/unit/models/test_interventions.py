"""Interventions: each against a forward pass written out by hand, in batches and over a shared prefix."""

import re
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace

import pytest
import torch
import yaml

from layerwise.code_digest import SCRIPTS, _closure, own_digest
from layerwise.errors import InputError
from layerwise.models.intervening import Intervention
from layerwise.models.interventions.catalogue import INTERVENTIONS
from layerwise.models.interventions.cut_image import cut_blocks
from layerwise.models.interventions.model_checks import check_intervention
from layerwise.models.registration import describe_model
from layerwise.planning.recipes import model_files
from layerwise.several_pictures import place
from layerwise.study import Study
from tests import families
from tests.conftest import REPOSITORY
from tests.families.comparing import all_at_once, unlike_prompts
from tests.families.measure import POSITIONS, PROMPTS, one_at_a_time, pictures, relative
from tests.families.several import pair
from tests.families.text_models import LANGUAGE_MODELS

LAYERS = 3
KINDS = {
    "bypass": {"bypass": {"from": 1, "into": 2, "scale": 0.7}},
    "bypass to the top": {"bypass": {"from": 1, "scale": -2.0}},
    "zero": {"ablate-image": {"from": 2, "with": "zero"}},
    "mean": {"ablate-image": {"from": 1, "with": "mean"}},
    "cut lower": {"cut-image": {"blocks": "lower"}},
    "cut two": {"cut-image": {"blocks": [2, 3]}},
}
ONE_OF_EACH = {
    "bypass": {"bypass": {"from": 1, "scale": 1}},
    "ablate-image": {"ablate-image": {"from": 1}},
    "cut-image": {"cut-image": {"blocks": "upper"}},
}
each_kind = pytest.mark.parametrize("intervention", KINDS.values(), ids=KINDS)


def intervened(intervention, family=families.llava):
    model = families.frozen(family)
    model.intervention = Intervention(intervention, model.blocks)
    return model


def by_hand(model, image, prompt, intervention):
    """One input through the decoder's blocks, called one after the other; states by position, (L + 2, width)."""
    inputs = model.prepare([image], [prompt])
    is_image, whose = model.image_tokens(inputs)[0], model.picture_tokens(inputs)[0]
    ((kind, how),) = intervention.items()
    numbers = [how["image"]] if "image" in how else range(1, int(whose.max()) + 1)
    seen = []

    def keep(_block, args, kwargs):
        seen.append((args, kwargs))

    first = model.blocks[0].register_forward_pre_hook(keep, with_kwargs=True)
    with torch.inference_mode():
        model.forward(**inputs, use_cache=False)
    first.remove()
    ((hidden,), kwargs) = seen[0]
    tokens = hidden.shape[1]
    states, outputs = [], []
    for number, block in enumerate(model.blocks, start=1):
        if kind == "ablate-image" and number >= how["from"]:
            hidden = hidden.clone()
            for own in (whose == k for k in numbers):
                image_states = hidden[0, own]
                hidden[0, own] = image_states.mean(0) if how["with"] == "mean" else torch.zeros_like(image_states)
        if number == 1:
            states.append(hidden)
        mask = torch.full((tokens, tokens), float("-inf")).triu(1)
        if kind == "cut-image" and number in cut_blocks(how["blocks"], LAYERS, ""):
            for own in (whose == k for k in numbers):
                later = torch.arange(tokens) > int(own.nonzero().max())
                mask[later[:, None] & own] = float("-inf")
        with torch.inference_mode():
            output = block(hidden, **kwargs | {"attention_mask": mask[None, None]})
        hidden = output[0] if isinstance(output, tuple) else output
        if kind == "bypass" and number == how.get("into", LAYERS):
            hidden = hidden + how["scale"] * outputs[how["from"] - 1]
        outputs.append(hidden)
        states.append(hidden)
    states.append(model.final_norm(hidden))
    stacked = torch.cat(states)
    return {"last": stacked[:, -1], "image-mean": stacked[:, is_image].mean(1)}


@each_kind
def test_an_intervention_is_what_it_says(intervention):
    model, image = intervened(intervention), pictures()[0]
    states = model.states([image], PROMPTS[:1], POSITIONS)
    expected = by_hand(families.frozen(families.llava), image, PROMPTS[0], intervention)
    plain = families.frozen(families.llava).states([image], PROMPTS[:1], POSITIONS)
    for position in POSITIONS:
        assert relative(states[position][0], expected[position]) < 1e-5
    # And it is not nothing.
    assert relative(states["last"], plain["last"]) > 1e-2


@pytest.mark.parametrize(
    "intervention",
    [
        {kind: how | image}
        for kind, how in (one for name in ("mean", "cut two") for one in KINDS[name].items())
        for image in ({}, {"image": 1}, {"image": 2})
    ],
    ids=str,
)
def test_an_intervention_on_one_of_two_pictures_or_both_is_what_it_says(intervention):
    model, shown, prompt = intervened(intervention), pair(), f"{place(1)} or {place(2)}? {PROMPTS[0]}"
    states = model.states([shown], [prompt], POSITIONS)
    expected = by_hand(families.frozen(families.llava), shown, prompt, intervention)
    for position in POSITIONS:
        assert relative(states[position][0], expected[position]) < 1e-5


@pytest.mark.parametrize(
    "family",
    [families.llava, families.qwen2_vl, families.internvl, families.gemma3, families.kosmos2],
    ids=lambda f: f.__name__,
)
@each_kind
def test_padding_and_a_shared_prefix_change_nothing(family, intervention):
    model, images = intervened(intervention, family), pictures()
    alone = one_at_a_time(model, [images[0]] * len(PROMPTS), PROMPTS)
    padded = model.states([images[0]] * len(PROMPTS), PROMPTS, POSITIONS)
    shared = model.states_shared(images[0], PROMPTS, POSITIONS)
    reported = model.reported(model.prepare([images[0]], PROMPTS[:1]), POSITIONS)
    for position in POSITIONS:
        assert relative(padded[position], alone[position]) < 1e-5
        assert relative(shared[position], alone[position]) < 1e-5
        own = torch.cat([alone[position][:1, :-2], alone[position][:1, -1:]], dim=1)
        assert relative(own, reported[position]) < 1e-5


def test_every_kind_of_the_catalogue_is_shown_here():
    assert {min(how) for how in KINDS.values()} == set(ONE_OF_EACH) <= set(INTERVENTIONS)
    assert all(kind.name == name for name, kind in INTERVENTIONS.items())


@each_kind
def test_nothing_of_it_stays_behind(intervention):
    model, image = intervened(intervention), pictures()[0]
    model.states_shared(image, PROMPTS, POSITIONS)
    changed = model.states([image], PROMPTS[:1], POSITIONS)
    model.intervention = None
    plain = families.frozen(families.llava).states([image], PROMPTS[:1], POSITIONS)
    again = model.states([image], PROMPTS[:1], POSITIONS)
    assert all(torch.equal(plain[position], again[position]) for position in POSITIONS)
    assert not torch.equal(changed["last"], plain["last"])


@pytest.mark.parametrize("intervention", [KINDS["mean"], KINDS["zero"], KINDS["cut two"]], ids=["mean", "zero", "cut"])
def test_a_text_without_an_image_is_left_alone(intervention):
    model = intervened(intervention)
    plain = families.frozen(families.llava)
    assert torch.equal(model.states([None], ["Hm."], ["last"])["last"], plain.states([None], ["Hm."], ["last"])["last"])


def seen_by(model, run):
    """The tokens of every forward pass that an intervention is given while something runs."""
    passes = []

    @contextmanager
    def keep(tokens):
        passes.append(tokens)
        yield

    model.intervention = SimpleNamespace(applied=keep)
    run()
    return passes


@pytest.mark.parametrize("side", ["left", "right"])
def test_an_intervention_is_told_what_the_tokens_of_a_whole_pass_are(side):
    model, images = families.frozen(families.llava), [pictures()[0]] * len(PROMPTS)
    model.processor.tokenizer.padding_side = side
    prepared = model.prepare(images, PROMPTS)
    (tokens,) = seen_by(model, lambda: model.run(prepared, POSITIONS))
    (again,) = seen_by(model, lambda: model.reported(prepared, POSITIONS))
    lengths = prepared["attention_mask"].sum(1).tolist()
    assert len(set(lengths)) > 1
    assert tokens.before is None
    for row, (length, own) in enumerate(zip(lengths, prepared["input_ids"] == model.image_token_id, strict=True)):
        end = length - 1 if side == "right" else own.shape[0] - 1
        assert tokens.last[row].nonzero().flatten().tolist() == [end]
        present = torch.arange(len(own)) <= end if side == "right" else torch.arange(len(own)) > end - length
        assert torch.equal(tokens.image[row], own)
        assert torch.equal(tokens.text[row], present & ~own)
    assert all(torch.equal(getattr(again, name), getattr(tokens, name)) for name in ("image", "last", "text"))


def test_an_intervention_is_told_what_the_tokens_of_several_images_are():
    """Together they have the tokens of each image alone; what fills up a row is no text."""
    model, images = families.frozen(families.llava), [pictures(1, seed)[0] for seed in range(3)]
    groups = [model.prepare_shared(image, some) for image, some in zip(images, unlike_prompts(), strict=True)]
    with all_at_once(model):
        prefix, rests = seen_by(model, lambda: model.run_several(groups, POSITIONS))
    assert prefix.image.any(1).all()
    assert torch.equal(rests.before, prefix.image)
    assert not prefix.last.any()
    assert not rests.image.any()
    counts = rests.last.sum(1)
    assert sorted(counts.tolist()) == sorted(len(group.rests) for group in groups)
    # Each row's text ends with the last token of its last text.
    last = rests.last.int()
    assert torch.equal(rests.text, last.flip(1).cumsum(1).flip(1) > 0)
    assert not rests.text.all()
    together = int(rests.text.sum()) + int((counts * prefix.text.sum(1)).sum())
    alone = 0
    for group in groups:
        before, behind = seen_by(model, partial(model.run_shared, group, POSITIONS))
        alone += int(behind.text.sum()) + len(group.rests) * int(before.text.sum())
    assert together == alone


SAME_START = ["Is it red", "Is it red or blue?", "Is it red and round?"]


@pytest.mark.parametrize("prompts", [PROMPTS, SAME_START, ["Is it red?"] * 3], ids=["differ", "a start", "equal"])
def test_an_intervention_is_told_what_the_tokens_of_a_shared_prefix_are(prompts):
    """Together, the passes over the prefix and the rests have the tokens of whole passes, whatever the texts share."""
    model, image = families.frozen(families.llava), pictures()[0]
    group = model.prepare_shared(image, prompts)
    prefix, rests = seen_by(model, lambda: model.run_shared(group, POSITIONS))
    in_prefix = group.prefix["input_ids"]
    assert prefix.before is None
    assert not prefix.last.any()
    assert torch.equal(prefix.image, in_prefix == model.image_token_id)
    assert torch.equal(prefix.text, in_prefix != model.image_token_id)
    assert torch.equal(rests.before, prefix.image)
    assert not rests.image.any()
    assert rests.text.all()
    # Rests of similar length run together, the shortest first.
    assert rests.last[0].nonzero().flatten().tolist() == [
        sum(lengths) - 1 for lengths in accumulated(sorted(len(rest) for rest in group.rests))
    ]
    whole = [seen_by(model, partial(model.states, [image], [prompt], POSITIONS))[0] for prompt in prompts]
    texts = sum(int(tokens.text.sum()) for tokens in whole)
    assert len(prompts) * int(prefix.text.sum()) + int(rests.text.sum()) == texts


def accumulated(lengths):
    return [lengths[: end + 1] for end in range(len(lengths))]


def test_a_language_model_has_no_tokens_of_an_image():
    model = LANGUAGE_MODELS[0].served()
    (tokens,) = seen_by(model, lambda: model.states([None] * 2, ["A cat.", "It is a cat, and it sleeps."], ["last"]))
    assert tokens.image is None
    assert tokens.before is None
    assert tokens.last.sum(1).tolist() == [1, 1]
    assert tokens.text.sum(1).unique().numel() == 2


def test_thirds_of_a_decoder():
    thirds = [cut_blocks(third, 32, "") for third in ("lower", "middle", "upper")]
    assert [list(third)[:1] + list(third)[-1:] for third in thirds] == [[1, 11], [12, 21], [22, 32]]
    assert [list(cut_blocks(third, 6, "")) for third in ("lower", "middle", "upper")] == [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("intervention", "model_type", "message"),
    [
        (
            {"bypass": {"from": 4, "scale": 1.0}},
            "llava",
            r"m\.intervention\.bypass\.from: there is no block 4; the model has 3",
        ),
        ({"bypass": {"from": 1, "into": 9, "scale": 1.0}}, "llava", r"bypass\.into: there is no block 9"),
        ({"bypass": {"from": 3, "scale": 1.0}}, "llava", r"bypass\.from: block 3 is not below block 3"),
        ({"ablate-image": {"from": 5, "with": "zero"}}, "llava", r"ablate-image\.from: there is no block 5"),
        ({"cut-image": {"blocks": [2, 4]}}, "llava", r"cut-image\.blocks: there are no blocks 2 to 4"),
        ({"cut-image": {"blocks": [3, 2]}}, "llava", r"cut-image\.blocks: there are no blocks 3 to 2"),
        ({"cut-image": {"blocks": [1, 2]}}, "mllama", r"a model of type mllama allows none: its blocks read the image"),
        ({"ablate-image": {"from": 1}}, "paligemma", r"a model of type paligemma allows none"),
        (
            {"cut-image": {"blocks": [1, 2]}},
            "molmo2",
            r"a model of type molmo2 allows none: tokens before the image also see",
        ),
        ({"ablate-image": {"from": 1}}, "instructblip", r"allows none: its image tokens are made with the text"),
    ],
)
def test_what_a_model_does_not_allow_is_named(intervention, model_type, message):
    with pytest.raises(InputError, match=message):
        check_intervention("m", intervention, LAYERS, model_type)


def test_two_blocks_have_no_thirds():
    with pytest.raises(InputError, match=r"2 blocks have no thirds; give \[first, last\]"):
        check_intervention("m", {"cut-image": {"blocks": "upper"}}, 2, "llava")


ENTRY = {"weights": "pretrained", "dtype": "float32", "adapter": "generic", "conversation": "auto"}


def test_the_same_files_are_another_model(tiny_llava):
    """Of an entry without an intervention nothing changes, and with one the model that it is made from is named."""
    entry = {"source": str(tiny_llava)} | ENTRY
    plain = describe_model("plain", entry, None, seed=1)
    cut = describe_model("cut", entry | {"intervention": {"cut-image": {"blocks": "upper"}}}, None, seed=1)
    assert {"intervention", "base"}.isdisjoint(plain)
    assert cut["base"] == plain["digest"] != cut["digest"]
    assert cut["folder"] == plain["folder"] == str(tiny_llava)
    with pytest.raises(InputError, match=r"models\.far\.intervention\.bypass\.from: there is no block 40"):
        describe_model("far", entry | {"intervention": {"bypass": {"from": 40, "scale": 1.0}}}, None, seed=1)


def test_an_intervention_is_part_of_a_model_and_the_prompts_that_it_runs_are_not():
    hub = {"source": "lab/model", "revision": "0" * 40}
    before = configured().model_folder("hub")
    assert configured(hub=hub | {"prompts": ["agree"]}).model_folder("hub") == before
    cut = hub | {"prompts": ["agree"], "intervention": {"cut-image": {"blocks": "upper"}}}
    assert configured(base=hub, hub=cut).model_folder("hub") != before


def configured(**models):
    """The demo's config with more models, checked."""
    config = yaml.safe_load((REPOSITORY / "config/prompts.yaml").read_text())
    for name in ("adapters", "config"):
        config |= yaml.safe_load((REPOSITORY / f"config/{name}.yaml").read_text())
    config["models"] |= {"hub": {"source": "lab/model", "revision": "0" * 40}} | models
    return Study.from_config(config)


EMBEDDED = {"source": "embedded"}


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({"a": EMBEDDED | {"intervention": {}}}, f"a.intervention: give one of {', '.join(INTERVENTIONS)}, not 0"),
        (
            {"a": EMBEDDED | {"intervention": {"bypass": {"from": 1, "scale": 1}, "cut-image": {"blocks": "upper"}}}},
            f"models.a.intervention: give one of {', '.join(INTERVENTIONS)}, not 2",
        ),
        (
            {"a": EMBEDDED | {"intervention": {"bypass": {"from": 0, "scale": 1}}}},
            "models.a.intervention.bypass.from: must be a whole number of at least 1, not 0",
        ),
        ({"a": EMBEDDED | {"intervention": {"bypass": {"from": 1}}}}, "bypass: the key 'scale' is missing"),
        ({"a": EMBEDDED | {"intervention": {"cut-image": {"blocks": "top"}}}}, "models.a.intervention.cut-image"),
        (
            {"a": {"source": "lab/other", "intervention": {"cut-image": {"blocks": "upper"}}}},
            "models.a: an intervention is shown beside the same model without it",
        ),
        (
            {name: {"source": "lab/emu", "adapter": "emu"} | more for name, more in (
                ("emu", {}), ("a", {"intervention": {"cut-image": {"blocks": "upper"}}})
            )},
            "models.a.intervention: the adapter emu of models.a runs its authors' code",
        ),
        (
            {"a": EMBEDDED | {"intervention": {"bypass": {"from": 1, "scale": 0}}}},
            "models.a.intervention.bypass.scale: 0 adds nothing",
        ),
        ({"a": EMBEDDED | {"prompts": ["agre"]}}, "models.a.prompts: there is no 'agre'; `stimuli` has agree, "),
    ],
)  # fmt: skip
def test_a_study_with_a_mistake_in_an_intervention_is_refused(models, message):
    with pytest.raises(InputError, match=re.escape(message)):
        configured(**models)


@pytest.mark.parametrize("intervention", [{"cut-image": {"blocks": "upper"}}, {"ablate-image": {"from": 1}}])
def test_nothing_can_be_changed_about_an_image_that_is_not_shown(intervention):
    cut = EMBEDDED | {"intervention": intervention}
    configured(a=cut | {"prompts": ["agree"]})
    for prompts in ({"prompts": ["agree", "agree-text-only"]}, {}):
        with pytest.raises(
            InputError,
            match=rf"models\.a\.intervention\.{min(intervention)}: the prompt agree-text-only of stimuli\.captions "
            r"shows no image .* models\.a\.prompts$",
        ):
            configured(a=cut | prompts)
    # A block that is routed to another one changes texts, too.
    configured(a=EMBEDDED | {"intervention": {"bypass": {"from": 1, "scale": 1}}})


def test_a_cell_counts_the_code_of_its_own_intervention(monkeypatch):
    """So a new kind of intervention, or a change of one, makes nothing else stale."""
    # The code as it is, whatever older code it counts as.
    monkeypatch.setattr("layerwise.planning.grid.code_digest", own_digest)
    changed = {kind: EMBEDDED | {"intervention": how, "prompts": ["agree"]} for kind, how in ONE_OF_EACH.items()}
    grid = configured(**changed).grid
    code = {name: grid.planned(name, "captions", "agree")["code"] for name in ("hub", *changed)}
    assert len(set(code.values())) == 1 + len(ONE_OF_EACH)

    def kinds(*files):
        found = {str(file.relative_to(SCRIPTS)) for file in _closure([SCRIPTS / file for file in files])}
        return {kind for kind in INTERVENTIONS if INTERVENTIONS.file(kind) in found}

    for name in ("hub", *changed):
        assert kinds("extract_states.py", *model_files(grid.config, name)) == {name} - {"hub"}


def test_prompts_of_a_model_are_its_cells():
    cut = EMBEDDED | {"intervention": {"cut-image": {"blocks": "upper"}}, "prompts": ["agree", "statement"]}
    grid = configured(cut=cut).grid
    assert {(cell.stimuli, cell.prompt) for cell in grid.states_cells() if cell.model == "cut"} == {
        ("captions", "agree"),
        ("hypotheses", "statement"),
    }
    assert {cell.task for cell in grid.probe_cells() if cell.model == "cut"} == {
        "entailment", "snli-ve", "snli-ve-binary"
    }  # fmt: skip
    assert grid.intervened(["cut-image"]) == ["cut"]
    assert "cut" not in grid.base_models()


def test_tasks_of_a_model_are_its_cells():
    grid = configured(b=EMBEDDED | {"tasks": ["objects"], "prompts": ["agree", "no-cue", "category"]}).grid
    assert [cell[1:] for cell in grid.states_cells() if cell.model == "b"] == [
        ("objects", "no-cue"), ("objects", "category")
    ]  # fmt: skip
    assert {cell.task for cell in grid.probe_cells() if cell.model == "b"} == {"objects"}
    with pytest.raises(InputError, match=r"models\.b\.tasks: there is no 'object'; `tasks` has entailment, "):
        configured(b=EMBEDDED | {"tasks": ["object"]})


def test_the_evidence_contains_the_demo():
    """So that it may share the demo's results root; and it has every kind of intervention and site."""
    demo, evidence = configured(), Study.load(REPOSITORY / "config/evidence.yaml")
    wider, narrower = evidence.grid, demo.grid
    of_both = [cell for cell in narrower.states_cells() if cell.model != "hub"]
    assert set(of_both) < set(wider.states_cells())
    for cell in of_both:
        assert evidence.model_folder(cell.model) == demo.model_folder(cell.model)
        assert evidence.stimuli_folder(cell.stimuli) == demo.stimuli_folder(cell.stimuli)
    assert all(wider.intervened([kind]) for kind in ("bypass", "ablate-image", "cut-image"))
    assert {task for _, task, _ in wider.site_cells()} > {"entailment", "snli-ve", "objects"}
