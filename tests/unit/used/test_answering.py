"""Answers after changed states, against those that are read off files of hidden states."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from layerwise.answers.lens import read_layers
from layerwise.errors import InputError
from layerwise.states.shards import open_states
from layerwise.used import answering
from layerwise.used.answering import Answering
from tests import families
from tests.families import FAMILIES
from tests.unit.answers.test_lens import TOKENS, bounded_paligemma, on_cohere, saved, states_of


@pytest.mark.parametrize(
    "build", [families.llava, bounded_paligemma, on_cohere, families.qwen3_vl], ids=lambda b: b.__name__
)
def test_the_numbers_are_those_of_the_table_of_answers(build, tmp_path, monkeypatch):
    monkeypatch.setattr(answering, "ROWS_AT_ONCE", 100)
    model = families.frozen(build)
    head, shown = saved(model, tmp_path), states_of(model, tmp_path)
    with open_states([tmp_path / "p.h5"]) as states:
        table = pd.concat(read_layers(states, head, TOKENS))
    top = table[table["layer"] == model.n_layers + 1].iloc[: len(shown)]
    states = torch.cat([model.states([image], [prompt], ["last"])["last"] for image, prompt in shown])
    scores, mass = Answering(model, TOKENS).of_states(states[:, -2])
    np.testing.assert_allclose(scores, np.stack(top["scores"]), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(mass, top["mass"], rtol=1e-5)
    # All classes' answers together are certain among themselves, and not among all tokens.
    np.testing.assert_allclose(scores.exp().sum(1), 1, rtol=1e-5)
    assert mass.max() < 0.9


@pytest.mark.parametrize("name", ["LLaVA-1.5", "Gemma 3", "Chameleon", "Granite 4 Vision"])
def test_states_lead_to_the_answers_of_the_models_own_logits(name):
    """Chameleon never writes its image's tokens; one of them stands for a class's answer here."""
    model = next(family for family in FAMILIES if family.name == name).frozen()
    found = Answering(model, TOKENS)
    if never := found.bending.never:
        tokens = TOKENS | {"yes": [*TOKENS["yes"], {"id": never[0], "text": "x"}]}
        found = Answering(model, tokens)
    inputs = model.prepare([families.comparing.pictures()[0]], ["Is there a circle?"])
    with torch.inference_mode():
        logits = model.model(**inputs, use_cache=False).logits[:, -1].float()
    if found.bending.never:
        # Its forward pass gives them the least number in place of minus infinity.
        assert logits[0, list(found.bending.never)].max() < -1e30
    states = model.run(inputs, ["last"])["last"][:, -2]
    for mine, its in zip(found.of_states(states), found.of_logits(logits), strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-5, atol=1e-5)


def test_half_precision_loses_no_digits_behind_the_final_norm():
    """The model's own logits of large size are rounded to eighths; those here are as exact as the states."""
    model = families.frozen(families.llava)
    states = torch.randn(20, model.width, generator=torch.Generator().manual_seed(0)).bfloat16()
    model.model.to(torch.bfloat16)
    head = model.model.get_output_embeddings()
    with torch.inference_mode():
        head.weight.mul_(40)
        normed = model.final_norm(states)
        exact = nn.functional.linear(normed.double(), head.weight.double())
    found = Answering(model, TOKENS)
    for mine, its in zip(found.of_states(states), found.of_logits(exact), strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-4)
    rounded, _ = found.of_logits(head(normed).float())
    assert (rounded - found.of_states(states)[0]).abs().max() > 0.01


def test_answers_are_never_more_probable_than_all_tokens(monkeypatch):
    """Although products of the whole head may round otherwise than those of the answers' rows."""
    monkeypatch.setattr(answering, "ROWS_AT_ONCE", 100)
    model = families.frozen(families.llava)
    ids = [{"id": i, "text": ""} for i in range(model.model.get_output_embeddings().out_features)]
    found = Answering(model, {"yes": ids[::2], "no": ids[1::2]})
    plain = found._products
    monkeypatch.setattr(found, "_products", lambda normed, rows: plain(normed, rows) - 1e-3)
    _, mass = found.of_states(torch.randn(5, model.width, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(mass, torch.ones(5), rtol=0, atol=1e-6)


def test_a_head_that_is_not_one_matrix_is_refused():
    model = families.frozen(families.llava)
    model.model.set_output_embeddings(nn.Sequential(model.model.get_output_embeddings()))
    with pytest.raises(InputError, match="is a Sequential, not one matrix"):
        Answering(model, TOKENS)
