"""How states over a shared prefix are made; test_families.py shows for each family that they are exact."""

import copy
import subprocess
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import torch

from layerwise.errors import InputError
from layerwise.models import host
from layerwise.models.adapters import generic
from layerwise.models.adapters.generic import GenericModel
from layerwise.models.memory import Room
from layerwise.models.prefix import packing, together
from layerwise.models.prefix.packing import PackedTexts, can_pack
from layerwise.models.prefix.split import PromptGroup, expanded_like, split_prefix
from layerwise.models.registration import describe_model
from layerwise.states.checks import check_sharing
from layerwise.states.extract import extract_parts
from layerwise.states.images import read_image
from layerwise.states.plan import SHARED, path_of, plan_parts, running_order
from layerwise.states.store import StatesFile
from layerwise.states.work import WorkFolder
from tests import families
from tests.cells import extraction, write_items
from tests.families import experts
from tests.families.comparing import all_at_once
from tests.families.measure import POSITIONS, PROMPTS, pictures, relative

# Float32, norm of the difference over norm of the vector, at every layer.
EXACT = 2e-6


@pytest.fixture(scope="module")
def images():
    return pictures()


@pytest.fixture(scope="module")
def llava():
    return families.frozen(families.llava)


def one_at_a_time(model, image, prompts):
    each = [model.states([image], [prompt], POSITIONS) for prompt in prompts]
    return {position: torch.cat([states[position] for states in each]) for position in POSITIONS}


@pytest.mark.parametrize("family", [families.paligemma, families.instructblip], ids=lambda family: family.__name__)
def test_families_that_cannot_share_fall_back(family, images, tmp_path):
    model = families.frozen(family)
    assert not model.shares_prefix
    table, work = study(images, tmp_path), WorkFolder(tmp_path)
    parts = plan_parts(table, 0, 4)
    assert path_of(parts) == "plain batches"
    extract_parts(model, table, parts, ["last"], work)
    # Were it declared to share all the same, the run would not begin.
    model.shares_prefix = True
    table = study(images, tmp_path, least_texts=2)
    with pytest.raises(InputError, match="cannot share prefixes exactly"):
        check_sharing(model, table, plan_parts(table, 2, 4), ["last"])


def study(images, folder, least_texts=0):
    """Inputs over both images, in running order."""
    rows = []
    for i, image in enumerate(images):
        image.save(folder / f"{i}.png")
        rows += [(str(folder / f"{i}.png"), prompt, f"{i}-{j}") for j, prompt in enumerate(PROMPTS)]
    table = pd.DataFrame(rows, columns=["image", "prompt", "item_id"])
    return table.iloc[running_order(table, least_texts)].reset_index(drop=True)


def test_a_whole_extraction_is_the_same_on_all_paths(llava, images, tmp_path, monkeypatch):
    """In plain batches, over the prefix of an image, and over the prefixes of both."""
    states = {}
    images_seen = []
    handle = llava.blocks[0].register_forward_pre_hook(lambda _, args: images_seen.append(len(args[0])))
    for shares in (0, 1, 2):
        (tmp_path / f"{shares}").mkdir()
        monkeypatch.setattr(llava, "images", Room(max(shares, 1), "images"))
        least_texts = 2 if shares else 0
        table, work = study(images, tmp_path, least_texts), WorkFolder(tmp_path / f"{shares}")
        parts = plan_parts(table, least_texts, batch_size=4)
        check_sharing(llava, table, parts, POSITIONS)
        images_seen.clear()
        ranges = extract_parts(llava, table, parts, POSITIONS, work)
        assert shares == 0 or images_seen == ([1] * 4 if shares == 1 else [2] * 2)
        rows = torch.from_numpy(np.concatenate([work.load(start, stop, POSITIONS)["last"] for start, stop in ranges]))
        states[shares] = dict(zip(table["item_id"], rows, strict=True))
    handle.remove()
    assert path_of(parts) == SHARED
    assert sorted(states[0]) == sorted(states[1]) == sorted(states[2])
    for item, row in states[0].items():
        # Batches are padded, which rounds differently.
        assert relative(states[1][item], row) < 1e-5
        assert relative(states[2][item], states[1][item]) < 1e-5


