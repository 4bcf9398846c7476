"""Trained routes: what they add, that they learn, and that nothing else changes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from layerwise.answers.head_file import read_head
from layerwise.answers.tokens import tokens_of
from layerwise.checksums import file_sha256
from layerwise.compare.inputs import read_predictions
from layerwise.errors import InputError
from layerwise.models.adapters import generic
from layerwise.models.intervening import Intervention
from layerwise.models.interventions.fitted import digest_of, with_file
from layerwise.models.interventions.kind import Tokens
from layerwise.models.interventions.route import routed
from layerwise.models.interventions.route_file import read_about
from layerwise.models.interventions.route_paths import build_route, read_route
from layerwise.models.registration import describe_model
from layerwise.states.shards import open_states
from layerwise.states.writing import new_states, write_rows
from layerwise.used.routes import training as route_training
from layerwise.used.routes.answer_head import AnswerHead
from layerwise.used.routes.files import read_control_about
from layerwise.used.routes.fitting import fit_route
from layerwise.used.routes.training import ControlProbe
from tests import families
from tests.cells import extraction, run_here, write_items
from tests.conftest import REPOSITORY
from tests.families.measure import POSITIONS, PROMPTS, one_at_a_time, pictures, relative
from tests.families.text_models import LANGUAGE_MODELS
from tests.routes import SHAPES, random_route

ENTRIES = {
    "gates": {"kind": "gates"},
    "map": {"kind": "map", "from": 2, "rank": 2},
    "attention": {"kind": "attention", "from": 2, "heads": 1, "size": 4},
}
each_kind = pytest.mark.parametrize("kind", SHAPES)


def with_route(model, kind, path, trained):
    """Give the model a route of random weights, or one that adds nothing yet."""
    random_route(path, kind, model, trained)
    model.intervention = Intervention(with_file({"route": {"name": "r"}}, path), model.blocks)
    return read_route(path)


@each_kind
def test_a_new_route_changes_no_bit(kind, tmp_path):
    model, images = families.frozen(families.llava), pictures()
    plain = model.states([images[0]] * len(PROMPTS), PROMPTS, POSITIONS)
    shared = model.states_shared(images[0], PROMPTS, POSITIONS)
    with_route(model, kind, tmp_path / "r.safetensors", trained=False)
    routed_too = model.states([images[0]] * len(PROMPTS), PROMPTS, POSITIONS)
    over_prefix = model.states_shared(images[0], PROMPTS, POSITIONS)
    for position in POSITIONS:
        assert torch.equal(plain[position], routed_too[position])
        assert torch.equal(shared[position], over_prefix[position])


@pytest.mark.parametrize(
    "family",
    [families.llava, families.qwen2_vl, families.internvl, families.gemma3, families.kosmos2],
    ids=lambda f: f.__name__,
)
@each_kind
def test_a_route_is_what_it_says_in_every_pass(kind, family, tmp_path):
    model, images = families.frozen(family), pictures()
    prompts, shown = [*PROMPTS, *PROMPTS], [images[0]] * len(PROMPTS) + [images[1]] * len(PROMPTS)
    plain = one_at_a_time(model, shown, prompts)
    route = with_route(model, kind, tmp_path / "r.safetensors", trained=True)
    alone = one_at_a_time(model, shown, prompts)
    L = model.n_layers
    for i, (image, prompt) in enumerate(zip(shown, prompts, strict=True)):
        of_image = image_states(model, image, prompt, route.image_block) if route.image_block else ()
        with torch.no_grad():
            added = route(plain["last"][i : i + 1, route.blocks], *of_image)
        top = plain["last"][i, L] + added[0]
        assert relative(alone["last"][i, L], top) < 1e-5
        assert relative(alone["last"][i, L + 1], model.final_norm(top)) < 1e-5
    # Below, and at the image's tokens, nothing changes; at the top something does.
    assert torch.equal(alone["last"][:, :L], plain["last"][:, :L])
    assert torch.equal(alone["image-mean"], plain["image-mean"])
    assert relative(alone["last"][:, L], plain["last"][:, L]) > 1e-2
    padded = model.states(shown, prompts, POSITIONS)
    for position in POSITIONS:
        assert relative(padded[position], alone[position]) < 1e-5
        for first in (0, len(PROMPTS)) if model.shares_prefix else ():
            shared = model.states_shared(shown[first], PROMPTS, POSITIONS)
            assert relative(shared[position], alone[position][first : first + len(PROMPTS)]) < 1e-5


def image_states(model, image, prompt, block):
    """States of an image's tokens alone behind a block, which of them are there, and whose they are."""
    inputs, kept = model.prepare([image], [prompt]), []
    hook = model.blocks[block - 1].register_forward_hook(lambda _block, _args, out: kept.append(out))
    with torch.inference_mode():
        model.forward(**inputs.to(model.device, model.dtype), use_cache=False)
    hook.remove()
    hidden = kept[0][0] if isinstance(kept[0], tuple) else kept[0]
    of_image = hidden[model.image_tokens(inputs)][None]
    return of_image, torch.ones(of_image.shape[:2], dtype=torch.bool), torch.zeros(1, dtype=torch.long)


