"""The table of model families: what is particular about a model type, one row each. Imports no library.

A type without a row works too: it gets :data:`DEFAULT`, which takes no shortcuts. Only the checks before each run can
refuse it.

No code digest covers this module; otherwise a new row would make the states of all other families stale. If a changed
row gives other numbers, raise the family's number in :mod:`layerwise.models.family_revisions`, so that its models count
as changed. A row that only refuses something, or chooses between ways that give the same states, needs no more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

# How image tokens map to areas of the picture: the name of a layout in :mod:`layerwise.models.patches`.
Patches = Literal["cropped", "tiled", "native", "stretched"]

# The adapter of language models without vision.
TEXT = "text"
# Why prompts share no prefix, where no other reason is known.
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
        needs_image: why it cannot read a text without an image, or reads it differently; empty if it reads it the same.
        puts_image_first: whether its processor puts the image before every text, so that no text says where it is.
        runs_alone: whether a picture's tokens or states depend on the rest of its batch, or a batch cannot be prepared,
            so that inputs must run one by one.
        joins_images: whether the inputs of several pictures, put one behind the other, are those of a batch of them.
        flat_images: whether its processor takes the pictures of a batch as one list, not as a list for each text.
        writes_begin: whether its processor writes the begin token, so that the tokenizer must not add another.
        image_out_of_reach: why no intervention on image tokens is allowed: it would miss the image, or change the text
            too. Empty if it reaches the image and nothing else.
        cut_leaks: why cutting attention to the image's tokens is not allowed: the image also reaches the text another
            way. Empty if it does not.
        joins_blocks: why its final norm cannot be applied to one block's output; empty if it can.
        patches: how its image tokens map to areas of the picture; None if unknown.
        never_writes_image: whether its output head never writes image tokens.
        leaves_logits: whether it ignores the scale of logits that its decoder's configuration names.
        one_picture: why it is shown no more than one picture; empty if it takes several.
        no_tower: why its vision tower is not read block by block; empty if it is.
        class_token_last: whether its tower puts the class token behind the patches, not before them.
        refused: why it is not served at all; empty if it is served.
        measured: whether its cost can be estimated from its files, without its weights.
    """

    adapter: str = "generic"
    not_shared: str = NOT_SHOWN
    needs_image: str = ""
    runs_alone: bool = field(default=False, metadata=NUMBERS)
    puts_image_first: bool = field(default=False, metadata=NUMBERS)
    joins_images: bool = True
    flat_images: bool = False
    writes_begin: bool = field(default=False, metadata=NUMBERS)
    image_out_of_reach: str = ""
    cut_leaks: str = ""
    joins_blocks: str = ""
    patches: Patches | None = field(default=None, metadata=NUMBERS)
    never_writes_image: bool = field(default=False, metadata=NUMBERS)
    leaves_logits: bool = field(default=False, metadata=NUMBERS)
    one_picture: str = ""
    no_tower: str = ""
    class_token_last: bool = field(default=False, metadata=NUMBERS)
    refused: str = ""
    measured: bool = True

    @property
    def shares_prefix(self) -> bool:
        """Whether prompts about one image may share its states."""
        return not self.not_shared


DEFAULT = Family()

ONE_PER_TEXT = "its adapter hands its authors' code one picture per text"
PUTS_FIRST = "its processor puts one picture before every text"
AUTHORS_CODE = "its authors' code keeps no states that prompts could share"
RECURRENT = "some of its blocks carry a state from token to token, and texts packed in one row would pass it on"
ACROSS = "its blocks read the image by cross-attention, not through tokens of the text"
ENCODER = "an encoder reads the prompt, and a decoder writes what follows"
WRITTEN_FOR = "it runs on its authors' code, written for"
CONVOLUTIONS = "its convolutions carry states from each token to the next ones"
INDEXER = "an indexer with keys of its own chooses what each token attends to, and no cache here holds these keys"
CODEBOOK = "a codebook spells the picture, and no projector follows"
NO_TOWER = "it has no vision tower: its decoder reads the patches"
STREAMS = "its blocks carry several states of each token side by side, and none of them is the hidden state"

