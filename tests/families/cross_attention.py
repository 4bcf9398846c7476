"""Llama 3.2 Vision (mllama) and the first Idefics read the image by cross-attention; one token stands for it."""

import transformers

from tests.families.common import PATCH, SIDE, Built, text, tokenizer, vision
from tests.families.family import ACROSS, OWN_ADAPTER, Family


def mllama() -> Built:
    """mllama: the second of three blocks looks at the image."""
    words = tokenizer("<|python_tag|>", image_token="<image>")
    images = transformers.MllamaImageProcessor(size={"height": SIDE, "width": SIDE}, max_image_tiles=2)
    tower = {key: value for key, value in vision().items() if key != "num_attention_heads"}
    tower |= {"attention_heads": 2, "num_global_layers": 1, "vision_output_dim": 64, "max_num_tiles": 2}
    tower |= {"intermediate_layers_indices": [1], "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]]}
    config = transformers.MllamaConfig(
        vision_config=tower,
        text_config=text(words, cross_attention_layers=[1]),
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )
    return transformers.MllamaForConditionalGeneration(config), transformers.MllamaProcessor(images, words)


def idefics() -> Built:
    """Idefics: a layer before each block looks at 8 queries that have seen the image."""
    words = tokenizer("<fake_token_around_image>")
    # Embeddings and head of the tokens that images have added are kept apart.
    added = 4
    config = transformers.IdeficsConfig(
        **text(words, vocab_size=len(words) - added, additional_vocab_size=added),
        cross_layer_interval=1,
        qk_layer_norms=True,
        use_resampler=True,
        perceiver_config={
            "use_resampler": True,
            "resampler_n_latents": 8,
            "resampler_depth": 1,
            "resampler_n_heads": 2,
            "resampler_head_dim": 16,
        },
        vision_config={
            "embed_dim": 32,
            "image_size": SIDE,
            "patch_size": PATCH,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
        },
    )
    processor = transformers.IdeficsProcessor(transformers.IdeficsImageProcessor(image_size=SIDE), words)
    return transformers.IdeficsForVisionText2Text(config), processor


FAMILIES = [
    Family(
        "Llama 3.2 Vision (mllama)",
        mllama,
        ACROSS,
        needs_image=True,
        note="some blocks read the image by cross-attention; it has one token in the text, and `image-mean` is that "
        "token's state",
    ),
    Family(
        "Idefics",
        idefics,
        OWN_ADAPTER,
        needs_image=True,
        note="layers between its blocks read the image by cross-attention, the first of them before the first block, "
        "so layer 0 has already seen the image; it needs `adapter: idefics`",
    ),
]
