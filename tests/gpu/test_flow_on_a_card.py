"""Attention knockout on a GPU, against whole forward passes."""

import pytest
import torch

from layerwise.flow.checks import TOLERANCE, check_knockout
from layerwise.flow.flows import FLOWS, windows
from layerwise.flow.heads import heads_of, single_heads
from layerwise.flow.knockout import knockout, naive_knockout
from layerwise.flow.positions import position_sets
from tests import families
from tests.families.measure import pictures
from tests.gpu.test_states_on_a_card import on

pytestmark = pytest.mark.gpu

PROMPT, QUESTION, ANSWER = "A much longer prompt, about a red circle left of a blue square.", "red circle left", 17
FAMILIES = pytest.mark.parametrize(
    "family", [families.llava, families.qwen2_vl, families.internvl], ids=lambda family: family.__name__
)


def asked(model):
    """A question's inputs and sets."""
    prepared = model.prepare([pictures()[0]], [PROMPT])
    return prepared, position_sets(model, prepared, PROMPT, QUESTION, {1: (1, 2)}, "text")


@FAMILIES
def test_the_fast_way_equals_whole_passes(family, card, exact_convolutions):
    model = on(families.frozen(family), card)
    prepared, sets = asked(model)
    spans = windows(model.n_layers, 2)
    where = [*spans, *single_heads(heads_of(model)), {0: (1,), 2: (0, 3)}]
    fast, naive = (run(model, prepared, sets, FLOWS, where, ANSWER) for run in (knockout, naive_knockout))
    assert fast.free == pytest.approx(naive.free, rel=TOLERANCE[torch.float32])
    assert torch.allclose(fast.blocked, naive.blocked, rtol=TOLERANCE[torch.float32])
    # Or equality would say nothing.
    assert ((naive.blocked / naive.free - 1).abs() > 1e-2).any()


@FAMILIES
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_check_before_a_run_passes(family, dtype, card):
    model = on(families.frozen(family), card, dtype)
    prepared, sets = asked(model)
    check_knockout(model, prepared, sets, FLOWS, windows(model.n_layers, 2), ANSWER)