@each_kind
def test_what_a_route_adds_is_what_the_docs_say(kind, tmp_path):
    model = families.frozen(families.llava)
    route = read_route(random_route(tmp_path / "r.safetensors", kind, model))
    numbers = {name: value.double().numpy() for name, value in route.state_dict().items()}
    rng = np.random.default_rng(0)
    last, image = rng.standard_normal((len(route.blocks), model.width)), rng.standard_normal((5, model.width))

    def read(name, states):
        return (states - numbers[f"{name}.mean"]) * numbers[f"{name}.scale"]

    if kind == "gates":
        assert route.blocks == [1, 2]
        expected = sum(gate * unit * x for gate, unit, x in zip(numbers["scaled"], numbers["unit"], last, strict=True))
    elif kind == "map":
        expected = numbers["unit"] * numbers["out_of_rank"] @ numbers["into_rank"] @ read("read", last[0])
    else:
        mixed = []
        for head in range(2):
            rows = slice(3 * head, 3 * head + 3)
            keys, values = (read("read_image", image) @ numbers[name][rows].T for name in ("keys", "values"))
            scores = keys @ (numbers["queries"][rows] @ read("read_last", last[0])) / 3**0.5
            weights = np.exp(scores - scores.max())
            mixed.append(weights / weights.sum() @ values)
        expected = numbers["unit"] * numbers["out"] @ np.concatenate(mixed)
    # Two more tokens that are not the image's.
    padded = torch.cat([torch.from_numpy(image), torch.full((2, model.width), 9.0)])[None].float()
    seen = torch.arange(7)[None] < 5
    found = route(torch.from_numpy(last)[None].float(), padded, seen, torch.zeros(1, dtype=torch.long))
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_a_route_of_another_decoder_or_without_an_image_is_refused(tmp_path):
    model = families.frozen(families.llava)
    with_route(model, "attention", tmp_path / "r.safetensors", trained=True)
    with pytest.raises(InputError, match="a text has none"):
        model.states([None], PROMPTS[:1], ["last"])
    route = build_route("gates", {"n_layers": 7, "width": model.width})
    token = torch.ones(1, 1, dtype=torch.bool)
    refused = pytest.raises(InputError, match="is for 7 blocks, and the model has 3")
    with refused, routed(model.blocks, route, Tokens(None, None, token, token)):
        pass
    (tmp_path / "r.safetensors").write_bytes(b"no")
    with pytest.raises(InputError, match=r"r\.safetensors: damaged, or no trained route"):
        model.states([pictures()[0]], PROMPTS[:1], ["last"])


@pytest.mark.parametrize(("least", "n_classes"), [(5, 2), (17, 2), (18, 2), (90, 2), (7, 3), (400, 3)])
def test_the_control_has_at_least_as_many_parameters_and_hardly_more(least, n_classes):
    probe, margins = ControlProbe(16, n_classes, least), 1 if n_classes == 2 else n_classes
    assert least <= probe.n_parameters < least + 16 + 1 + margins
    states = torch.randn(40, 16) * torch.arange(1, 17)
    probe.fit_scales(states)
    assert probe(states).shape == (40, n_classes)
    assert not probe(states).any()
    # Its components are those that hold most of the standardised states.
    kept = probe.read(states) @ probe.components
    singular = torch.linalg.svdvals(probe.read(states))[: kept.shape[1]]
    torch.testing.assert_close(kept.norm(), singular.norm())


@pytest.fixture
def short(monkeypatch):
    """Training that is long enough for what is planted here."""
    monkeypatch.setattr(route_training, "RATES", (0.01,))
    monkeypatch.setattr(route_training, "MOST_EPOCHS", 40)


