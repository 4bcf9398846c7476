"""Tiny models with random weights of every tested family, from their real configuration classes.

``FAMILIES`` lists them. tests/unit/models/test_families.py checks each, and ``make families`` writes the results into
docs/families.md. A new family is one row here and one in layerwise/models/families.py. The two are written separately,
so that the tests compare two statements.
"""

from tests.families import cohere, deepseek, granite, llava_kin
from tests.families.codebooks import chameleon, emu3, janus, ovis2
from tests.families.cross_attention import mllama
from tests.families.family import (
    ACROSS,
    BOTH_WAYS,
    CODES,
    CODES_ALONE,
    IMAGE_BOTH_WAYS,
    IN_BLOCKS,
    NATIVE,
    OWN_ADAPTER,
    PROJECTOR,
    PUT_FIRST,
    QUERIES,
    SOME_WINDOWS,
    TEXT_QUERIES,
    TILES,
    TILES_IN_TEXT,
    WINDOWS,
    Family,
    frozen,
    of_each_way,
)
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
from tests.families.standin import StandInProcessor

TORCHVISION = "its own needs torchvision"


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

# Modules with a list of their own.
for _module in (cohere, deepseek, granite, llava_kin):
    FAMILIES += _module.FAMILIES

# Refused families, with the reason.
NOT_SERVED = [
    (
        "BLIP-2 and InstructBLIP on T5",
        blip2_t5,
        "an encoder reads the prompt, and a decoder writes what follows",
    ),
]


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
