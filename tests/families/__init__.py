"""Tiny models with random weights of every tested family, from their real configuration classes.

``FAMILIES`` joins the lists of this folder's modules. tests/unit/models/test_families.py checks each family, and
``make families`` writes the results into docs/families.md. A new family is one row here and one in
layerwise/models/families.py. The two are written separately, so that the tests compare two statements.
"""

from tests.families import (
    alone,
    codebooks,
    cohere,
    cross_attention,
    deepseek,
    dots,
    experts,
    fuyu,
    gemma,
    gemma4,
    glm,
    granite,
    idefics,
    inkling,
    linear_attention,
    llava_kin,
    minicpm,
    mistral,
    molmo,
    native_dense,
    native_experts,
    native_resolution,
    ocr,
    omni,
    own_shape,
    projectors,
    queries,
    short_memory,
)
from tests.families.codebooks import emu3
from tests.families.cross_attention import mllama
from tests.families.family import Family, frozen, of_each_way
from tests.families.gemma import gemma3, paligemma
from tests.families.idefics import idefics3
from tests.families.native_resolution import glm4v, qwen2_vl, qwen3_vl
from tests.families.projectors import internvl, llava, llava_mixed_windows, llava_next
from tests.families.queries import blip2, blip2_t5, instructblip, kosmos2

FAMILIES: list[Family] = []
for _module in (
    projectors,
    native_resolution,
    idefics,
    gemma,
    queries,
    codebooks,
    cross_attention,
    cohere,
    deepseek,
    gemma4,
    granite,
    llava_kin,
    native_dense,
    native_experts,
    glm,
    omni,
    own_shape,
    experts,
    fuyu,
    linear_attention,
    short_memory,
    alone,
    dots,
    inkling,
    minicpm,
    mistral,
    molmo,
    ocr,
):
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
    "blip2",
    "emu3",
    "frozen",
    "gemma3",
    "glm4v",
    "idefics3",
    "instructblip",
    "internvl",
    "kosmos2",
    "llava",
    "llava_mixed_windows",
    "llava_next",
    "mllama",
    "of_each_way",
    "paligemma",
    "qwen2_vl",
    "qwen3_vl",
]
