"""Hidden states made on a GPU: against the CPU's, over a shared prefix, in half precision, and as kept on disk."""

import subprocess

import numpy as np
import pytest
import torch

from layerwise.models.adapters import generic
from layerwise.models.image_embeddings import image_embeddings
from layerwise.models.intervening import Intervention
from layerwise.models.memory import Room
from layerwise.models.registration import describe_model
from layerwise.states.checks import TOLERANCE, WIDEST
from layerwise.states.images import read_image
from layerwise.states.store import StatesFile
from tests import families
from tests.cells import extraction, write_items
from tests.families.comparing import all_at_once, unlike_prompts
from tests.families.measure import POSITIONS, PROMPTS, one_at_a_time, pictures, relative
from tests.families.several import POSITIONS as OF_BOTH
from tests.families.several import STARTS, pair

pytestmark = pytest.mark.gpu

FAMILIES = pytest.mark.parametrize(
    "family", [families.llava, families.llava_next, families.qwen2_vl], ids=lambda family: family.__name__
)


def on(model, device, dtype=torch.float32):
    """A model behind its adapter, moved."""
    moved = model.model.to(device, dtype)
    return type(model)(moved, model.processor, model.conversation)


def alone(model):
    """States of all prompts about both pictures, one input at a time."""
    images = [image for image in pictures() for _ in PROMPTS]
    return one_at_a_time(model, images, [*PROMPTS] * len(pictures()))


def shared(model):
    """The same over a prefix for each picture."""
    found = [model.states_shared(image, PROMPTS, POSITIONS) for image in pictures()]
    return {position: torch.cat([states[position] for states in found]) for position in POSITIONS}


@FAMILIES
def test_states_equal_the_cpus(family, card, exact_convolutions):
    expected = alone(families.frozen(family))
    found = alone(on(families.frozen(family), card))
    for position in POSITIONS:
        assert found[position].device.type == "cpu"
        assert relative(found[position], expected[position]) < 1e-4


@FAMILIES
def test_embeddings_of_pictures_equal_the_cpus(family, card, exact_convolutions):
    models = families.frozen(family), on(families.frozen(family), card)
    expected, found = (image_embeddings(model, model.prepare(pictures(), [PROMPTS[0]] * 2)) for model in models)
    assert found.device.type == "cpu"
    assert relative(found[:, None], expected[:, None]) < 1e-4


@FAMILIES
def test_a_shared_prefix_is_exact(family, card, exact_convolutions):
    model = on(families.frozen(family), card)
    one, together = alone(model), shared(model)
    for position in POSITIONS:
        assert relative(together[position], one[position]) < WIDEST * TOLERANCE[torch.float32]


@FAMILIES
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_shares_as_exactly_as_it_rounds(family, dtype, card):
    """Both ways round, so both are compared with float32: sharing must not add to the error."""
    truth = alone(families.frozen(family))
    model = on(families.frozen(family), card, dtype)
    one, together = alone(model), shared(model)
    for position in POSITIONS:
        plain, ours = (relative(states[position].float(), truth[position]) for states in (one, together))
        # Eight bits of bfloat16 in a few blocks; zero would mean that nothing ran in half precision.
        assert 1e-5 < plain < 0.1
        assert ours < 2 * plain


@FAMILIES
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_several_images_at_once_are_as_exact_as_one(family, dtype, card, exact_convolutions):
    """In half precision all three ways round, so all are compared with float32."""
    model = on(families.frozen(family), card, dtype)
    assert model.images_at_once > 1
    images, prompts = [pictures(1, seed)[0] for seed in range(3)], unlike_prompts()
    groups = [model.prepare_shared(image, some) for image, some in zip(images, prompts, strict=True)]
    with all_at_once(model) as rows:
        at_once = model.run_several(groups, POSITIONS)
    assert rows == [3, 3]
    on_cpu = families.frozen(family)
    for image, some, group, states in zip(images, prompts, groups, at_once, strict=True):
        assert states["last"].dtype == dtype
        one, by_itself = one_at_a_time(model, [image] * len(some), some), model.run_shared(group, POSITIONS)
        truth = one_at_a_time(on_cpu, [image] * len(some), some)
        for position in POSITIONS:
            if dtype == torch.float32:
                assert relative(states[position], one[position]) < WIDEST * TOLERANCE[dtype]
                assert relative(states[position], by_itself[position]) < WIDEST * TOLERANCE[dtype]
            else:
                plain, ours = (relative(way[position].float(), truth[position]) for way in (one, states))
                assert 1e-5 < plain < 0.1
                assert ours < 2 * plain


