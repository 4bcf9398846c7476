"""Concepts at all tokens of texts or images: their moments against a naive loop, the program, and what it refuses."""

import json
import logging

import numpy as np
import pandas as pd
import pytest
import torch

from layerwise.errors import InputError
from layerwise.models.frozen import hidden_out
from layerwise.models.interventions.concept_file import ConceptFile
from layerwise.models.registration import describe_model
from layerwise.states.images import read_image
from layerwise.states.plan import Unit, plan_parts, running_order
from layerwise.states.store import StatesFile
from layerwise.used.concepts.moments import Moments, one_hot
from layerwise.used.concepts.streamed import fit_tokens
from layerwise.used.concepts.streaming import streamed_moments
from tests import families
from tests.cells import extraction, run_here, write_items
from tests.conftest import REPOSITORY
from tests.families.family import frozen
from tests.families.measure import PROMPTS, pictures

BLOCK = 2


@pytest.fixture
def inputs(tmp_path):
    """Three pictures with one, two and three texts, and their classes."""
    rows = []
    for number, image in enumerate(pictures(3)):
        image.save(tmp_path / f"{number}.png")
        rows += [(str(tmp_path / f"{number}.png"), prompt, f"{number}-{prompt}") for prompt in PROMPTS[: number + 1]]
    return pd.DataFrame(rows, columns=["image", "prompt", "item_id"]), np.array([0, 1, 1, 0, 1, 1])


def naively(model, inputs, y, at):
    """All wanted tokens behind the block, of each input by itself, and their classes."""
    states, classes = [], []
    for (_, row), of_row in zip(inputs.iterrows(), y, strict=True):
        prepared = model.prepare([read_image(row["image"])], [row["prompt"]])
        image = model.image_tokens(prepared)[0]
        kept = []
        hook = model.blocks[BLOCK - 1].register_forward_hook(lambda *args, kept=kept: kept.append(hidden_out(args[2])))
        with torch.inference_mode():
            model.forward(**prepared, use_cache=False)
        hook.remove()
        found = kept[0][0, image if at == "image" else ~image].double().numpy()
        states.append(found)
        classes.append(np.full(len(found), of_row))
    return np.concatenate(states), np.concatenate(classes)


@pytest.mark.parametrize("family", [families.llava, families.qwen2_vl, families.idefics3], ids=lambda f: f.__name__)
@pytest.mark.parametrize(("at", "share_from"), [("text", 0), ("image", 0), ("image", 2)])
def test_moments_are_those_of_a_naive_loop(family, at, share_from, inputs):
    inputs, y = inputs
    model = frozen(family)
    states, classes = naively(model, inputs, y, at)
    order = running_order(inputs, share_from)
    inputs, y = inputs.iloc[order].reset_index(drop=True), y[order]
    units = [unit for units in plan_parts(inputs, share_from, 4) for unit in units]
    # Shared where asked to, and in batches with padding elsewhere.
    assert {unit.shared for unit in units} == ({True, False} if share_from else {False})
    assert any(unit.stop - unit.start > 1 for unit in units)
    moments = streamed_moments(model, inputs, one_hot(y, 2), units, at, BLOCK)
    assert model.intervention is None
    assert moments.count == len(states)
    assert moments.share == pytest.approx([np.mean(classes == 0), np.mean(classes == 1)])
    scale = np.abs(states).max()
    assert np.abs(moments.mean - states.mean(axis=0)).max() < 1e-5 * scale
    assert np.abs(moments.covariance - np.cov(states.T, bias=True)).max() < 1e-5 * scale**2
    for of_class in (0, 1):
        apart = moments.class_means[of_class] - states[classes == of_class].mean(axis=0)
        assert np.abs(apart).max() < 1e-5 * scale


