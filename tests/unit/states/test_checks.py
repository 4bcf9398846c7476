"""The checks at the start of a run: each stops a model that is read wrongly, and names the layer."""

import pandas as pd
import pytest
import torch

from layerwise.errors import InputError
from layerwise.states.checks import check_batches, check_hooks
from layerwise.states.plan import plan_parts, running_order
from tests import families
from tests.families.measure import POSITIONS, PROMPTS, pictures


@pytest.fixture
def inputs(tmp_path):
    rows = []
    for i, (image, prompt) in enumerate(zip(pictures(), PROMPTS, strict=False)):
        image.save(tmp_path / f"{i}.png")
        rows.append((str(tmp_path / f"{i}.png"), prompt, f"item-{i}"))
    table = pd.DataFrame(rows, columns=["image", "prompt", "item_id"])
    return table.iloc[running_order(table, 2)].reset_index(drop=True)


@pytest.fixture
def model():
    return families.frozen(families.llava)


def test_a_model_that_is_read_rightly_passes(model, inputs, caplog):
    caplog.set_level("INFO")
    check_hooks(model, inputs, POSITIONS)
    check_batches(model, inputs, plan_parts(inputs, 2, 2), POSITIONS)
    assert caplog.text.count("what the model reports") == 2
    assert caplog.text.count("from inputs run alone") == 2


def test_blocks_that_are_not_the_decoders_own_are_named(model, inputs):
    model.blocks = [model.blocks[0], model.blocks[1].mlp, model.blocks[2]]
    with pytest.raises(
        InputError, match=r"item item-0: the state read at block 2, position last, differs by .*float32"
    ):
        check_hooks(model, inputs, POSITIONS)


def test_a_state_before_the_final_norm_is_named(model, inputs):
    model.final_norm = model.blocks[-1]
    with pytest.raises(InputError, match=r"the state read at final norm, position image-mean"):
        check_hooks(model, inputs, ["image-mean"])


@pytest.mark.parametrize("family", [families.llava, families.kosmos2])
def test_a_config_that_unties_the_last_state_is_no_fault(family, inputs):
    """With `tie_last_hidden_states: false` a family reports the topmost block's output in the final norm's place."""
    model = families.frozen(family)
    model.decoder.config.tie_last_hidden_states = False
    check_hooks(model, inputs, ["last"])
    assert model.decoder.config.tie_last_hidden_states is False
    model.final_norm = model.blocks[-1]
    with pytest.raises(InputError, match=r"the state read at final norm, position last"):
        check_hooks(model, inputs, ["last"])


def test_another_number_of_blocks_is_told(model, inputs):
    model.blocks, model.n_layers = model.blocks[:2], 2
    with pytest.raises(InputError, match=r"hooks read 3 layers of width 64, but the model reports 4 of width 64"):
        check_hooks(model, inputs, POSITIONS)


def test_a_family_that_reports_nothing_is_taken_as_it_is(model, inputs, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(model, "reported", lambda *_: None)
    check_hooks(model, inputs, POSITIONS)
    assert "reports no hidden states of its own" in caplog.text


def test_a_batch_in_which_padding_is_seen_stops_the_run(model, inputs, monkeypatch):
    prepare = model.prepare

    def without_mask(images, prompts):
        prepared = prepare(images, prompts)
        prepared["attention_mask"] = torch.ones_like(prepared["attention_mask"])
        return prepared

    monkeypatch.setattr(model, "prepare", without_mask)
    with pytest.raises(InputError, match=r"item item-0: in a batch the state at .*position last.* `batch_size` to 1"):
        check_batches(model, inputs, plan_parts(inputs, 0, 2), ["last"])
    # One at a time there is no padding.
    check_batches(model, inputs, plan_parts(inputs, 0, 1), ["last"])


def test_a_batch_that_does_not_fit_is_no_mistake(model, inputs, monkeypatch):
    run = model.run

    def small(prepared, positions):
        if len(prepared["input_ids"]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(prepared, positions)

    monkeypatch.setattr(model, "run", small)
    check_batches(model, inputs, plan_parts(inputs, 0, 2), POSITIONS)