@FAMILIES
def test_several_pictures_in_a_text_are_exact_over_a_prefix(family, card, exact_convolutions):
    """One pair at a time and two at once; with one of the two pictures cut off, and with none."""
    model, on_cpu = on(families.frozen(family), card), families.frozen(family)
    prompts = [STARTS[1] + prompt for prompt in PROMPTS[:3]]
    for entry in (None, {"cut-image": {"blocks": [1, 2], "image": 1}}):
        for one in (model, on_cpu):
            one.intervention = entry and Intervention(entry, one.blocks)
        groups = [model.prepare_shared(pair(seed), prompts) for seed in (0, 1)]
        with all_at_once(model) as rows:
            at_once = model.run_several(groups, OF_BOTH)
        assert rows == [2, 2]
        for seed, states in enumerate(at_once):
            each, by_itself, expected = (
                one_at_a_time(model, [pair(seed)] * 3, prompts, OF_BOTH),
                model.states_shared(pair(seed), prompts, OF_BOTH),
                one_at_a_time(on_cpu, [pair(seed)] * 3, prompts, OF_BOTH),
            )
            for position in OF_BOTH:
                assert relative(states[position], each[position]) < WIDEST * TOLERANCE[torch.float32]
                assert relative(by_itself[position], each[position]) < WIDEST * TOLERANCE[torch.float32]
                assert relative(each[position], expected[position]) < 1e-4


def test_a_run_on_the_card_keeps_what_the_card_made(tiny_llava, tmp_path, card):
    """The whole program in bfloat16, with its own checks before the run; then the file is read."""
    shown = []
    for i, image in enumerate(pictures()):
        image.save(tmp_path / f"{i}.png")
        shown += [(f"{j}-{i}", tmp_path / f"{i}.png", text) for j, text in enumerate(PROMPTS)]
    items = write_items(tmp_path, shown)
    entry = {"weights": "pretrained", "dtype": "bfloat16", "adapter": "generic", "conversation": "auto"}
    described = describe_model("tiny", {"source": str(tiny_llava)} | entry, None, seed=1)
    out = tmp_path / "states.h5"
    command = [*extraction(tmp_path, described, POSITIONS, out), "--sharing", "always"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "took cards: " in done.stderr
    assert "took cards: none" not in done.stderr
    model = generic.load(described, card)
    assert model.model.device.type == "cuda"
    with StatesFile(out) as states:
        assert states.cell["path"] == "shared prefix"
        for position in POSITIONS:
            kept = np.stack([states.layer(position, layer) for layer in range(len(states.layers))], axis=1)
            for i, item in enumerate(items.itertuples()):
                expected = model.states([read_image(item.image)], [item.text], [position])[position][0]
                # Kept as float32; made over a shared prefix in bfloat16.
                assert (
                    relative(torch.from_numpy(kept[states.row_of_item[i]]), expected.float())
                    < TOLERANCE[torch.bfloat16]
                )


def test_a_batch_that_does_not_fit_is_halved(card):
    """With the card's own error, and its memory is free again before the next try."""
    torch.cuda.empty_cache()
    # A little more than is in use now, so that four pieces fit and eight do not.
    piece = 64 * 2**20
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 5 * piece) / total)
    tried = []

    def run(start, stop):
        tried.append(stop - start)
        return torch.full(((stop - start) * piece,), start, dtype=torch.uint8, device=card)[::piece].cpu()

    try:
        room = Room(8, "pieces")
        parts = room.over(8, run)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert tried == [8, 4, 4]
    assert room.size == 4
    assert torch.cat(parts).tolist() == [0] * 4 + [4] * 4
