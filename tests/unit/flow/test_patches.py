"""Boxes to image tokens, against a white box on black that goes through the same processor and the same model.

The vision towers here are made not to mix patches: a token then depends on its own patch alone, and the tokens that
change when the box is drawn are those that show it. Neither the way of a picture through its processor nor the order of
the tokens is written down a second time.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from PIL import Image, ImageDraw

from layerwise.datasets.questions import AskedObject
from layerwise.models.patches import Unmapped, object_tokens
from tests.families import cohere, glm, granite, llava_kin, native_dense, native_experts, omni, own_shape
from tests.families.common import PATCH, SIDE
from tests.families.native_resolution import glm4v, qwen2_vl
from tests.families.projectors import internvl, llava, llava_next, vipllava

# Square, wide and tall; among them sides that do not divide, and pictures smaller than what the tower sees.
SIZES = [(56, 56), (100, 100), (160, 80), (80, 160), (201, 77), (64, 149), (427, 640), (40, 30)]
# In shares of the picture: two corners, the middle, both ends of a wide or tall one, all of it, and a very small one.
BOXES = [
    (0, 0, 0.3, 0.4),
    (0.7, 0.6, 0.3, 0.4),
    (0.4, 0.35, 0.2, 0.25),
    (0.85, 0, 0.15, 1),
    (0, 0.85, 1, 0.15),
    (0, 0, 1, 1),
    (0.5, 0.5, 0.04, 0.04),
]
NEAREST = 0
BUILT = {"llava": llava, "vipllava": vipllava, "llava_next": llava_next, "internvl": internvl}
# Whose image tokens lie as those of one above.
ALIKE = {
    "llava_next_video": llava_kin.llava_next_video,
    "video_llava": llava_kin.video_llava,
    "cohere_compass": cohere.cohere_compass,
    "aya_vision": cohere.aya_vision,
    "cohere2_vision": cohere.cohere2_vision,
    "granite_docling": granite.granite_docling,
    "hyperclovax_vision_v2": native_dense.hyperclovax_vision_v2,
    "minimax_m3_vl": native_experts.minimax_m3_vl,
    "muse_glimmer": native_dense.muse_glimmer,
    "muse_spark": native_experts.muse_spark,
} | {build.__name__: build for build in (glm4v, *(f.build for m in (glm, omni, own_shape) for f in m.FAMILIES))}


def tower(name):
    """A family's model, whose vision tower mixes no patches, and its own image processor."""
    torch.manual_seed(0)
    if name == "qwen2_vl":
        sides = {"min_pixels": (4 * PATCH) ** 2, "max_pixels": (12 * PATCH) ** 2}
        images = transformers.Qwen2VLImageProcessor(patch_size=PATCH, merge_size=2, temporal_patch_size=2, **sides)
        model, _ = qwen2_vl()
    else:
        model, processor = (BUILT | ALIKE)[name]()
        images = processor.image_processor
        if hasattr(images, "max_patches"):
            images.max_patches = 6
        if name.startswith("llava_next"):
            images.image_grid_pinpoints = model.config.image_grid_pinpoints = [
                [SIDE * rows, SIDE * columns] for rows, columns in ((1, 2), (2, 1), (2, 2), (1, 3), (3, 1))
            ]
    mixing = [
        part
        for key, part in model.named_parameters()
        # GLM's mergers have a projection of that name too, after which nothing of a picture would be left.
        if key.split(".")[-2] in ("out_proj", "projection_layer", "proj") and "merger" not in key
    ]
    mixing = [part for part in mixing if part.dim() <= 2]
    assert mixing
    for part in mixing:
        torch.nn.init.zeros_(part)
    return model.eval().requires_grad_(False), images


def features(model, made):
    """All of an image's tokens as the decoder gets them, shape (tokens, width)."""
    vision = {key: made[key] for key in made if key not in ("num_patches", "rows", "cols")}
    found = model.base_model.get_image_features(**vision)
    found = getattr(found, "pooler_output", found)
    found = found if torch.is_tensor(found) else torch.cat([part.flatten(0, -2) for part in found])
    return found.flatten(0, -2)


def boxed(size, box):
    image = Image.new("RGB", size)
    ImageDraw.Draw(image).rectangle((box.x, box.y, box.x + box.w - 1, box.y + box.h - 1), fill=(255, 255, 255))
    return image


def in_pixels(share, size):
    x, y = int(share[0] * size[0]), int(share[1] * size[1])
    right, bottom = int((share[0] + share[2]) * size[0]), int((share[1] + share[3]) * size[1])
    return AskedObject("box", x, y, max(1, right - x), max(1, bottom - y))