def test_the_program_shares_and_says_so(tiny_llava, images, tmp_path):
    """From items to a states file: each item finds its own row, and the file says which path made it."""
    shown = []
    for i, image in enumerate([*images, images[0].rotate(90)]):
        image.save(tmp_path / f"{i}.png")
        # The last image has one text only; texts of the others come in turns.
        shown += [(f"{j}-{i}", tmp_path / f"{i}.png", text) for j, text in enumerate(PROMPTS) if i < 2 or j == 0]
    items = write_items(tmp_path, shown)
    entry = {"weights": "pretrained", "dtype": "float32", "adapter": "generic", "conversation": "auto"}
    model = describe_model("tiny", {"source": str(tiny_llava)} | entry, None, seed=1)
    command = [*extraction(tmp_path, model, POSITIONS, tmp_path / "states.h5"), "--sharing", "always"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("shared prefix, position") == 4
    frozen = generic.load(model, "cpu")
    with StatesFile(tmp_path / "states.h5") as states:
        assert states.cell["path"] == "shared prefix"
        assert states.item_ids == list(items["item_id"])
        for position in POSITIONS:
            kept = np.stack([states.layer(position, layer) for layer in range(len(states.layers))], axis=1)
            for i, item in enumerate(items.itertuples()):
                expected = frozen.states([read_image(item.image)], [item.text], [position])[position][0]
                assert relative(torch.from_numpy(kept[states.row_of_item[i]]), expected) <= EXACT


def test_chunks_change_nothing(llava, images, monkeypatch):
    prompts = [f"{prompt} {word}" for prompt in PROMPTS for word in ("one", "two, or three", "star")]
    group = llava.prepare_shared(images[0], prompts)
    whole = llava.run_shared(group, POSITIONS)
    for texts, tokens in ((4, 10**6), (1, 10**6), (10**6, 40), (10**6, 1)):
        monkeypatch.setattr(packing, "TOKENS_PER_CHUNK", tokens)
        monkeypatch.setattr(llava, "room", Room(texts, "texts"))
        parts = llava.run_shared(group, POSITIONS)
        assert all(relative(parts[position], whole[position]) <= EXACT for position in POSITIONS)


def test_chunks_are_even():
    assert packing.chunks_of([1] * 21, 20) == [(0, 11), (11, 21)]
    assert packing.chunks_of([1] * 80, 20) == [(0, 20), (20, 40), (40, 60), (60, 80)]
    assert packing.chunks_of([3], 20) == [(0, 1)]
    assert packing.chunks_of([packing.TOKENS_PER_CHUNK + 5] * 3, 20) == [(0, 1), (1, 2), (2, 3)]


def test_half_precision_is_within_its_rounding(images):
    full = families.frozen(families.llava)
    half = families.frozen(families.llava)
    half.model.bfloat16()
    half.dtype = torch.bfloat16
    shared, alone = half.states_shared(images[0], PROMPTS, POSITIONS), one_at_a_time(half, images[0], PROMPTS)
    truth = one_at_a_time(full, images[0], PROMPTS)["last"]
    assert shared["last"].dtype == torch.bfloat16
    for position in POSITIONS:
        assert relative(shared[position], alone[position]) < 2e-2
    # Neither path is further from the truth than the other.
    assert relative(shared["last"], truth) < 1.5 * relative(alone["last"], truth)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_either_kind_of_attention_takes_the_mask(images, implementation):
    model = families.frozen(families.llava)
    model.model.set_attn_implementation(implementation)
    assert can_pack(model.decoder.config)
    shared = model.states_shared(images[0], PROMPTS, ["last"])["last"]
    assert relative(shared, one_at_a_time(model, images[0], PROMPTS)["last"]) <= EXACT


def test_other_kinds_of_attention_do_not_share():
    config = copy.deepcopy(families.frozen(families.llava).decoder.config)
    assert can_pack(config)
    config.layer_types = ["full_attention", "linear_attention"]
    assert not can_pack(config)
    config.layer_types = None
    config._attn_implementation = "flash_attention_2"
    assert not can_pack(config)


def test_an_image_behind_the_prompt_is_not_shared():
    model, processor = families.llava()
    assert GenericModel(model, processor, "Look: <image> {prompt}").shares_prefix
    assert not GenericModel(model, processor, "{prompt} <image>").shares_prefix


def test_the_image_is_processed_once(llava, images):
    of_images = type(llava.processor.image_processor)
    with patch.object(of_images, "preprocess", autospec=True, side_effect=of_images.preprocess) as looked:
        llava.prepare_shared(images[0], PROMPTS)
    assert looked.call_count == 1


@pytest.mark.parametrize(
    ("family", "worked_out"),
    [
        (families.llava, True),
        (families.llava_next, True),
        (families.idefics3, True),
        # What Gemma 3 and Kosmos-2 write behind the image may join with the text: the processor is asked per text.
        (families.gemma3, False),
        (families.kosmos2, False),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_token_ids_are_those_of_the_processor(family, worked_out, images):
    model = families.frozen(family)
    prompts = [*PROMPTS, "  two spaces", "\nA line."]
    for image in images:
        expected = [model.prepare([image], [prompt])["input_ids"][0].tolist() for prompt in prompts]
        token_ids = model.token_ids(expected[0], prompts)
        assert token_ids == (expected if worked_out else None)


def test_the_prefix_is_run_once_and_kept_once(llava, images):
    rows = []
    handle = llava.blocks[0].register_forward_pre_hook(lambda _, args: rows.append(args[0].shape[:2]))
    seen = []
    tower = llava.model.base_model.vision_tower.register_forward_hook(lambda *_: seen.append(1))
    group = llava.prepare_shared(images[0], PROMPTS)
    llava.run_shared(group, POSITIONS)
    handle.remove()
    tower.remove()
    tokens = sum(len(rest) for rest in group.rests)
    assert rows == [(1, group.prefix["input_ids"].shape[1]), (1, tokens)]
    assert seen == [1]


class SmallDevice:
    """Makes a model's decoder run out of memory above so many tokens behind its prefixes."""

    def __init__(self, model, tokens):
        self.model, self.tokens, self.inner, self.tried = model, tokens, model.continue_texts, []

    def __call__(self, packed, cache):
        self.tried.append(int((packed.lengths > 0).sum()))
        if packed.ids.numel() > self.tokens:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        self.inner(packed, cache)


def test_out_of_memory_halves_the_chunk(images, monkeypatch, caplog):
    model = families.frozen(families.llava)
    group = model.prepare_shared(images[0], PROMPTS)
    expected = model.run_shared(group, POSITIONS)
    small = SmallDevice(model, max(len(rest) for rest in group.rests))
    monkeypatch.setattr(model, "continue_texts", small)
    states = model.run_shared(group, POSITIONS)
    assert all(relative(states[position], expected[position]) <= EXACT for position in POSITIONS)
    assert small.tried[0] == len(PROMPTS)
    assert "out of device memory with 6 texts about one image" in caplog.text
    # The next image begins with what was learnt.
    assert model.room.size < len(PROMPTS)
    small.tried.clear()
    model.run_shared(group, POSITIONS)
    assert max(small.tried) == model.room.size
    small.tokens = 0
    with pytest.raises(InputError, match=r"too small for a single one of the texts about one image .*2 GiB|memory"):
        model.run_shared(group, POSITIONS)


def test_out_of_memory_in_the_prefix_says_what_to_do(images, monkeypatch):
    model = families.frozen(families.llava)

    def full(**_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(model, "forward", full)
    with pytest.raises(InputError, match=r"a single one of the images .*CUDA out of memory.* bfloat16"):
        model.states_shared(images[0], PROMPTS, POSITIONS)


def test_packed_mask():
    packed = PackedTexts(torch.zeros(1, 3, dtype=torch.long), torch.tensor([[2, 1]]), prefix=2, start=7)
    assert packed.positions.tolist() == [[7, 8, 7]]
    assert [index.tolist() for index in packed.ends] == [[0, 0], [1, 2]]
    assert packed.present.all()
    seen = (packed.mask(torch.float32)[0, 0] == 0).int().tolist()
    assert seen == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 0, 0, 1]]
    # A token sees itself and the one before it in its own text or, at its start, the prefix's last.
    seen = (packed.mask(torch.bfloat16, window=2)[0, 0] == 0).int().tolist()
    assert seen == [[0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 1, 0, 0, 1]]
    # The third token of either text begins a chunk of its own: chunks are counted in a text, not in the row.
    packed = PackedTexts(torch.zeros(1, 3, dtype=torch.long), torch.tensor([[2, 1]]), prefix=3, start=3)
    seen = (packed.mask(torch.float32, chunk=2)[0, 0] == 0).int().tolist()
    assert seen == [[0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 0], [0, 0, 1, 0, 0, 1]]


def test_packed_mask_of_several_images():
    """Each row is as if it were alone. What fills up the second one is read by no text, and sees something."""
    ids, starts = torch.zeros(2, 4, dtype=torch.long), torch.tensor([[7], [9]])
    packed = PackedTexts(ids, torch.tensor([[1, 3], [2, 0]]), prefix=2, start=starts)
    assert packed.positions.tolist() == [[7, 7, 8, 9], [9, 10, 9, 9]]
    assert [index.tolist() for index in packed.ends] == [[0, 0, 1], [0, 3, 1]]
    assert packed.last.tolist() == [[True, False, False, True], [False, True, False, False]]
    assert packed.present.tolist() == [[True] * 4, [True, True, False, False]]
    for kind in ({}, {"window": 2}, {"chunk": 2}):
        mask = packed.mask(torch.float32, **kind)
        assert mask.shape == (2, 1, 4, 6)
        first = PackedTexts(ids[:1], torch.tensor([[1, 3]]), prefix=2, start=7).mask(torch.float32, **kind)
        second = PackedTexts(ids[:1, :2], torch.tensor([[2]]), prefix=2, start=9).mask(torch.float32, **kind)
        assert torch.equal(mask[:1], first)
        assert torch.equal(mask[1:, :, :2, :4], second)
        assert (mask[1, 0, :2, 4:] < 0).all()
        assert ((mask == 0).sum(-1) > 0).all()


def of_size(width, prompts, prefix=5, image=4):
    """A group whose prefix has so many tokens, with texts of so many tokens behind it."""
    ids = torch.arange(prefix)[None]
    return PromptGroup(
        {"input_ids": ids, "pixel_values": torch.zeros(1, 3, width)}, ids < image, list(map(ones, prompts))
    )


def ones(count):
    return torch.ones(count, dtype=torch.long)


def test_images_run_together_that_fit():
    small, large = of_size(8, [2, 3]), of_size(9, [2, 3])
    assert together.batches_of([small, large, small, small, large], 8) == [[0, 2, 3], [1, 4]]
    assert together.batches_of([small, large, small, small, large], 2) == [[0, 2], [3], [1, 4]]
    assert together.batches_of([small] * 3, 1) == [[0], [1], [2]]
    # A row that would mostly be padding runs with others like it.
    assert together.batches_of([of_size(8, [30]), small, of_size(8, [9, 20])], 8) == [[1], [2, 0]]
    # So does an image of another size or place, and whatever is not known to be of one image.
    assert together.batches_of([small, of_size(8, [2, 3], image=3)], 8) == [[0], [1]]
    other = of_size(8, [2, 3])
    other.prefix["scale"] = 0.5
    assert together.batches_of([small, other, other], 8) == [[0], [1], [2]]
    most = together.TOKENS_TOGETHER // 3
    assert together.batches_of([of_size(8, [most - 5])] * 4, 8) == [[0, 1, 2], [3]]
    assert together.batches_of([of_size(8, [2 * most])] * 2, 8) == [[0], [1]]


def test_a_prefix_ends_where_the_shortest_does():
    """Unless too much would have to run for each text again."""
    short, long = of_size(8, [2, 3]), of_size(8, [1, 2], prefix=6)
    assert together.batches_of([short, long], 8) == [[1, 0]]
    groups = together.joined([short, long])
    assert groups.prefix["input_ids"].tolist() == [[0, 1, 2, 3, 4]] * 2
    assert groups.prefix["pixel_values"].shape == (2, 3, 8)
    assert groups.image_tokens.tolist() == [[True] * 4 + [False]] * 2
    assert [[rest.tolist() for rest in rests] for rests in groups.rests] == [
        [[1, 1], [1, 1, 1]],
        [[5, 1], [5, 1, 1]],
    ]
    assert together.batches_of([of_size(8, [1] * 9), of_size(8, [1] * 9, prefix=8)], 8) == [[0], [1]]


def test_several_images_share_the_memory(images, monkeypatch, caplog):
    """What does not fit runs with fewer images, and then with fewer texts about one; results keep their order."""
    model = families.frozen(families.llava)
    prompts = [PROMPTS, PROMPTS[:5], PROMPTS[1:], PROMPTS]
    groups = [model.prepare_shared(images[i % 2], some) for i, some in enumerate(prompts)]
    expected = [model.run_shared(group, POSITIONS) for group in groups]
    small = SmallDevice(model, 2 * max(sum(map(len, group.rests)) for group in groups))
    monkeypatch.setattr(model, "continue_texts", small)
    monkeypatch.setattr(together, "MOST_ADDED", 10)

    def check():
        small.tried.clear()
        for states, alone in zip(model.run_several(groups, POSITIONS), expected, strict=True):
            assert all(relative(states[position], alone[position]) <= EXACT for position in POSITIONS)

    model.images = Room(8, "images with the start of their prompts")
    check()
    assert len(small.tried) == 3
    assert model.images_at_once == 2
    assert "out of device memory with 4 images with the start of their prompts at once" in caplog.text
    small.tokens = max(len(rest) for group in groups for rest in group.rests)
    check()
    assert model.images_at_once == 1
    assert "texts about one image at once" in caplog.text
    small.tokens = 0
    with pytest.raises(InputError, match=r"too small for a single one of the texts about one image"):
        model.run_several(groups, POSITIONS)


@pytest.mark.parametrize("family", [families.qwen2_vl, families.qwen3_vl], ids=lambda family: family.__name__)
def test_images_of_other_shapes_with_as_many_tokens_go_on_at_their_own_positions(family):
    """Four by four patches and two by eight: inputs of the same shape, but the text behind them begins elsewhere."""
    model, images = families.frozen(family), [pictures(5)[0], pictures(5)[4]]
    groups = [model.prepare_shared(image, PROMPTS) for image in images]
    assert not torch.equal(*(group.prefix["image_grid_thw"] for group in groups))
    with all_at_once(model) as rows:
        at_once = model.run_several(groups, POSITIONS)
    assert rows == [2, 2]
    for image, states in zip(images, at_once, strict=True):
        alone = one_at_a_time(model, image, PROMPTS)
        assert all(relative(states[position], alone[position]) <= EXACT for position in POSITIONS)


def test_a_cpu_runs_one_image_at_a_time(llava):
    assert llava.joins_images
    assert llava.images_at_once == 1


def test_attention_that_is_scaled_by_the_place_in_a_row_limits_the_row(monkeypatch):
    """Llama 4's, from ``floor_scale`` on: there, padding moves a text's tokens."""
    monkeypatch.setattr(packing, "TOKENS_PER_CHUNK", 8)
    model = families.frozen(lambda: experts.llama4(floor_scale=80, attn_scale=1.0))
    short, long = "Hm.", PROMPTS[0] * 3
    with pytest.raises(InputError, match="padding included; from 72 on, states of a model of type llama4 depend"):
        model.prepare(pictures()[:1], [short])
    monkeypatch.setattr(host, "most_exact", lambda _: None)
    model.processor.tokenizer.padding_side = "left"
    together = model.states([pictures()[0]] * 2, [short, long], ["last"])["last"]
    # Rightly so.
    assert relative(together[:1], model.states(pictures()[:1], [short], ["last"])["last"]) > 1e-3


def test_split_at_the_longest_common_prefix():
    def split(*texts, image=(0, 1, 1)):
        first = torch.tensor([texts[0]])
        tokens = torch.zeros(1, len(texts[0]), dtype=torch.bool)
        tokens[0, : len(image)] = torch.tensor(image, dtype=torch.bool)
        inputs = {"input_ids": first, "attention_mask": torch.ones_like(first), "pixel_values": torch.zeros(1, 9)}
        group = split_prefix(inputs, tokens, texts)
        return group.prefix, [rest.tolist() for rest in group.rests]

    kept, rests = split([1, 9, 9, 4, 5, 6], [1, 9, 9, 4, 7], [1, 9, 9, 4, 5])
    assert kept["input_ids"].tolist() == [[1, 9, 9, 4]]
    assert kept["attention_mask"].shape == (1, 4)
    assert kept["pixel_values"].shape == (1, 9)
    assert rests == [[5, 6], [7], [5]]
    # A text that is the start of another still has a token of its own; so has one that is alone.
    assert split([1, 9, 9, 4, 5], [1, 9, 9, 4])[1] == [[4, 5], [4]]
    assert split([1, 9, 9, 4])[1] == [[4]]
    with pytest.raises(ValueError, match="differ before the image ends"):
        split([1, 9, 9, 4], [2, 9, 9, 4])


def test_written_out_like_the_first_text():
    plain = [[1, 50, 7, 8], [1, 50, 9]]
    assert expanded_like([1, 60, 50, 50, 61, 7, 8], plain, 50, {50, 61}) == [
        [1, 60, 50, 50, 61, 7, 8],
        [1, 60, 50, 50, 61, 9],
    ]
    # What ends in an ordinary token might join with what follows.
    assert expanded_like([1, 50, 50, 5, 7, 8], plain, 50, {50}) is None
    # The processor changed what follows, or a text has another start or another image.
    assert expanded_like([1, 50, 50, 8, 8], plain, 50, {50}) is None
    assert expanded_like([1, 50, 50, 7, 8], [plain[0], [2, 50, 9]], 50, {50}) is None
    assert expanded_like([1, 50, 50, 7, 8], [plain[0], [1, 50, 50, 9]], 50, {50}) is None