ANSWERS = {"match": ["yes"], "mismatch": ["no"]}
CUES = ("circle red", "circle blue")


@pytest.fixture(scope="module")
def cell(tmp_path_factory, tiny_llava):
    """A tiny LLaVA's states of 3 pictures with texts whose last word is the label, which its answers do not say."""
    folder = tmp_path_factory.mktemp("cell")
    shown, rows = [], []
    starts = [
        f"{a} {b} {c}" for a in ("Is", "A", "of") for b in ("the", "green", "left") for c in ("star", "in", "there")
    ]
    for n, colour in enumerate(("red", "green", "blue")):
        Image.new("RGB", (32, 32), colour).save(folder / f"{n}.png")
        for k, start in enumerate(starts):
            for y, cue in enumerate(CUES):
                item, place = f"{n}-{k:02d}-{y}", (n * len(starts) + k) % 4
                shown.append((item, folder / f"{n}.png", f"{start} {cue}"))
                split = ("train", "train", "val", "test")[place]
                rows.append({"item_id": item, "image_id": str(n), "group": f"{n}-{k}", "label": "said", "y": y})
                rows[-1]["split"] = split
    items = write_items(folder, shown)
    pd.DataFrame(rows).to_parquet(folder / "labels.parquet")
    task = {"labels": ["said"], "classes": list(ANSWERS), "metric": "accuracy"}
    (folder / "task.json").write_text(json.dumps(task))
    entry = {"source": str(tiny_llava), "weights": "pretrained", "adapter": "generic"}
    described = describe_model("m", entry | dict.fromkeys(("dtype", "conversation"), "auto"), None, 0)
    with pytest.MonkeyPatch.context() as patched:
        run_here(extraction(folder, described, ["last"], folder / "s.h5"), patched)
        head = ["--model", folder / "model.json", "--out", folder / "head.safetensors"]
        run_here(["python", str(REPOSITORY / "scripts/read_head.py"), *map(str, head)], patched)
    return folder, described, items


def train(folder, kind, out, monkeypatch, seed=0, **more):
    """Run the program; the route and its control."""
    planned = {"stimuli": "s", "prompt": "p", "prompt_entry": {"text": "{text}"}, "positions": ["last"]}
    asked = {"text": "{text}", "answers": ANSWERS}
    route = ENTRIES[kind] | {"name": kind, "seed": seed, "prompt_entry": asked, "code": "c"} | more.pop("entry", {})
    given = {
        "states": folder / "s.h5", "cell": json.dumps(planned), "route": json.dumps(route),
        "model": folder / "model.json", "head": folder / "head.safetensors", "stimuli": folder, "task": folder,
        "batch-size": 4, "threads": 1, "work": folder / "work", "out": out, "control": out.with_suffix(".parquet"),
    }  # fmt: skip
    arguments = [str(part) for key, value in (given | more).items() for part in (f"--{key}", value)]
    run_here(["python", str(REPOSITORY / "scripts/train_route.py"), *arguments], monkeypatch)
    return read_route(out), out.with_suffix(".parquet")


def said_by_whole_passes(model, items, ids):
    """Logarithms of the sums of the classes' exponentiated logits, by forward passes over single inputs; (items, K)."""
    found = []
    for item in items.itertuples():
        inputs = model.prepare([Image.open(item.image)], [item.text])
        with torch.inference_mode(), model._intervened(model._whole, inputs):
            logits = model.model(**inputs).logits[0, -1]
        found.append(torch.stack([logits[of_class].logsumexp(-1) for of_class in ids]))
    return torch.stack(found)


def said_by_states(model, folder, items, route, fast):
    """The same from finished states and the final norm, as routes are trained."""
    with open_states([folder / "s.h5"]) as states:
        row = pd.Series(states.row_of_item, index=states.item_ids)[items["item_id"]].to_numpy()
        layers = torch.stack([torch.from_numpy(states.layer("last", n)[row]) for n in range(len(states.layers))], 1)
    found = []
    for states, item in zip(layers, items.itertuples(), strict=True):
        of_image = ()
        if route is not None and route.image_block:
            of_image = image_states(model, Image.open(item.image), item.text, route.image_block)
        with torch.no_grad():
            added = 0 if route is None else route(states[None, route.blocks], *of_image)
        found.append(fast(states[None, model.n_layers] + added)[0])
    return torch.stack(found)