FAMILIES: Mapping[str, Family] = {
    "aria": Family(not_shared=""),
    "aya_vision": Family(not_shared="", patches="stretched", leaves_logits=True),
    "blip": Family(
        refused="every block of its decoder reads the image by cross-attention, no token stands for the image, and "
        "there is no norm after the last block"
    ),
    "blip-2": Family(not_shared="", one_picture=PUTS_FIRST),
    "chameleon": Family(not_shared="", never_writes_image=True, no_tower=CODEBOOK),
    "cogvlm": Family(refused=f"{WRITTEN_FOR} Triton and xformers, which are in neither environment"),
    "cohere2_vision": Family(not_shared="", patches="stretched", leaves_logits=True),
    "cohere_compass": Family(not_shared="", patches="native"),
    "cosmos3_edge": Family(not_shared="", patches="native"),
    "cosmos3_omni": Family(not_shared="", patches="native"),
    "deepseek_ocr2": Family(not_shared=""),
    "deepseek_vl": Family(not_shared=""),
    "deepseek_vl_hybrid": Family(not_shared=""),
    "diffusion_gemma": Family(
        refused="it writes by diffusion: its decoder fills in many tokens at once, and predicts nothing from the "
        "prompt's last token"
    ),
    "dots3_note": Family(not_shared=INDEXER),
    "emu": Family(adapter="emu", not_shared=AUTHORS_CODE, measured=False, one_picture=ONE_PER_TEXT),
    "emu3": Family(not_shared="", runs_alone=True, writes_begin=True, no_tower=CODEBOOK),
    "ernie4_5_vl_moe": Family(not_shared=""),
    "evolla": Family(refused="it reads proteins, not pictures"),
    "exaone4_5": Family(not_shared="", patches="native"),
    "fast_vlm": Family(not_shared="", no_tower="its stages are convolutions, not blocks over patches"),
    "florence2": Family(refused=ENCODER),
    "fuyu": Family(not_shared="", puts_image_first=True, one_picture=PUTS_FIRST, no_tower=NO_TOWER),
    "gemma3": Family(not_shared=""),
    "gemma3n": Family(refused=STREAMS),
    "gemma4": Family(not_shared=""),
    "gemma4_unified": Family(not_shared="", no_tower=NO_TOWER),
    "git": Family(
        refused="it adds the image's tokens inside the model, so its inputs do not show them, and there is no norm "
        "after the last block"
    ),
    "glamm": Family(refused=f"{WRITTEN_FOR} torch 1.13, transformers at commit cae78c46, flash-attn and mmcv"),
    "glm46v": Family(not_shared="", patches="native"),
    "glm4v": Family(not_shared="", patches="native"),
    "glm4v_moe": Family(not_shared="", patches="native"),
    "glm5_next": Family(refused=STREAMS),
    "glm_ocr": Family(not_shared="", patches="native"),
    "glmga": Family(not_shared="", patches="native"),
    "got_ocr2": Family(not_shared="", flat_images=True),
    "granite4_vision": Family(not_shared=""),
    "granite_docling": Family(not_shared="", patches="stretched"),
    "hunyuan_vl": Family(not_shared="", runs_alone=True),
    "hyperclovax_vision_v2": Family(not_shared="", patches="native"),
    "idefics": Family(
        adapter="idefics",
        not_shared="",
        needs_image="does not run without an image",
        writes_begin=True,
        image_out_of_reach=ACROSS,
        no_tower=ACROSS,
    ),
    "idefics2": Family(not_shared=""),
    "idefics3": Family(not_shared=""),
    "inkling2": Family(
        not_shared=CONVOLUTIONS,
        cut_leaks=CONVOLUTIONS,
        image_out_of_reach="its blocks also read the outputs of earlier blocks, which an intervention does not change",
        joins_blocks="its final norm reads a mixture of several blocks' outputs",
    ),
    "inkling_mm_model": Family(
        not_shared=CONVOLUTIONS, cut_leaks=CONVOLUTIONS, no_tower="its vision blocks keep several grids of each patch"
    ),
    "instructblip": Family(
        not_shared="its queries read the text together with the image",
        image_out_of_reach="its image tokens are made with the text, and pass on what they read in it",
        one_picture=PUTS_FIRST,
    ),
    "instructblipvideo": Family(refused="its processor takes videos of four frames, not pictures"),
    "internlmxcomposer2": Family(refused=f"{WRITTEN_FOR} transformers 4.33 and decord; no adapter runs it yet"),
    "internvl": Family(not_shared="", patches="stretched"),
    "janus": Family(not_shared=""),
    "kimi_k25": Family(not_shared=""),
    "kosmos-2": Family(adapter="kosmos2", not_shared="", one_picture=PUTS_FIRST),
    "kosmos-2.5": Family(
        adapter="kosmos2_5", not_shared="", runs_alone=True, writes_begin=True, one_picture=PUTS_FIRST
    ),
    "lavit": Family(adapter="lavit", not_shared=AUTHORS_CODE, measured=False, one_picture=ONE_PER_TEXT),
    "lfm2_vl": Family(not_shared=CONVOLUTIONS),
    "lfm3_vl": Family(not_shared=CONVOLUTIONS),
    "lighton_ocr": Family(not_shared=""),
    "llama4": Family(not_shared="", class_token_last=True),
    "llava": Family(not_shared="", patches="cropped"),
    "llava_next": Family(not_shared="", patches="tiled"),
    "llava_next_video": Family(not_shared="", patches="tiled"),
    "llava_onevision": Family(not_shared=""),
    "minicpm_ocr": Family(not_shared=RECURRENT),
    "minicpmv": Family(refused=f"{WRITTEN_FOR} transformers 4.36; version 5 lacks what it imports, and so does 4.33"),
    "minicpmv4_6": Family(not_shared=RECURRENT),
    "minicpmv4_7": Family(not_shared=RECURRENT),
    "minimax_m3_vl": Family(not_shared="", patches="native"),
    "mistral3": Family(not_shared=""),
    "mistral4": Family(
        refused="it reads only text; Mistral Small 4, which sees pictures and has this decoder, is of the type mistral3"
    ),
    "mistral_large4": Family(not_shared=INDEXER),
    "mllama": Family(
        not_shared="",
        needs_image="skips its blocks of cross-attention without an image",
        writes_begin=True,
        image_out_of_reach=ACROSS,
        no_tower=ACROSS,
    ),
    "molmo": Family(adapter="molmo", not_shared=AUTHORS_CODE, measured=False, one_picture=ONE_PER_TEXT),
    "molmo2": Family(
        not_shared="",
        # They name patches by their numbers in the batch.
        joins_images=False,
        writes_begin=True,
        cut_leaks="tokens before the image also see it, and the text sees them",
    ),
    "muse_glimmer": Family(not_shared="", patches="native"),
    "muse_spark": Family(not_shared="", patches="native"),
    "nemotron_h_omni": Family(not_shared=RECURRENT),
    "ovis2": Family(not_shared=""),
    "paddleocr_vl": Family(not_shared="", patches="native"),
    "paligemma": Family(
        not_shared="image and prompt attend to one another both ways",
        needs_image="attends both ways over image and prompt, and needs its processor to say where they end",
        image_out_of_reach="its image tokens see the text, and pass on what they read in it",
    ),
    "perception_lm": Family(not_shared="", runs_alone=True),
    "phi4_multimodal": Family(
        refused="its weights for pictures are a separate adapter (vision-lora), which transformers does not load with "
        "the model"
    ),
    "pi0": Family(refused="it writes a robot's movements, not text, and reads the robot's state with every picture"),
    "pix2struct": Family(
        refused="an encoder reads the picture, with the prompt drawn into it, and a decoder writes what follows"
    ),
    "pp_chart2table": Family(not_shared=""),
    "pp_formulanet": Family(refused="an encoder reads the picture, and a decoder writes its formulas without a prompt"),
    "qianfan_ocr": Family(not_shared=""),
    "qwen-vl": Family(adapter="qwen_vl", not_shared=AUTHORS_CODE, measured=False, one_picture=ONE_PER_TEXT),
    "qwen2_5_omni_thinker": Family(not_shared="", patches="native"),
    "qwen2_5_vl": Family(not_shared="", patches="native"),
    "qwen2_vl": Family(not_shared="", patches="native"),
    "qwen3_5": Family(not_shared=RECURRENT),
    "qwen3_5_moe": Family(not_shared=RECURRENT),
    "qwen3_omni_moe_thinker": Family(not_shared="", patches="native"),
    "qwen3_vl": Family(not_shared="", patches="native"),
    "qwen3_vl_moe": Family(not_shared="", patches="native"),
    "qwen4_exp": Family(refused=STREAMS),
    "shieldgemma2": Family(
        refused="its processor asks questions of its own about each picture, in place of the prompt"
    ),
    "smolvlm": Family(not_shared=""),
    "step3p7": Family(not_shared=""),
    "t5gemma2": Family(refused=ENCODER),
    "udop": Family(refused=ENCODER),
    "unlimited_ocr": Family(not_shared=""),
    "video_llama_3": Family(not_shared="", patches="native"),
    "video_llava": Family(not_shared="", patches="cropped"),
    "vipllava": Family(not_shared="", patches="cropped"),
    "vision-encoder-decoder": Family(
        refused="an encoder reads the picture, and a decoder writes about it without a prompt"
    ),
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


def stated_type(config: Mapping[str, Any]) -> Any:
    """The model type that the content of a ``config.json`` states; None where it states none."""
    named = [ARCHITECTURES[each] for each in config.get("architectures") or [] if each in ARCHITECTURES]
    return (*named, config.get("model_type"))[0]


def is_text(adapter: str) -> bool:
    """Whether an adapter serves language models, which see no picture."""
    return adapter == TEXT


def is_measured(adapter: str) -> bool:
    """Whether the cost of models that run on an adapter can be estimated from their files.

    So it is of all adapters but those that run code of the models' authors. Planning asks it for that, too.
    """
    return is_text(adapter) or any(
        family.measured for family in (DEFAULT, *FAMILIES.values()) if family.adapter == adapter
    )
