"""What image tokens show, against the tokens that flow finds for a box, which are tested against the models."""

import numpy as np
import pytest
import torch
from PIL import Image

from layerwise.lens.places import places_of, touched
from layerwise.models.families import family_of
from layerwise.models.patches import LAYOUTS, Made, Unmapped, object_tokens
from tests.unit.flow.test_patches import BOXES, in_pixels, tower


@pytest.mark.parametrize("name", ["llava", "llava_next", "internvl", "qwen2_vl"])
def test_the_tokens_that_a_box_touches_are_those_of_flow(name):
    model, images = tower(name)
    layout = LAYOUTS[family_of(model.config.model_type).patches]
    checked = 0
    for size in [(56, 56), (160, 80), (64, 149), (201, 77)]:
        made = images([Image.new("RGB", size)], return_tensors="pt")
        count = number_of_tokens(layout, model, images, size, made)
        places = places_of(model.config, images, size, made, [count])
        assert places.shape == (count, 4)
        for share in BOXES:
            box = in_pixels(share, size)
            expected = object_tokens([box], model.config, images, size, made, [count])
            ends = np.array([[box.x, box.y, box.x + box.w, box.y + box.h]]) / [*size, *size]
            assert np.flatnonzero(touched(places, ends)).tolist() == expected.tolist(), (size, share)
            checked += len(expected)
    assert checked


def number_of_tokens(layout, model, images, size, made):
    """As many as the layout takes; it refuses other numbers."""
    for count in range(1, 2000):
        try:
            views = layout(model.config, images, size, Made(made, [count], 0))
        except (Unmapped, ValueError, RuntimeError):
            continue
        if sum(int((view.tokens >= 0).sum()) for view in views) <= count:
            return count
    raise AssertionError("no number of tokens fits")


def test_of_pictures_prepared_together_each_has_its_own_places():
    model, images = tower("qwen2_vl")
    sizes = [(160, 80), (80, 160)]
    both = images([Image.new("RGB", size) for size in sizes], return_tensors="pt")
    alone = [images([Image.new("RGB", size)], return_tensors="pt") for size in sizes]
    merged = images.merge_size**2
    counts = [int(grid.prod()) // merged for grid in both["image_grid_thw"]]
    for place, size in enumerate(sizes):
        together = places_of(model.config, images, size, both, counts, place)
        np.testing.assert_array_equal(
            together, places_of(model.config, images, size, alone[place], counts[place : place + 1])
        )


def test_unknown_layouts_are_said_to_be_unknown():
    model, images = tower("llava")
    with pytest.raises(Unmapped, match="no image processor"):
        places_of(model.config, None, (56, 56), {}, [16])
    model.config.model_type = "blip-2"
    with pytest.raises(Unmapped, match="not known which image tokens"):
        places_of(model.config, images, (56, 56), {"pixel_values": torch.zeros(1)}, [16])


def test_a_box_that_ends_at_an_edge_touches_no_more():
    halves = np.array([[0, 0, 0.5, 1], [0.5, 0, 1, 1], [np.nan] * 4], np.float32)
    assert touched(halves, np.array([[0.1, 0.1, 0.5, 0.2]])).tolist() == [True, False, False]
    assert touched(halves, np.array([[0.1, 0.1, 0.51, 0.2]])).tolist() == [True, True, False]
    assert touched(halves, np.empty((0, 4))).tolist() == [False] * 3