def test_a_piece_that_does_not_fit_begins_again(inputs, monkeypatch):
    inputs, y = inputs
    model = frozen(families.llava)
    states, _ = naively(model, inputs, y, "text")
    forward = model.forward

    def small(**given):
        output = forward(**given)
        # The device runs out of memory when the block has been read already.
        if len(given["input_ids"]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried")
        return output

    monkeypatch.setattr(model, "forward", small)
    moments = streamed_moments(model, inputs, one_hot(y, 2), [Unit(0, 6, shared=False)], "text", BLOCK)
    assert moments.count == len(states)
    assert np.abs(moments.mean - states.mean(axis=0)).max() < 1e-5 * np.abs(states).max()


ENTRY = {"weights": "pretrained", "dtype": "float32", "adapter": "generic", "conversation": "auto"}


@pytest.fixture
def given(tmp_path, tiny_llava):
    """Pictures with texts, of which a task says which class they have, and what runs the model over them."""
    shown, labels = [], []
    for number, image in enumerate(pictures(6)):
        image.save(tmp_path / f"{number}.png")
        for prompt in PROMPTS[:4]:
            shown.append((f"{number}-{prompt}", tmp_path / f"{number}.png", prompt))
            labels.append((shown[-1][0], str(number), str(number), "about", int("circle" in prompt), "train"))
    write_items(tmp_path, shown)
    (tmp_path / "task").mkdir()
    columns = ["item_id", "image_id", "group", "label", "y", "split"]
    table = pd.DataFrame(labels, columns=columns)
    table.to_parquet(tmp_path / "task/labels.parquet")
    told = {"task": "circles", "labels": ["about"], "classes": ["no", "yes"], "metric": "accuracy"}
    (tmp_path / "task/task.json").write_text(json.dumps(told))
    return tmp_path, table, describe_model("m", ENTRY | {"source": str(tiny_llava)}, None, 0)


def streamed(folder, model, at, out, **options):
    """The command that fits a concept at some tokens."""
    made = extraction(folder, model, ["last"], out, **options)
    made[1] = str(REPOSITORY / "scripts/stream_concept.py")
    return [*made, "--task", str(folder / "task"), "--at", at, "--block", str(BLOCK)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["erase", "steer"])
def test_a_concept_at_text_tokens_is_fitted_and_changes_states_from_its_block_on(kind, given, monkeypatch):
    folder, _, model = given
    fitted = folder / "circles.safetensors"
    run_here(streamed(folder, model, "text", fitted), monkeypatch)
    file = ConceptFile(fitted)
    assert (file.blocks, file.position, file.classes, file.steer) == ([BLOCK], "text", ["no", "yes"], ["means"])
    assert file.cell["states"]["model_digest"] == model["digest"]
    how = {"task": "circles", "prompt": "text", "block": BLOCK, "at": "text"}
    how |= {"along": "means", "strength": 3} if kind == "steer" else {}
    entry = {"source": model["source"], "intervention": {kind: how}} | ENTRY
    changed = describe_model("changed", entry, None, 0)
    states = {}
    for name, described, options in (("plain", model, {}), ("changed", changed, {"fitted": str(fitted)})):
        for sharing in ("never", "always"):
            out = folder / f"{name}-{sharing}.h5"
            run_here(extraction(folder, described, ["last"], out, sharing=sharing, **options), monkeypatch)
            with StatesFile(out) as opened:
                rows = opened.row_of_item
                states[name, sharing] = np.stack([opened.layer("last", layer)[rows] for layer in range(8)])
                assert ("fitted_digest" in opened.cell) == (name == "changed")
    apart = np.abs(states["changed", "never"] - states["plain", "never"]).max(axis=(1, 2))
    assert (apart[:BLOCK] == 0).all()
    assert (apart[BLOCK:] > 1e-3).all()
    spread = np.abs(states["changed", "never"]).max()
    assert np.abs(states["changed", "always"] - states["changed", "never"]).max() < 1e-5 * spread


def test_states_without_their_concept_are_not_made(given, monkeypatch):
    folder, _, model = given
    how = {"task": "circles", "prompt": "text", "block": BLOCK, "at": "text"}
    entry = {"source": model["source"], "intervention": {"erase": how}} | ENTRY
    changed = describe_model("changed", entry, None, 0)
    with pytest.raises(InputError, match="erasing and steering need the file of a fitted concept"):
        run_here(extraction(folder, changed, ["last"], folder / "states.h5"), monkeypatch)


@pytest.mark.slow
def test_kept_states_of_another_concept_are_not_taken(given, monkeypatch, caplog):
    folder, table, model = given
    how = {"task": "circles", "prompt": "text", "block": BLOCK, "at": "text"}
    entry = {"source": model["source"], "intervention": {"erase": how}} | ENTRY
    changed, fitted = describe_model("changed", entry, None, 0), folder / "c.safetensors"
    options = {"fitted": str(fitted), "kept": str(folder / "kept")}
    taken = []
    for y in (table["y"], table["y"], 1 - table["y"], np.arange(len(table)) % 3 % 2):
        table.assign(y=y).to_parquet(folder / "task/labels.parquet")
        run_here(streamed(folder, model, "text", fitted), monkeypatch)
        (folder / "states.h5").unlink(missing_ok=True)
        caplog.clear()
        with caplog.at_level(logging.INFO):
            run_here(extraction(folder, changed, ["last"], folder / "states.h5", **options), monkeypatch)
        taken.append("loaded the model" not in caplog.text)
    assert taken == [False, True, False, False]


def test_image_tokens_that_cannot_tell_classes_apart_are_refused(given, monkeypatch, caplog):
    folder, table, model = given
    # Half of each picture's texts are of each class.
    table.assign(y=np.arange(len(table)) % 2).to_parquet(folder / "task/labels.parquet")
    with pytest.raises(InputError, match=r"each of the 6 training images has texts of all classes alike: they cannot"):
        run_here(streamed(folder, model, "image", folder / "c.safetensors"), monkeypatch)
    # Classes of pictures, but for one.
    of_picture = table["image_id"].astype(int) % 2
    of_picture[0] = 1
    table.assign(y=of_picture).to_parquet(folder / "task/labels.parquet")
    numbers = []
    for sharing in ("always", "never"):
        with caplog.at_level(logging.WARNING):
            run_here(streamed(folder, model, "image", folder / "c.safetensors", sharing=sharing), monkeypatch)
        assert "1 of 6 training images have texts of several classes" in caplog.text
        numbers.append(ConceptFile(folder / "c.safetensors").block(BLOCK))
    shared, alone = numbers
    assert shared.mean == pytest.approx(alone.mean, abs=1e-5)
    means = shared.steer["means"], alone.steer["means"]
    assert means[0].direction[0] @ means[1].direction[0] == pytest.approx(1, abs=1e-4)
    assert means[0].deviation == pytest.approx(means[1].deviation, rel=1e-4)


def test_equal_class_means_are_refused():
    rng = np.random.default_rng(0)
    moments, states = Moments(8, 2), rng.standard_normal((50, 8)).astype(np.float32) + 100
    for y in (0, 1):
        moments.update(states, one_hot(np.full(50, y), 2))
    with pytest.raises(InputError, match=r"tasks\.t: the text tokens do not tell its classes apart"):
        fit_tokens(moments, "tasks.t", "the text tokens")
    moments.update(states + 1, one_hot(np.full(50, 1), 2), weight=2)
    concept = fit_tokens(moments, "tasks.t", "the text tokens")
    left = concept.erased().of(np.concatenate([states, states, states + 1, states + 1]))
    assert np.abs(left[:50].mean(axis=0) - left[50:].mean(axis=0)).max() < 1e-4