@each_kind
def test_a_route_teaches_a_model_to_say_what_it_knows(kind, cell, tmp_path, monkeypatch, short):
    folder, described, items = cell
    file, frozen = tmp_path / "r.safetensors", Path(described["folder"]) / "model.safetensors"
    weights = file_sha256(frozen)
    route, control = train(folder, kind, file, monkeypatch)
    assert file_sha256(frozen) == weights
    about, of_control = read_about(file), read_control_about(control)
    assert about["parameters"] == of_control["parameters"] == sum(p.numel() for p in route.parameters())
    assert of_control["control"]["parameters"] >= about["parameters"]
    assert about["loss"] < about["loss_before"]

    labels = pd.read_parquet(folder / "labels.parquet").set_index("item_id")
    test = items[items["item_id"].map(labels["split"]) == "test"]
    y = labels.loc[test["item_id"], "y"].to_numpy()
    head = read_head(folder / "head.safetensors")
    tokens = tokens_of(head, "w", {"text": "{text}", "answers": ANSWERS}, items, [])
    ids, fast = [[token["id"] for token in of_class] for of_class in tokens.values()], AnswerHead(head, tokens)
    plain, changed = generic.load(described, "cpu"), generic.load(described, "cpu")
    changed.intervention = Intervention(with_file({"route": {"name": kind}}, file), changed.blocks)
    accuracy = []
    for model, added in ((plain, None), (changed, route)):
        said = said_by_whole_passes(model, test, ids)
        # Standardising magnifies the rounding of dimensions that hardly vary. If each number of the states is rounded
        # once more, one of these items moves by 1.3e-5, the others by 1e-6. Passes differ by many roundings: without
        # AVX-512 that item is 3.1e-4 off.
        torch.testing.assert_close(said_by_states(plain, folder, test, added, fast), said, atol=1e-3, rtol=1e-3)
        accuracy.append((said.argmax(1).numpy() == y).mean())
    assert accuracy[0] < 0.6
    # Five gates cannot turn what is known into words in a model that was never trained.
    assert accuracy[1] > (0.9 if kind != "gates" else 0.4)
    probed = read_predictions(control, plain.n_layers, "test")
    assert list(probed["item_id"]) == sorted(test["item_id"])


