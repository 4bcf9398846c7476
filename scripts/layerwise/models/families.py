"""The table of model families: what is particular about a model type, one row each. Imports no library.

A type without a row works too: it gets :data:`DEFAULT`, which takes no shortcuts and refuses nothing beyond what the
checks before each run refuse.

No code digest covers this module; otherwise a new row would make the states of all other families stale. If a changed
row gives other numbers, raise the family's number in :mod:`layerwise.models.family_revisions`, so that its models count
as changed. A row that only refuses something, or chooses between ways that give the same states, needs no more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

# How image tokens map to areas of the picture: the name of a layout in :mod:`layerwise.flow.patches`.
Patches = Literal["cropped", "tiled", "native", "stretched"]

NOT_SHOWN = "no test has shown that prompts about one image may share its states"
# Marks the fields that decide numbers, for the test that watches them.
NUMBERS: Mapping[str, Any] = MappingProxyType({"decides": "numbers"})


@dataclass(frozen=True)
class Family:
    """What is particular about a model type.

    Attributes:
        adapter: the module of :mod:`layerwise.models.adapters` that it runs on.
        not_shared: why prompts about one image do not share a prefix; empty if they do. Sharing needs a decoder that is
            causal over image and prefix, and a test that shows it (tests/unit/models/test_families.py).
        needs_image: why it reads a text without an image differently from one with an image; empty if it does not.
        runs_alone: whether a picture's tokens depend on the largest picture in its batch, so that inputs must run one
            by one.
        writes_begin: whether its processor writes the begin token, so that the tokenizer must not add another.
        image_out_of_reach: why an intervention on image tokens would miss the image, or reach the text too; empty if it
            reaches the image and nothing else.
        cut_leaks: why the image still reaches the text when attention to its tokens is cut; empty if it does not.
        patches: how its image tokens map to areas of the picture; None if unknown.
        never_writes_image: whether its output head never writes image tokens.
        refused: why it is not served at all; empty if it is.
        measured: whether its cost can be estimated from its files, without its weights.
    """

    adapter: str = "generic"
    not_shared: str = NOT_SHOWN
    needs_image: str = ""
    runs_alone: bool = field(default=False, metadata=NUMBERS)
    writes_begin: bool = field(default=False, metadata=NUMBERS)
    image_out_of_reach: str = ""
    cut_leaks: str = ""
    patches: Patches | None = field(default=None, metadata=NUMBERS)
    never_writes_image: bool = field(default=False, metadata=NUMBERS)
    refused: str = ""
    measured: bool = True

    @property
    def shares_prefix(self) -> bool:
        """Whether prompts about one image may share its states."""
        return not self.not_shared


DEFAULT = Family()

AUTHORS_CODE = "its authors' code keeps no states that prompts could share"
WRITTEN_FOR = "it runs by its authors' code, written for"
CONVOLUTIONS = "its convolutions carry states from each token to the next ones"

FAMILIES: Mapping[str, Family] = {
    "aria": Family(not_shared=""),
    "blip-2": Family(not_shared=""),
    "chameleon": Family(not_shared="", never_writes_image=True),
    "cogvlm": Family(refused=f"{WRITTEN_FOR} Triton and xformers, which are in neither environment"),
    "emu": Family(adapter="emu", not_shared=AUTHORS_CODE, measured=False),
    "emu3": Family(not_shared="", runs_alone=True, writes_begin=True),
    "gemma3": Family(not_shared=""),
    "glamm": Family(refused=f"{WRITTEN_FOR} torch 1.13, transformers at commit cae78c46, flash-attn and mmcv"),
    "glm4v": Family(not_shared=""),
    "idefics2": Family(not_shared=""),
    "idefics3": Family(not_shared=""),
    "inkling2": Family(cut_leaks=CONVOLUTIONS),
    "inkling_mm_model": Family(cut_leaks=CONVOLUTIONS),
    "instructblip": Family(
        not_shared="its queries read the text before they look at the image",
        image_out_of_reach="its image tokens are made with the text, and carry on what they read of it",
    ),
    "internlmxcomposer2": Family(refused=f"{WRITTEN_FOR} transformers 4.33 and decord; no adapter runs it yet"),
    "internvl": Family(not_shared="", patches="stretched"),
    "janus": Family(not_shared=""),
    "kosmos-2": Family(adapter="kosmos2", not_shared=""),
    "lavit": Family(adapter="lavit", not_shared=AUTHORS_CODE, measured=False),
    "llava": Family(not_shared="", patches="cropped"),
    "llava_next": Family(not_shared="", patches="tiled"),
    "llava_onevision": Family(not_shared=""),
    "minicpmv": Family(refused=f"{WRITTEN_FOR} transformers 4.36; version 5 lacks what it imports, and so does 4.33"),
    "mistral3": Family(not_shared=""),
    "mllama": Family(
        not_shared="",
        needs_image="leaves out its blocks of cross-attention without an image",
        writes_begin=True,
        image_out_of_reach="its blocks look across at the image, which has no tokens of its own in the text",
    ),
    "molmo": Family(adapter="molmo", not_shared=AUTHORS_CODE, measured=False),
    "molmo2": Family(cut_leaks="tokens before the image see it, too, and the text sees them"),
    "ovis2": Family(not_shared=""),
    "paligemma": Family(
        not_shared="image and prompt attend to one another both ways",
        needs_image="attends both ways over image and prompt, and only so far as its processor says where they end",
        image_out_of_reach="its image tokens see the text, and carry on what they read of it",
    ),
    "qwen-vl": Family(adapter="qwen_vl", not_shared=AUTHORS_CODE, measured=False),
    "qwen2_5_vl": Family(not_shared="", patches="native"),
    "qwen2_vl": Family(not_shared="", patches="native"),
    "qwen3_vl": Family(not_shared="", patches="native"),
    "smolvlm": Family(not_shared=""),
    "vipllava": Family(not_shared="", patches="cropped"),
}

# Families that are known by the architecture in config.json: it has no model type, or another family's.
ARCHITECTURES: Mapping[str, str] = {
    "CogVLMForCausalLM": "cogvlm",
    "GLaMMForCausalLM": "glamm",
    "InternLMXComposer2ForCausalLM": "internlmxcomposer2",
}


def family_of(model_type: str) -> Family:
    """The row of a model type, as its ``config.json`` or its adapter names it."""
    return FAMILIES.get(model_type, DEFAULT)


def is_measured(adapter: str) -> bool:
    """Whether the cost of models that run on an adapter can be estimated from their files."""
    return any(family.measured for family in (DEFAULT, *FAMILIES.values()) if family.adapter == adapter)
