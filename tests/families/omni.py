"""Qwen's later families and those made from them: mixtures of experts, and models that also hear."""

from typing import Any

import transformers
from transformers import PreTrainedTokenizerFast

from tests.families.common import BEGIN, END, PATCH, WIDTH, Built, image_token, text, tokenizer
from tests.families.family import IN_BLOCKS, NATIVE, Family

PATCHES = {"patch_size": PATCH, "merge_size": 2, "temporal_patch_size": 2}
# Pictures of 4 to 16 tokens.
SIZE = {"min_pixels": (4 * PATCH) ** 2, "max_pixels": (8 * PATCH) ** 2}
ROPE = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
TOWER = {
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_heads": 2,
    "out_hidden_size": WIDTH,
    "patch_size": PATCH,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}
# Features that are added to the image's tokens behind the first blocks.
DEEP = {"num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1]}
# The second block is dense.
EXPERTS = {"moe_intermediate_size": 32, "num_experts": 6, "num_experts_per_tok": 2, "mlp_only_layers": [1]}
EARS = {
    "num_mel_bins": 16,
    "encoder_layers": 1,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "d_model": 32,
    "max_source_positions": 100,
    "output_dim": WIDTH,
}


def _decoder(words: PreTrainedTokenizerFast, **more: Any) -> dict[str, Any]:
    return text(words, head_dim=16, rope_parameters=ROPE) | more


def _images() -> transformers.Qwen2VLImageProcessor:
    return transformers.Qwen2VLImageProcessor(**PATCHES, **SIZE)


def _with_video() -> PreTrainedTokenizerFast:
    return tokenizer(image_token="<image>", video_token="<video>")


def _marks(words: PreTrainedTokenizerFast) -> dict[str, int]:
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    return dict(zip(names, words.convert_tokens_to_ids(["<image>", "<video>", BEGIN, END]), strict=True))


def _qwen3_vl_processor(words: PreTrainedTokenizerFast) -> transformers.Qwen3VLProcessor:
    return transformers.Qwen3VLProcessor(_images(), words, transformers.Qwen3VLVideoProcessor())


def qwen3_vl_moe() -> Built:
    """Qwen3-VL with experts."""
    words = _with_video()
    config = transformers.Qwen3VLMoeConfig(
        text_config=_decoder(words, **EXPERTS), vision_config=TOWER | DEEP, **_marks(words)
    )
    return transformers.Qwen3VLMoeForConditionalGeneration(config), _qwen3_vl_processor(words)


def cosmos3_omni() -> Built:
    """Cosmos 3, the part that reasons: Qwen3-VL under another name."""
    words = _with_video()
    config = transformers.Cosmos3OmniConfig(text_config=_decoder(words), vision_config=TOWER | DEEP, **_marks(words))
    return transformers.Cosmos3OmniForConditionalGeneration(config), _qwen3_vl_processor(words)


def cosmos3_edge() -> Built:
    """Cosmos 3 Edge: SigLIP 2 with its positions stretched to the picture, and a decoder with plain MLPs."""
    words = _with_video()
    tower = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "patch_size": PATCH,
        "num_patches": 16,
        "spatial_merge_size": 2,
    }
    config = transformers.Cosmos3EdgeConfig(
        text_config=_decoder(words), vision_config=tower, projector_hidden_size=64, **_marks(words)
    )
    images = transformers.Cosmos3EdgeImageProcessor(patch_size=PATCH, merge_size=2, **SIZE)
    processor = transformers.Cosmos3EdgeProcessor(images, words, transformers.Cosmos3EdgeVideoProcessor())
    return transformers.Cosmos3EdgeForConditionalGeneration(config), processor


def _with_audio() -> PreTrainedTokenizerFast:
    return tokenizer(
        image_token="<image>",
        video_token="<video>",
        audio_token="<audio>",
        vision_bos_token=BEGIN,
        vision_eos_token=END,
        audio_bos_token="<begin-audio>",
        audio_eos_token="<end-audio>",
    )


# These models look for the image's begin to count rows and columns; their own templates write it.
CHAT = (
    "{% for turn in messages %}{% for part in turn.content %}"
    f"{{% if part.type == 'image' %}}{BEGIN}<image>{END}{{% else %}}{{{{ part.text }}}}{{% endif %}}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}\nAnswer:{% endif %}"
)


def _omni(processor_class: type, words: PreTrainedTokenizerFast) -> Any:
    ears = transformers.WhisperFeatureExtractor(feature_size=EARS["num_mel_bins"])
    return processor_class(
        image_processor=_images(),
        video_processor=transformers.Qwen2VLVideoProcessor(),
        feature_extractor=ears,
        tokenizer=words,
        chat_template=CHAT,
    )


def qwen2_5_omni() -> Built:
    """The part of Qwen2.5-Omni that reads and answers: windows in its tower, and an encoder of sound."""
    words = _with_audio()
    tower = TOWER | {"fullatt_block_indexes": [1], "window_size": 56}
    audio = words.convert_tokens_to_ids(["<audio>", "<begin-audio>", "<end-audio>"])
    names = ("audio_token_index", "audio_start_token_id", "audio_end_token_id")
    config = transformers.Qwen2_5OmniThinkerConfig(
        text_config=_decoder(words),
        vision_config=tower,
        audio_config=EARS,
        vision_start_token_id=words.convert_tokens_to_ids(BEGIN),
        image_token_index=image_token(words),
        video_token_index=words.convert_tokens_to_ids("<video>"),
        **dict(zip(names, audio, strict=True)),
    )
    model = transformers.Qwen2_5OmniThinkerForConditionalGeneration(config)
    return model, _omni(transformers.Qwen2_5OmniProcessor, words)


def qwen3_omni_moe() -> Built:
    """The part of Qwen3-Omni that reads and answers: Qwen3-VL with experts, and an encoder of sound."""
    words = _with_audio()
    config = transformers.Qwen3OmniMoeThinkerConfig(
        text_config=_decoder(words, **EXPERTS),
        vision_config=TOWER | DEEP,
        audio_config=EARS | {"downsample_hidden_size": 8},
        vision_start_token_id=words.convert_tokens_to_ids(BEGIN),
        image_token_id=image_token(words),
        video_token_id=words.convert_tokens_to_ids("<video>"),
        audio_token_id=words.convert_tokens_to_ids("<audio>"),
        audio_start_token_id=words.convert_tokens_to_ids("<begin-audio>"),
    )
    model = transformers.Qwen3OmniMoeThinkerForConditionalGeneration(config)
    return model, _omni(transformers.Qwen3OmniMoeProcessor, words)


THINKER = "its thinker, which reads and answers; it is also found in the files of the whole model, which speaks too"

FAMILIES = [
    Family("Qwen3-VL with experts", qwen3_vl_moe, IN_BLOCKS),
    Family("Qwen2.5-Omni", qwen2_5_omni, NATIVE, note=THINKER),
    Family("Qwen3-Omni", qwen3_omni_moe, IN_BLOCKS, note=THINKER),
    Family("Cosmos 3", cosmos3_omni, IN_BLOCKS),
    Family("Cosmos 3 Edge", cosmos3_edge, NATIVE),
]
