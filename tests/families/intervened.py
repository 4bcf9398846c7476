"""Check interventions and attention knockout on a family: every path against one input at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from layerwise.flow.checks import check_knockout
from layerwise.flow.flows import FLOWS, Flow, windows
from layerwise.flow.free import check_served
from layerwise.flow.knockout import knockout, naive_knockout
from layerwise.flow.positions import position_sets
from layerwise.models.adapters.generic import GenericModel
from layerwise.models.intervening import Intervention
from layerwise.models.interventions.catalogue import INTERVENTIONS
from layerwise.models.interventions.fitted import with_file
from layerwise.models.interventions.model_checks import check_intervention, check_scores
from tests.concepts import random_concept
from tests.families.comparing import (
    POSITIONS,
    PROMPTS,
    Refusal,
    all_at_once,
    furthest,
    greatest,
    one_at_a_time,
    or_refusal,
    pictures,
    relative,
    unlike_prompts,
)
from tests.routes import random_route

# An entry of each kind that changes something in any decoder of at least two blocks. A kind that cuts attention has
# none: it is tried in one block after the other, because not all blocks of all families have attention to cut.
ENTRIES = {
    "bypass": {"from": 1, "scale": 0.7},
    "ablate-image": {"from": 2, "with": "mean"},
    "erase": {"task": "any", "prompt": "any", "block": 1, "at": "text"},
    "steer": {"task": "any", "prompt": "any", "block": 2, "at": "last", "along": "means", "strength": 3},
    "route": {"name": "any"},
}
# Any common token. Its probability is compared.
ANSWER = 17


@dataclass(frozen=True)
class Intervened:
    """What an intervention does in a family.

    Attributes:
        exact: the greatest difference of states in a batch, and over the shared prefixes of one image and of several
            where they are used, from those of one input at a time; for attention knockout that of probabilities from
            whole forward passes.
        change: the difference that it makes to the topmost state at the last token, or to the probability.
        leak: how far the same differ between two pictures when all of the image is kept out in all blocks; None for a
            kind that does not touch the image.
        not_everywhere: why the image cannot be kept out in all blocks; then there is no ``leak``.
    """

    exact: float
    change: float
    leak: float | None = None
    not_everywhere: str = ""


def interventions(model: GenericModel) -> dict[str, Intervened | Refusal]:
    """Every kind of the catalogue, by its name."""
    return {kind: _intervened(model, kind) for kind in INTERVENTIONS}


def _intervened(model: GenericModel, kind: str) -> Intervened | Refusal:
    about = INTERVENTIONS[kind]
    if about.cut_blocks is None:
        entries: list[dict[str, Any]] = [ENTRIES[kind]]
    else:
        entries = [{"blocks": [block, block]} for block in (*range(2, model.n_layers + 1), 1)]
    for how in entries:
        found = or_refusal(partial(_measured, model, {kind: how}))
        if isinstance(found, Intervened):
            break
    if isinstance(found, Refusal) or about.everywhere is None:
        return found
    leak = or_refusal(partial(_leak, model, {kind: about.everywhere(model.n_layers)}))
    return replace(found, not_everywhere=leak) if isinstance(leak, Refusal) else replace(found, leak=leak)


def _measured(model: GenericModel, intervention: dict[str, Any]) -> Intervened:
    """The batched and the shared path on three inputs; InputError where registration or the run refuses it."""
    images, prompts = [*pictures(), pictures()[0]], PROMPTS[:3]
    plain = one_at_a_time(model, images, prompts)
    with given(model, intervention):
        alone = one_at_a_time(model, images, prompts)
        exact = furthest(model.states(images, prompts, POSITIONS), alone)
        if model.shares_prefix:
            shared = model.states_shared(images[0], prompts[::2], POSITIONS)
            exact = greatest(exact, furthest(shared, {position: states[::2] for position, states in alone.items()}))
            if model.joins_images:
                exact = greatest(exact, _several(model))
    return Intervened(exact, relative(alone["last"][:, -1], plain["last"][:, -1]))


def _several(model: GenericModel) -> float:
    """Two images at once against each text alone, with texts of unlike number and length."""
    images, prompts = [pictures(1, seed)[0] for seed in (0, 1)], unlike_prompts()[:2]
    with all_at_once(model) as rows:
        groups = [model.prepare_shared(image, some) for image, some in zip(images, prompts, strict=True)]
        several = model.run_several(groups, POSITIONS)
    assert rows == [2, 2]
    each = zip(images, prompts, several, strict=True)
    return greatest(
        *(furthest(states, one_at_a_time(model, [image] * len(some), some)) for image, some, states in each)
    )


def _leak(model: GenericModel, intervention: dict[str, Any]) -> float:
    """How far the last token's states differ between two pictures of one size."""
    with given(model, intervention):
        first, second = (model.states(pictures(1, seed), PROMPTS[:1], ["last"]) for seed in (0, 1))
    return furthest(first, second)


@contextmanager
def given(model: GenericModel, intervention: dict[str, Any]) -> Iterator[None]:
    """Register an intervention as a study does, and give it to the model while the block runs."""
    check_intervention("tiny", intervention, model.n_layers, model.model_type)
    check_scores("tiny", intervention, getattr(model.model.config.get_text_config(), "layer_types", None) or ())
    ((kind, how),) = intervention.items()
    with TemporaryDirectory() as folder:
        if INTERVENTIONS[kind].fitted == "concept":
            file = random_concept(Path(folder) / "any.safetensors", model.width, how["at"], how["block"])
            intervention = with_file(intervention, file)
        if INTERVENTIONS[kind].fitted == "route":
            intervention = with_file(intervention, random_route(Path(folder) / "any.safetensors", "gates", model))
        model.intervention = Intervention(intervention, model.blocks)
        try:
            yield
        finally:
            model.intervention = None


def knocked_out(model: GenericModel) -> Intervened | Refusal:
    """Attention knockout in windows of two blocks, as information flow measures it, against whole forward passes."""
    return or_refusal(partial(_knocked_out, model))


def _knocked_out(model: GenericModel) -> Intervened:
    check_served(model)
    prompt, found = PROMPTS[1], []
    for seed in (0, 1):
        prepared = model.prepare(pictures(1, seed), [prompt])
        sets = position_sets(model, prepared, prompt, prompt, object_patches=(0,))
        behind = replace(sets, question=torch.arange(int(sets.image[-1]) + 1, sets.n_tokens))
        # Nothing behind the image sees it in any block.
        all_of_it = (model, prepared, behind, [Flow("image", "question")], [range(model.n_layers)], ANSWER)
        found.append((prepared, sets, knockout(*all_of_it).blocked, naive_knockout(*all_of_it).blocked))
    (prepared, sets, kept_out, naively), (_, _, kept_out_too, naively_too) = found
    arguments = (model, prepared, sets, FLOWS, windows(model.n_layers, 2), ANSWER)
    # As before each measurement: it refuses a family whose blocked runs go on otherwise.
    check_knockout(*arguments)
    fast, naive = knockout(*arguments), naive_knockout(*arguments)
    return Intervened(
        exact=greatest(_off(fast.blocked, naive.blocked), abs(fast.free / naive.free - 1), _off(kept_out, naively)),
        change=_off(naive.blocked, torch.tensor(naive.free)),
        leak=greatest(_off(kept_out, kept_out_too), _off(naively, naively_too)),
    )


def _off(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The greatest difference of probabilities, as a share of the probability."""
    return float(((ours.double() - theirs.double()) / theirs.double()).abs().max())
