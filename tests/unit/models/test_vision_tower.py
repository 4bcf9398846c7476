"""Vision towers: what is kept equals a hand-picked mean over the family's own hidden states."""

import pytest
import torch
from PIL import Image

from layerwise.errors import InputError
from layerwise.models.image_embeddings import image_embeddings
from layerwise.models.tower_names import CLASS_TOKEN, PATCH_MEAN
from layerwise.models.vision_tower import VisionTower
from tests.families.codebooks import chameleon
from tests.families.cross_attention import mllama
from tests.families.experts import llama4
from tests.families.family import frozen
from tests.families.fuyu import fuyu
from tests.families.gemma import gemma3
from tests.families.idefics import idefics2
from tests.families.native_resolution import qwen2_vl, qwen3_vl
from tests.families.projectors import internvl, llava, llava_next

PICTURES = [
    Image.linear_gradient("L").convert("RGB").resize((40, 56)),
    Image.radial_gradient("L").convert("RGB").resize((64, 48)),
]


def read(model, pictures):
    """Projector's output and states by depth of pictures that run together."""
    prepared = model.prepare(pictures, ["Describe the image."] * len(pictures))
    with VisionTower(model).read() as readings:
        projected = image_embeddings(model, prepared)
    return prepared, projected, readings.of_pictures(len(pictures))


def own_states(model, prepared):
    """What the family's own tower reports: embeddings and every block's output, all tokens of one picture in a row."""
    encoder = model.model.get_encoder(modality="image")
    pixels = prepared["pixel_values"].flatten(0, -4) if prepared["pixel_values"].dim() > 2 else prepared["pixel_values"]
    grid = {"grid_thw": prepared["image_grid_thw"]} if "image_grid_thw" in prepared else {}
    with torch.inference_mode():
        return encoder(pixels, **grid, output_hidden_states=True).hidden_states


# By family: of the tokens of a row, which are patches, and which is the class token.
FAMILIES = {
    llava: (slice(1, None), 0),
    llava_next: (slice(1, None), 0),
    internvl: (slice(1, None), 0),
    gemma3: (slice(None), None),
    llama4: (slice(None, -1), -1),
    qwen2_vl: (slice(None), None),
}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_states_are_means_over_the_familys_own(family):
    model, (patches, class_token) = frozen(family), FAMILIES[family]
    for picture in PICTURES:
        prepared, projected, depths = read(model, [picture])
        own = [states if states.dim() == 3 else states[None] for states in own_states(model, prepared)]
        assert len(depths) == len(own) == VisionTower(model).n_blocks + 1
        for depth, (ours, states) in enumerate(zip(depths, own, strict=True)):
            torch.testing.assert_close(ours[PATCH_MEAN][0], states[:, patches].flatten(0, 1).mean(0))
            # What enters the first block is the same for all pictures.
            assert (CLASS_TOKEN in ours) == (class_token is not None and depth > 0)
            if CLASS_TOKEN in ours:
                torch.testing.assert_close(ours[CLASS_TOKEN][0], states[:, class_token].mean(0))
        torch.testing.assert_close(projected, model.run(prepared, ["image-mean"])["image-mean"][:, 0].float())


@pytest.mark.parametrize("family", [llava, gemma3, idefics2], ids=lambda family: family.__name__)
def test_pictures_of_a_batch_are_what_they_are_alone(family):
    """Idefics 2 pads pictures of different sizes: padding is no patch."""
    model = frozen(family)
    together = read(model, PICTURES)[2]
    for number, picture in enumerate(PICTURES):
        for ours, alone in zip(together, read(model, [picture])[2], strict=True):
            for pooling, states in alone.items():
                torch.testing.assert_close(ours[pooling][number], states[0], rtol=1e-4, atol=1e-5)
    assert (together[-1][PATCH_MEAN][0] - together[-1][PATCH_MEAN][1]).abs().max() > 0.01


@pytest.mark.parametrize("family", [llava_next, qwen3_vl], ids=lambda family: family.__name__)
def test_rows_that_are_no_pictures_are_told(family):
    """Tiles, and patches of all pictures in one row."""
    assert read(frozen(family), PICTURES)[2] is None


def test_lists_that_merge_patches_are_no_blocks():
    """Qwen3-VL has a list of mergers beside its blocks."""
    assert [len(part.blocks) for part in VisionTower(frozen(qwen3_vl)).parts] == [2]


@pytest.mark.parametrize(
    ("family", "reason"),
    [(fuyu, "its decoder reads the patches"), (chameleon, "a codebook"), (mllama, "cross-attention")],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_families_without_a_tower_are_refused(family, reason):
    with pytest.raises(
        InputError, match=rf"of type {frozen(family).model_type} cannot be read .*{reason}.*tower\.models"
    ):
        VisionTower(frozen(family))


def test_a_tower_in_which_no_blocks_are_found_is_refused(monkeypatch):
    monkeypatch.setattr("layerwise.models.vision_tower.LISTS", ("stages",))
    with pytest.raises(InputError, match="type llava cannot be read block by block: no list of vision blocks"):
        VisionTower(frozen(llava))
