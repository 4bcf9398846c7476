"""What is read at image tokens, against the family's own forward pass; stopped passes; states that are not finite."""

import logging

import numpy as np
import pandas as pd
import pytest
import torch

from layerwise.states.plan import plan_parts
from layerwise.states.store import from_bits
from layerwise.states.work import WorkFolder
from layerwise.states.writing import to_bits
from layerwise.tokens.reading import NAMES, keep_parts, read_tokens
from tests.families import gemma3, idefics3, llava, llava_next, qwen2_vl
from tests.families.comparing import pictures
from tests.families.family import frozen

PROMPT = "Describe the image."


@pytest.mark.parametrize("build", [llava, llava_next, qwen2_vl, idefics3, gemma3], ids=lambda build: build.__name__)
def test_tokens_are_those_of_the_familys_own_pass(build):
    """One token in a row, tiles, a picture's own size, tiles with text between them, and an image that sees itself."""
    model = frozen(build)
    shown, depth = pictures(2), model.n_layers
    layers = list(range(depth + 2))
    together = read_tokens(model, model.prepare(shown, [PROMPT] * 2), layers)
    some = read_tokens(model, model.prepare(shown, [PROMPT] * 2), [1, depth + 1])
    for picture, ours, chosen in zip(shown, together, some, strict=True):
        inputs = model.prepare([picture], [PROMPT]).to(model.device, model.dtype)
        with torch.inference_mode():
            hidden = model.model(**inputs, output_hidden_states=True).hidden_states
        at = [
            i for i, token in enumerate(inputs["input_ids"][0].tolist()) if token == model.model.config.image_token_id
        ]
        assert ours.shape == (len(at), depth + 2, model.width)
        # Of the last block the family reports the state behind the norm alone.
        reported = torch.stack(hidden, dim=2)[0, at]
        np.testing.assert_allclose(np.delete(ours, depth, axis=1), reported, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(model.final_norm(torch.tensor(ours[:, depth])), ours[:, -1], rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(chosen, ours[:, [1, depth + 1]])
        assert np.ptp(ours, axis=0).max(axis=1).min() > 0.01


@pytest.fixture
def rows(tmp_path):
    """Pictures of unlike sizes, as inputs of a job."""
    found = []
    for number, picture in enumerate(pictures(4)):
        picture.save(tmp_path / f"{number}.png")
        found.append((f"i{number}", str(tmp_path / f"{number}.png"), PROMPT))
    return pd.DataFrame(found, columns=["item_id", "image", "prompt"])


def test_a_stopped_pass_goes_on_at_the_last_part(rows, tmp_path, monkeypatch, caplog):
    model, work = frozen(qwen2_vl), WorkFolder(tmp_path / "work")
    parts = [[unit] for units in plan_parts(rows, 0, batch_size=1) for unit in units]
    inner, seen = model.forward, []

    def forward(**given):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(given)
        return inner(**given)

    monkeypatch.setattr(model, "forward", forward)
    with pytest.raises(KeyboardInterrupt):
        keep_parts(model, rows, [0, 2], parts, work, half=False, placed=True)
    assert len(list(work.folder.glob("rows-*"))) == 2
    seen.clear()
    seen.extend([{}] * 3)
    with monkeypatch.context() as counted, caplog.at_level(logging.INFO):
        counted.setattr(model, "forward", lambda **given: seen.append(given) or inner(**given))
        most, width = keep_parts(model, rows, [0, 2], parts, work, half=False, placed=True)
    assert len(seen) == 3 + 2
    assert "pictures 1 to 2 were finished by an earlier job" in caplog.text
    ranges = [(number, number + 1) for number in range(4)]
    stored = [values for _, values in work.assemble(ranges, NAMES)]
    assert (most, width) == (max(values["counts"][0] for values in stored), model.width)
    assert len({values["counts"][0] for values in stored}) > 1
    assert all(np.isfinite(values["places"]).all() for values in stored)
    # As one batch they are the same, with zeros behind the tokens of the smaller pictures.
    other = WorkFolder(tmp_path / "other")
    keep_parts(model, rows, [0, 2], plan_parts(rows, 0, batch_size=4), other, half=True, placed=False)
    ((_, whole),) = other.assemble([(0, 4)], NAMES)
    for row, values in enumerate(stored):
        count = values["counts"][0]
        own = from_bits(whole["tokens"][row])
        np.testing.assert_allclose(own[:count], from_bits(to_bits(values["tokens"][0])), rtol=2**-6, atol=1e-3)
        assert not own[count:].any()
    assert np.isnan(whole["places"]).all()


def test_a_state_that_is_not_finite_is_named(rows, tmp_path):
    model = frozen(llava)
    model.blocks[1].mlp.down_proj.weight[0] = float("inf")
    with pytest.raises(FloatingPointError, match="at block 2, at an image token of item i0; a model in float16"):
        keep_parts(model, rows, [0, 2], plan_parts(rows, 0, 2), WorkFolder(tmp_path / "w"), half=False, placed=True)
