"""Attention blocked from one picture to a later one: fast against the loop, and what a run can begin at."""

import pytest
import torch

from layerwise.errors import InputError
from layerwise.flow.flows import Flow, windows
from layerwise.flow.free import free_runs
from layerwise.flow.knockout import blocked_runs, first_target, knockout, naive_knockout
from layerwise.flow.positions import PositionSets
from layerwise.several_pictures import place
from tests import families
from tests.families.comparing import pictures
from tests.unit.flow.test_knockout import ANSWER, by_hand, off

PROMPTS = ["Is there a circle in both of them?", "Which one shows a star?"]
FLOWS = [
    Flow("image 1", "image 2"),
    Flow("image 1", "question"),
    Flow("image 2", "last"),
    Flow("image", "question"),
]

# Qwen3-VL adds features to the image's tokens between its blocks; Gemma's images see themselves both ways.
some_families = pytest.mark.parametrize(
    "family",
    [families.llava, families.qwen2_vl, families.qwen3_vl, families.gemma3],
    ids=lambda f: f.__name__,
)


def asked(model, prompt=PROMPTS[0], shown=None):
    """A question about two pictures and its sets."""
    prepared = model.prepare([tuple(shown or pictures())], [prompt])
    whose = model.picture_tokens(prepared)[0]
    found = [(whose == number).nonzero()[:, 0] for number in (1, 2)]
    first, second = (torch.arange(int(tokens[0]), int(tokens[-1]) + 1) for tokens in found)
    behind = torch.arange(int(second[-1]) + 1, len(whose))
    sets = {"image 1": first, "image 2": second, "image": torch.cat([first, second])}
    return prepared, PositionSets(len(whose), sets | {"question": behind[:-1], "last": behind[-1:]})


@some_families
def test_the_fast_path_is_as_the_loop(family):
    model = families.frozen(family)
    prepared, sets = asked(model)
    where = [*windows(model.n_layers, 2), {0: (1,)}, {0: (0,), model.n_layers - 1: (0, 1)}]
    arguments = (model, prepared, sets, FLOWS, where, ANSWER)
    fast, naive = knockout(*arguments), naive_knockout(*arguments)
    assert float((fast.blocked - naive.blocked).abs().max()) < 1e-6
    assert off(fast, naive) < 1e-5
    changes = (naive.blocked[0] / naive.free - 1).abs()
    # In the last block nobody looks at the second picture any more.
    assert float(changes[0]) > 1e-4


def test_blocking_is_as_a_mask_written_by_hand():
    model = families.frozen(families.llava)
    prepared, sets = asked(model)
    spans = windows(model.n_layers, 2)
    fast = knockout(model, prepared, sets, FLOWS[:1], spans, ANSWER)
    for j, window in enumerate(spans):
        assert float(fast.blocked[0, j]) == pytest.approx(by_hand(model, prepared, sets, FLOWS[0], window), rel=1e-5)


def test_in_the_last_block_nothing_is_left_to_block():
    model = families.frozen(families.llava)
    prepared, sets = asked(model)
    found = knockout(model, prepared, sets, FLOWS[:1], [range(model.n_layers - 1, model.n_layers)], ANSWER)
    assert float(found.blocked) == pytest.approx(found.free, rel=1e-6)


@pytest.mark.parametrize("family", [families.llava, families.qwen3_vl], ids=lambda f: f.__name__)
def test_questions_about_the_same_pictures_share_their_run(family, monkeypatch):
    model = families.frozen(family)
    of_each = [asked(model, prompt) for prompt in (*PROMPTS, PROMPTS[0])]
    own, passes = model.forward, []
    monkeypatch.setattr(model, "forward", lambda **inputs: passes.append(1) or own(**inputs))
    spans = windows(model.n_layers, 2)
    # One of them begins behind the pictures.
    flows = [FLOWS[:1], FLOWS[1:3], FLOWS]
    starts = [first_target(sets, of_it) for (_, sets), of_it in zip(of_each, flows, strict=True)]
    runs = free_runs(model, [prepared for prepared, _ in of_each], starts)
    for run, (prepared, sets), of_it in zip(runs, of_each, flows, strict=True):
        expected = naive_knockout(model, prepared, sets, of_it, spans, ANSWER)
        assert off(blocked_runs(run, sets, of_it, spans, ANSWER), expected) < 1e-5
    assert len(passes) == 1


def test_texts_that_differ_between_the_pictures_run_one_by_one():
    model = families.frozen(families.qwen2_vl)
    prompts = [f"{said} {place(1)} and then: {place(2)} What changed?" for said in ("First:", "At the beginning:")]
    of_each = [asked(model, prompt) for prompt in prompts]
    spans = windows(model.n_layers, 2)
    starts = [first_target(sets, FLOWS) for _, sets in of_each]
    runs = free_runs(model, [prepared for prepared, _ in of_each], starts)
    for run, (prepared, sets) in zip(runs, of_each, strict=True):
        expected = naive_knockout(model, prepared, sets, FLOWS, spans, ANSWER)
        assert off(blocked_runs(run, sets, FLOWS, spans, ANSWER), expected) < 1e-5


def test_a_target_that_earlier_tokens_see_is_refused():
    """Gemma's images see themselves both ways, so that no run can begin within one."""
    model = families.frozen(families.gemma3)
    prepared, sets = asked(model)
    with pytest.raises(InputError, match="tokens before them see them"):
        next(free_runs(model, [prepared], [int(sets["image 2"][3])]))


def test_what_blocks_are_told_of_pictures_alone_is_refused():
    """ERNIE tells its experts whose tokens they are, but not those of the text behind."""
    model = families.frozen(families.experts.ernie4_5_vl_moe)
    prepared, sets = asked(model)
    start = int(sets["image 2"][0])
    with pytest.raises(InputError, match="in this model"):
        next(free_runs(model, [prepared], [start]))
