"""Tiny models with random weights of every tested family, from their real configuration classes.

``FAMILIES`` lists them. tests/unit/models/test_families.py checks each, and ``make families`` writes the results into
docs/families.md. A new family is one row here and one in layerwise/models/families.py. The two are written separately,
so that the tests compare two statements.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from layerwise.models.adapters.generic import GenericModel
from layerwise.models.families import family_of
from layerwise.models.opening import wrap_model
from tests.families.codebooks import chameleon, emu3, janus, ovis2
from tests.families.cross_attention import mllama
from tests.families.gemma import gemma3, gemma3_own, paligemma
from tests.families.idefics import idefics2, idefics3, idefics3_own, smolvlm
from tests.families.native_resolution import glm4v, mistral3, qwen2_5_vl, qwen2_vl, qwen3_vl
from tests.families.projectors import (
    internvl,
    llava,
    llava_mixed_windows,
    llava_next,
    llava_next_own,
    llava_onevision,
    llava_own,
    llava_sliding,
    vipllava,
)
from tests.families.queries import aria, blip2, blip2_t5, instructblip, instructblip_opt, kosmos2, kosmos2_own
from tests.families.standin import Built, StandInProcessor

TORCHVISION = "its own needs torchvision"


@dataclass(frozen=True)
class Family:
    """A family, or one of its kinds, as docs/families.md describes it.

    Attributes:
        name: the name that its makers gave it. Entries of one name are kinds of one family.
        build: makes the tiny model and its processor.
        enters: how the image reaches the decoder, as far as the code differs. `make test` runs the first family of each
            way, `make test-all` every family; see :func:`of_each_way`.
        not_shared: why several prompts about one image are not run over one prefix; empty if they are.
        needs_image: whether a text without an image is refused.
        note: what else a reader of its states should know.
        no_own_processor: why a stand-in prepares its inputs; empty if its own processor does.
        gain: multiplies the weights, so that layers differ and a mistake in one of them shows.
    """

    name: str
    build: Callable[[], Built]
    enters: str
    not_shared: str = ""
    needs_image: bool = False
    note: str = ""
    no_own_processor: str = ""
    gain: float = 3.0

    def frozen(self) -> GenericModel:
        """The tiny model behind its adapter."""
        return frozen(self.build, gain=self.gain)


# The ways in which an image enters the decoder.
PROJECTOR = "a projector makes tokens of a picture's patches"
WINDOWS = "a projector; all layers of the decoder see no further than a window"
SOME_WINDOWS = "a projector; some layers of the decoder see no further than a window"
TILES = "tiles and the whole picture, in one run of tokens"
TILES_IN_TEXT = "tiles and the whole picture, with text between them"
NATIVE = "as many tokens as the picture's size gives"
IN_BLOCKS = "in its own size, and again behind the first blocks"
QUERIES = "learned queries look at the picture"
TEXT_QUERIES = "learned queries look at the text and the picture"
PUT_FIRST = "learned queries; the processor puts the image before every text"
BOTH_WAYS = "image and text see one another both ways"
IMAGE_BOTH_WAYS = "the image sees itself both ways"
CODES = "the picture is spelled in a codebook"
CODES_ALONE = "the picture is spelled in a codebook, by padding too, so that each input runs by itself"
ACROSS = "some blocks look across at the picture"
OWN_ADAPTER = "an adapter of its own"

QUERIES_READ_TEXT = "its queries read the text before they look at the image"
STAND_IN_TOO = "the stand-in, beside its own"

FAMILIES = [
    Family("LLaVA-1.5", llava_own, PROJECTOR),
    Family("LLaVA-1.5", llava, PROJECTOR, no_own_processor=STAND_IN_TOO),
    Family(
        "LLaVA-1.5 on Mistral with a window", llava_sliding, WINDOWS, no_own_processor="LLaVA-1.5's own is shown above"
    ),
    Family(
        "LLaVA-1.5 on Qwen2 with some windows",
        llava_mixed_windows,
        SOME_WINDOWS,
        no_own_processor="LLaVA-1.5's own is shown above",
    ),
    Family("ViP-LLaVA", vipllava, PROJECTOR),
    Family("LLaVA-NeXT", llava_next_own, TILES),
    Family("LLaVA-NeXT", llava_next, TILES, no_own_processor=STAND_IN_TOO),
    Family("LLaVA-OneVision", llava_onevision, TILES, no_own_processor=TORCHVISION),
    Family("InternVL", internvl, PROJECTOR, no_own_processor=TORCHVISION),
    Family("Qwen2-VL", qwen2_vl, NATIVE, no_own_processor=TORCHVISION),
    Family("Qwen2.5-VL", qwen2_5_vl, NATIVE, no_own_processor=TORCHVISION),
    Family(
        "Qwen3-VL",
        qwen3_vl,
        IN_BLOCKS,
        no_own_processor=TORCHVISION,
        note="after each of the first blocks, features of the vision tower are added to the image tokens; the block's "
        "output is read before that, as in `output_hidden_states`, so on image tokens the next block starts from "
        "another state",
    ),
    Family("GLM-4V", glm4v, NATIVE, no_own_processor=TORCHVISION),
    Family("Mistral 3", mistral3, NATIVE, no_own_processor=TORCHVISION),
    Family("Idefics2", idefics2, QUERIES),
    Family("Idefics3", idefics3_own, TILES_IN_TEXT),
    Family("Idefics3", idefics3, TILES_IN_TEXT, no_own_processor=STAND_IN_TOO),
    Family(
        "SmolVLM",
        smolvlm,
        TILES_IN_TEXT,
        no_own_processor="its own needs torchvision and num2words",
    ),
    Family(
        "PaliGemma",
        paligemma,
        BOTH_WAYS,
        not_shared="image and prompt attend to one another both ways",
        needs_image=True,
        note="its processor ends every prompt with a newline, which is the last token",
    ),
    Family("Gemma 3", gemma3_own, IMAGE_BOTH_WAYS),
    Family("Gemma 3", gemma3, IMAGE_BOTH_WAYS, no_own_processor=STAND_IN_TOO),
    Family(
        "BLIP-2",
        blip2,
        PUT_FIRST,
        needs_image=True,
        note="its processor puts the image first; the vision tower of an untrained twin is almost blind",
    ),
    Family(
        "InstructBLIP", instructblip, TEXT_QUERIES, not_shared=QUERIES_READ_TEXT, needs_image=True, note="as BLIP-2"
    ),
    Family("InstructBLIP on OPT", instructblip_opt, TEXT_QUERIES, not_shared=QUERIES_READ_TEXT, needs_image=True),
    Family(
        "Kosmos-2",
        kosmos2_own,
        OWN_ADAPTER,
        needs_image=True,
        note="its processor puts the image first; `adapter: kosmos2`",
    ),
    Family("Kosmos-2", kosmos2, OWN_ADAPTER, needs_image=True, no_own_processor=STAND_IN_TOO),
    Family("Aria", aria, QUERIES),
    Family(
        "Chameleon",
        chameleon,
        CODES,
        # Its norms of queries and keys amplify rounding.
        gain=1.0,
        note="its processor ends every prompt with the end of the user's turn, which is the last token",
    ),
    Family("Emu3", emu3, CODES_ALONE, note="a picture's codes depend on padding, so inputs run one by one"),
    Family("Janus", janus, PROJECTOR),
    Family("Ovis2", ovis2, CODES),
    Family(
        "Llama 3.2 Vision (mllama)",
        mllama,
        ACROSS,
        needs_image=True,
        note="some blocks look across at the image, which has one token in the text; `image-mean` is that token's "
        "state",
    ),
]

# Refused families, with the reason.
NOT_SERVED = [
    (
        "BLIP-2 and InstructBLIP on T5",
        blip2_t5,
        "an encoder reads the prompt, and a decoder writes what follows",
    ),
]


def of_each_way(families: Sequence[Family]) -> list[Any]:
    """Families as a test's parameters; `make test` runs the first of each way, `make test-all` all of them."""
    first = {family.enters: family for family in reversed(families)}
    return [
        pytest.param(
            family, marks=[] if first[family.enters] is family else pytest.mark.whole, id=family.build.__name__
        )
        for family in families
    ]


def frozen(build: Callable[[], Built], seed: int = 0, gain: float = 3.0) -> GenericModel:
    """A family's tiny model behind its adapter, with weights from ``seed``."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model, processor = build()
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(gain)
            # Some families begin with projections or gates of zero, which make all images equal.
            if not parameter.any():
                parameter.fill_(0.5) if parameter.numel() == 1 else parameter.normal_(std=0.02)
    adapter = family_of(model.config.model_type).adapter
    return wrap_model(adapter, model.eval().requires_grad_(False), processor, "auto")


__all__ = [
    "FAMILIES",
    "NOT_SERVED",
    "Family",
    "StandInProcessor",
    "blip2",
    "emu3",
    "frozen",
    "gemma3_own",
    "idefics3_own",
    "instructblip",
    "kosmos2_own",
    "llava",
    "llava_next_own",
    "llava_own",
    "mllama",
    "of_each_way",
    "paligemma",
]
