"""The fast sweep, against whole forward passes with hooks."""

from functools import partial

import pytest
import torch

from layerwise.errors import InputError
from layerwise.flow.free import check_served, free_runs
from layerwise.models.head import next_token_probabilities
from layerwise.models.memory import Room
from layerwise.used.changes import BlockChanges
from layerwise.used.checks import SWEEP
from layerwise.used.naive import changed_at_last, hooked
from layerwise.used.sweep import RUNS_PER_ROW, row_room, swept
from tests import families
from tests.families import FAMILIES, of_each_way
from tests.families.comparing import PROMPTS, Refusal, or_refusal, pictures, relative
from tests.families.gemma4 import gemma4
from tests.families.text_models import LANGUAGE_MODELS

# Families in which the image and the last token meet in different ways; the others are `whole`.
SIX = [
    families.llava,
    families.llava_next,
    families.qwen2_vl,
    families.qwen3_vl,
    families.internvl,
    families.gemma3,
]


def some_changes(model, seed=0, ranks=(1, 2), draws=2):
    """Behind every block: erasers of each rank, and steps of several lengths; all of them move states a good way."""
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, model.width, generator=draw)

    changes = []
    for block in range(1, model.n_layers + 1):
        for rank in ranks:
            frames = torch.linalg.qr(normal(draws, rank).mT)[0].mT
            none = torch.zeros(draws, model.width)
            changes.append(BlockChanges(block, frames, frames, 0.1 * normal(draws), none, reads=rank == 1))
        nothing = torch.zeros(draws, 0, model.width)
        changes.append(BlockChanges(block, nothing, nothing, torch.zeros(draws, model.width), normal(draws)))
    return changes


def compare(model, inputs, changes, run=None, **options):
    """The greatest difference of log probabilities, relative and absolute of those that count, and of states."""
    if run is None:
        (run,) = free_runs(model, [inputs], [inputs["input_ids"].shape[1] - 1], **options)
    with torch.inference_mode():
        fast = swept(run, changes, lambda _block, states: states)
        logs = next_token_probabilities(model, model.final_norm(fast.top)).log()
    free, _ = hooked(model, inputs, None)
    singles = [group.one(i) for group in changes for i in range(len(group))]
    worst = {"logs": 0.0, "top": 0.0, "above": 0.0, "effect": torch.inf}
    read = iter(fast.above)
    for i, single in enumerate(singles):
        logits, states = hooked(model, inputs, single)
        expected = logits.log_softmax(-1)
        # Of the tokens that might be said. What is all but impossible has logarithms of large size.
        likely = expected > expected.max() - 10
        off = ((logs[i] - expected).abs() / expected.abs().clamp_min(1))[likely].max()
        worst["logs"] = max(worst["logs"], float(off))
        worst["top"] = max(worst["top"], relative(fast.top[i].cpu(), states[-1]))
        effect = (expected - free.log_softmax(-1))[likely].abs().max()
        worst["effect"] = min(worst["effect"], float(effect))
        if single.reads:
            above = next(read)
            assert above[: single.block - 1].isnan().all()
            worst["above"] = max(worst["above"], relative(above[single.block - 1 :], states[single.block - 1 :]))
    assert fast.moved.shape == (len(singles),)
    assert (fast.moved > 0).all()
    return worst


def exact(worst):
    return worst["logs"] < 1e-6 * 10 and worst["top"] < 1e-5 and worst["above"] < 1e-5 and worst["effect"] > 1e-4


if __name__ == "__main__":
    import sys, time

    names = SIX if len(sys.argv) == 1 else []
    for family in FAMILIES if sys.argv[1:] == ["all"] else []:
        t = time.time()
        model = family.frozen()
        why = or_refusal(partial(check_served, model, SWEEP))
        if isinstance(why, Refusal):
            print(family.name, "REFUSED", why)
            continue
        inputs = model.prepare([pictures()[0]], [PROMPTS[0]])
        try:
            print(
                family.name,
                {k: f"{v:.1e}" for k, v in compare(model, inputs, some_changes(model)).items()},
                round(time.time() - t, 2),
            )
        except Exception as e:
            print(family.name, "FAILED", type(e), str(e)[:300])
    for build in names:
        t = time.time()
        model = families.frozen(build)
        inputs = model.prepare([pictures()[0]], [PROMPTS[0]])
        print(build.__name__, compare(model, inputs, some_changes(model)), time.time() - t)
