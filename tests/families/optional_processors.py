"""Families whose own processors need packages that this project does without: torchvision, and for SmolVLM num2words.

They are not in ``FAMILIES``, where a stand-in prepares their inputs.
tests/unit/models/test_optional_processors.py looks at them where the packages are installed.
"""

import transformers

from tests.families import native_resolution
from tests.families.idefics import PARTS, smolvlm
from tests.families.projectors import internvl, llava_onevision
from tests.families.standin import BEGIN, END, PATCH, PINPOINTS, SIDE, Built, tokenizer

# Pictures of 4 to 16 merged patches.
LEAST, MOST = (4 * PATCH) ** 2, (8 * PATCH) ** 2
NAMED = {"image_token": "<image>", "video_token": "<video>"}


def _qwen(build, processor_class: type, videos: object) -> Built:
    words = tokenizer("<begin-video>", "<end-video>", **NAMED)
    patches = {"patch_size": PATCH, "merge_size": 2, "temporal_patch_size": 2}
    images = transformers.Qwen2VLImageProcessor(**patches, min_pixels=LEAST, max_pixels=MOST)
    return build(words)[0], processor_class(images, words, videos)


def qwen2_vl_own() -> Built:
    """Qwen2-VL."""
    videos = transformers.Qwen2VLVideoProcessor()
    return _qwen(native_resolution.qwen2_vl, transformers.Qwen2VLProcessor, videos)


def qwen2_5_vl_own() -> Built:
    """Qwen2.5-VL."""
    videos = transformers.Qwen2VLVideoProcessor()
    return _qwen(native_resolution.qwen2_5_vl, transformers.Qwen2_5_VLProcessor, videos)


def qwen3_vl_own() -> Built:
    """Qwen3-VL."""
    videos = transformers.Qwen3VLVideoProcessor()
    return _qwen(native_resolution.qwen3_vl, transformers.Qwen3VLProcessor, videos)


def glm4v_own() -> Built:
    """GLM-4V."""
    words = tokenizer("<begin-video>", "<end-video>", "<|begin_of_video|>", "<|end_of_video|>", **NAMED)
    # Its processor counts the pixels of two frames.
    size = {"shortest_edge": 2 * LEAST, "longest_edge": 2 * MOST}
    images = transformers.Glm4vImageProcessor(patch_size=PATCH, merge_size=2, temporal_patch_size=2, size=size)
    processor = transformers.Glm4vProcessor(images, words, transformers.Glm4vVideoProcessor())
    return native_resolution.glm4v(words)[0], processor


def mistral3_own() -> Built:
    """Mistral 3, with Pixtral's processor: a token ends each row of image tokens."""
    words = tokenizer("[IMG_BREAK]", "[IMG_END]")
    size = {"size": {"longest_edge": 8 * PATCH}, "patch_size": {"height": PATCH, "width": PATCH}}
    processor = transformers.PixtralProcessor(
        transformers.PixtralImageProcessor(**size),
        words,
        patch_size=PATCH,
        spatial_merge_size=2,
        image_token="<image>",
    )
    return native_resolution.mistral3(words)[0], processor


def llava_onevision_own() -> Built:
    """LLaVA-OneVision."""
    words = tokenizer("<video>")
    size = {"size": {"height": SIDE, "width": SIDE}, "image_grid_pinpoints": PINPOINTS}
    processor = transformers.LlavaOnevisionProcessor(
        transformers.LlavaOnevisionImageProcessor(**size),
        words,
        transformers.LlavaOnevisionVideoProcessor(),
        num_image_tokens=(SIDE // PATCH) ** 2,
        vision_feature_select_strategy="full",
    )
    return llava_onevision(words)[0], processor


def internvl_own() -> Built:
    """InternVL, which cuts the picture into parts."""
    words = tokenizer(
        start_image_token=BEGIN, end_image_token=END, context_image_token="<image>", video_token="<video>"
    )
    images = transformers.GotOcr2ImageProcessor(
        size={"height": SIDE, "width": SIDE}, crop_to_patches=True, max_patches=2
    )
    videos = transformers.InternVLVideoProcessor()
    return internvl(words)[0], transformers.InternVLProcessor(images, words, videos, image_seq_length=4)


def smolvlm_own() -> Built:
    """SmolVLM, which cuts the picture into parts."""
    words = tokenizer("<fake_token_around_image>", "<global-img>", "<end_of_utterance>", "<video>", *PARTS)
    size = {"size": {"longest_edge": 2 * SIDE}, "max_image_size": {"longest_edge": SIDE}}
    images = transformers.SmolVLMImageProcessor(**size)
    videos = transformers.SmolVLMVideoProcessor()
    return smolvlm(words)[0], transformers.SmolVLMProcessor(images, words, videos, image_seq_len=4)


OPTIONAL = [
    qwen2_vl_own,
    qwen2_5_vl_own,
    qwen3_vl_own,
    glm4v_own,
    mistral3_own,
    llava_onevision_own,
    internvl_own,
    smolvlm_own,
]