def grown(box, by, size):
    """The box with a border, within the picture; None when nothing is left of it."""
    left, top = max(0, box.x - by), max(0, box.y - by)
    right, bottom = min(size[0], box.x + box.w + by), min(size[1], box.y + box.h + by)
    return AskedObject("box", left, top, right - left, bottom - top) if left < right and top < bottom else None


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", [*BUILT, "qwen2_vl", *(pytest.param(name, marks=pytest.mark.whole) for name in ALIKE)])
def test_tokens_that_show_a_box_are_those_that_change_when_it_is_drawn(name, size):
    model, images = tower(name)
    usual = images.resample
    checked = 0
    for share in BOXES:
        box = in_pixels(share, size)
        for resample in (NEAREST, usual):
            images.resample = resample
            blank, drawn = (
                images([image], return_tensors="pt") for image in (Image.new("RGB", size), boxed(size, box))
            )
            before, after = features(model, blank), features(model, drawn)
            changed = set((before != after).any(1).nonzero()[:, 0].tolist())

            def shown(one, drawn=drawn, before=before):
                objects = [] if one is None else [one]
                return set(object_tokens(objects, model.config, images, size, drawn, [len(before)]).tolist())

            if resample == NEAREST:
                # Nothing bleeds: what changes is touched. What is touched by less than a pixel need not change.
                assert changed <= shown(box), share
                pixel = int(np.ceil(max(size) / SIDE))
                assert shown(grown(box, -pixel, size)) <= changed, share
                checked += len(shown(grown(box, -pixel, size)))
            else:
                # A bicubic filter reaches two pixels of the smaller of both pictures further.
                assert changed <= shown(grown(box, 2 + 2 * int(np.ceil(max(size) / SIDE)), size)), share
                assert shown(grown(box, -1 - pixel, size)) <= changed, share
    assert checked


@pytest.mark.parametrize("name", ["llava", "llava_next", "internvl", "qwen2_vl"])
def test_a_box_in_the_second_of_two_pictures_is_found_among_its_own_tokens(name):
    """The two have other sizes, so that other parts and other numbers of tokens come of them."""
    model, images = tower(name)
    images.resample = NEAREST
    sizes, box = [(160, 80), (64, 149)], AskedObject("box", 10, 80, 30, 50)
    blank = [Image.new("RGB", size) for size in sizes]
    counts = [len(features(model, images([picture], return_tensors="pt"))) for picture in blank]
    made = images([blank[0], boxed(sizes[1], box)], return_tensors="pt")
    before, after = features(model, images(blank, return_tensors="pt")), features(model, made)
    assert len(after) == sum(counts)
    changed = set(((before != after).any(1).nonzero()[:, 0] - counts[0]).tolist())

    def shown(one):
        return set(object_tokens([one], model.config, images, sizes[1], made, counts, 1).tolist())

    assert changed <= shown(box)
    inner = shown(grown(box, -int(np.ceil(max(sizes[1]) / SIDE)), sizes[1]))
    assert inner <= changed
    assert inner


@pytest.mark.parametrize("size", [(100, 100), (201, 77), (64, 149)], ids=["square", "wide", "tall"])
@pytest.mark.parametrize("build", [llava, llava_next], ids=["llava", "llava_next"])
def test_the_tokens_are_as_many_as_the_whole_processor_writes(build, size):
    model, processor = build()
    made = processor(
        text=["<image> Where?"], images=[[boxed(size, AskedObject("box", 0, 0, *size))]], return_tensors="pt"
    )
    written = int((made["input_ids"] == model.config.image_token_id).sum())
    everything = object_tokens(
        [AskedObject("box", 0, 0, *size)], model.config, processor.image_processor, size, made, [written]
    )
    # All but the newline behind each row of tiles.
    newlines = 0 if build is llava else written - len(everything)
    assert len(everything) == written - newlines
    assert newlines < written / 4
    with pytest.raises(Unmapped, match="tokens"):
        object_tokens([], model.config, processor.image_processor, size, made, [written + 2])


def test_what_lies_outside_of_the_crop_has_no_token():
    model, images = tower("llava")
    size = (200, 50)
    made = images([Image.new("RGB", size)], return_tensors="pt")
    cropped = object_tokens([AskedObject("left end", 0, 0, 70, 50)], model.config, images, size, made, [16])
    assert len(cropped) == 0
    both = [AskedObject("left end", 0, 0, 80, 50), AskedObject("right end", 120, 0, 80, 50)]
    assert object_tokens(both, model.config, images, size, made, [16]).tolist() == [0, 3, 4, 7, 8, 11, 12, 15]


def test_families_and_settings_that_are_not_known_are_refused():
    model, images = tower("llava")
    made = images([Image.new("RGB", (60, 60))], return_tensors="pt")
    box = [AskedObject("box", 0, 0, 9, 9)]
    with pytest.raises(Unmapped, match="idefics3"):
        object_tokens(box, transformers.Idefics3Config(), images, (60, 60), made, [16])
    with pytest.raises(Unmapped, match="no image processor"):
        object_tokens(box, model.config, None, (60, 60), made, [16])
    padding = SimpleNamespace(do_pad=True, do_resize=True)
    with pytest.raises(Unmapped, match="pads"):
        object_tokens(box, model.config, padding, (60, 60), made, [16])
    # With its class token, every patch's token is one further on.
    plain = object_tokens(box, model.config, images, (60, 60), made, [16])
    assert object_tokens(box, model.config, images, (60, 60), made, [17]).tolist() == (plain + 1).tolist()