def test_a_seed_gives_the_same_route_and_a_finished_one_is_taken_up(cell, tmp_path, monkeypatch, caplog, short):
    folder, kept = cell[0], tmp_path / "kept"
    caplog.set_level("INFO")
    first, _ = train(folder, "map", tmp_path / "a" / "r.safetensors", monkeypatch, kept=kept)
    train(folder, "map", tmp_path / "b" / "r.safetensors", monkeypatch, kept=kept, entry={"name": "renamed"})
    assert "nothing was run" in caplog.text
    for name in ("r.safetensors", "r.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    again, _ = train(folder, "map", tmp_path / "c" / "r.safetensors", monkeypatch)
    other, _ = train(folder, "map", tmp_path / "d" / "r.safetensors", monkeypatch, seed=1)
    # States depend on a route's numbers, whatever it is called.
    digests = [digest_of({"route": {"name": name}}, tmp_path / name / "r.safetensors") for name in "abcd"]
    assert digests[0] == digests[1] == digests[2] != digests[3]
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert not torch.equal(first.into_rank, other.into_rank)


def test_a_route_from_the_top_or_for_two_labels_of_an_input_is_refused(cell, tmp_path, monkeypatch):
    folder = cell[0]
    with pytest.raises(InputError, match=r"used\.routes\.map\.from: block 6 is not below the last block, 6"):
        train(folder, "map", tmp_path / "r.safetensors", monkeypatch, entry={"from": 6})
    with pytest.raises(InputError, match=r"used\.routes\.map\.prompt: p has no `answers` for the class mismatch"):
        asked = {"text": "{text}", "answers": {"match": ["yes"], "other": ["no"]}}
        train(folder, "map", tmp_path / "r.safetensors", monkeypatch, entry={"prompt_entry": asked})
    labels, task = pd.read_parquet(folder / "labels.parquet"), json.loads((folder / "task.json").read_text())
    other = tmp_path / "task"
    other.mkdir()
    pd.concat([labels, labels.assign(label="other")]).to_parquet(other / "labels.parquet")
    (other / "task.json").write_text(json.dumps(task | {"labels": ["said", "other"]}))
    with pytest.raises(InputError, match="has the labels said and other for one input"):
        train(folder, "map", tmp_path / "r.safetensors", monkeypatch, task=other)


@each_kind
def test_what_only_lower_layers_know_is_routed_and_no_probe_of_the_top_finds_it(kind, cell, tmp_path, short):
    """The label is planted in block 2 of otherwise random states, so that the top knows nothing of it."""
    folder, described, items = cell
    rng, n, n_layers, width = np.random.default_rng(0), 600, described["n_layers"], described["width"]
    head = read_head(folder / "head.safetensors")
    tokens = tokens_of(head, "w", {"text": "{text}", "answers": ANSWERS}, items, [])
    fast, y = AnswerHead(head, tokens), rng.integers(2, size=n)
    rows = [head.stored.rows([token["id"] for token in of_class]).sum(0) for of_class in tokens.values()]
    sign = (2 * y - 1)[:, None]
    states = rng.standard_normal((n, n_layers + 2, width)).astype(np.float32)
    # Gates have no direction of their own: the block already says it, in the words of the head.
    answer = (rows[1] - rows[0]) * head.norm.scale
    states[:, 2] += (
        3 * sign * answer / np.abs(answer).mean() if kind == "gates" else 2 * sign * rng.standard_normal(width)
    )
    with new_states(
        tmp_path / "s.h5", positions=["last"], layers=["embeddings", *map(str, range(1, n_layers + 1)), "final norm"],
        rows=n, width=width, dtype="float32", item_ids=[f"i{k:03d}" for k in range(n)], row_of_item=range(n), cell={},
    ) as datasets:  # fmt: skip
        write_rows(datasets["last"], 0, states)
    labels = pd.DataFrame({"item_id": [f"i{k:03d}" for k in range(n)], "label": "said", "y": y})
    labels["group"], labels["split"] = labels["item_id"], np.resize(["train", "train", "train", "val", "test"], n)
    image = torch.from_numpy(rng.standard_normal((n, 5, width)).astype(np.float32))
    seen = torch.arange(5) < torch.from_numpy(rng.integers(2, 6, size=n))[:, None]
    image[:, 1] += torch.from_numpy(3 * sign * rng.standard_normal(width)).float()

    def image_tokens(ids):
        places = [int(name[1:]) for name in ids]
        return image[places], seen[places], torch.arange(len(ids))

    entry = ENTRIES[kind] | {"seed": 0}
    task = {"labels": ["said"], "classes": list(ANSWERS)}
    with open_states([tmp_path / "s.h5"]) as opened:
        route, control, told = fit_route(
            entry,
            opened,
            labels,
            task,
            np.arange(n),
            (head, tokens),
            image_tokens if route_reads(kind) else None,
            "cpu",
        )
    test = (labels["split"] == "test").to_numpy()
    last, own = torch.from_numpy(states[test][:, route.blocks]), torch.from_numpy(states[test][:, n_layers])
    chosen = torch.tensor(test)
    of_image = (image[chosen], seen[chosen], torch.arange(int(test.sum()))) if route_reads(kind) else ()
    with torch.no_grad():
        before, after = fast(own).argmax(1).numpy(), fast(own + route(last, *of_image)).argmax(1).numpy()
    assert abs((before == y[test]).mean() - 0.5) < 0.12
    assert (after == y[test]).mean() > 0.9
    probed = control[control["split"] == "test"]
    assert (probed["pred"] == probed["y"]).mean() < 0.62
    assert told["items"] == [360, 120]


def route_reads(kind):
    """Whether a kind of route reads the image's tokens."""
    return kind == "attention"


@pytest.mark.parametrize("kind", ["gates", "map"])
def test_a_language_model_has_routes_too(kind, tmp_path):
    model, texts = LANGUAGE_MODELS[0].served(), ["A cat.", "It is a cat, and it sleeps."]
    plain = model.states([None] * 2, texts, ["last"])["last"]
    route = with_route(model, kind, tmp_path / "r.safetensors", trained=True)
    found = model.states([None] * 2, texts, ["last"])["last"]
    with torch.no_grad():
        assert relative(found[:, -2], plain[:, -2] + route(plain[:, route.blocks])) < 1e-5
    assert torch.equal(found[:, :-2], plain[:, :-2])
