"""IBM's Granite Vision and Granite Docling: tiles whose features enter several blocks."""

import transformers

from tests.families.common import PATCH, PINPOINTS, SIDE, WIDTH, Built, image_token, text, tokenizer, vision
from tests.families.family import DEEPSTACK, IN_BLOCKS, Family
from tests.families.idefics import PARTS

# Granite scales embeddings, residuals and scores.
SCALES = {"embedding_multiplier": 12.0, "residual_multiplier": 0.5, "attention_multiplier": 0.1, "logits_scaling": 4.0}


def granite4_vision() -> Built:
    """Granite 4 Vision: queries look at windows of several layers of the tower, each for a block of the decoder."""
    words = tokenizer()
    rate = "1/2"
    config = transformers.Granite4VisionConfig(
        # The queries have a head for every 64 channels.
        vision_config=transformers.CLIPVisionConfig(**vision(hidden_size=64)),
        text_config=transformers.Granite4VisionTextConfig(**text(words, num_hidden_layers=4, **SCALES)),
        qformer_config={
            "model_type": "blip_2_qformer",
            "num_hidden_layers": 1,
            "intermediate_size": 64,
            "cross_attention_frequency": 1,
            "use_qformer_text_input": False,
        },
        image_token_index=image_token(words),
        image_grid_pinpoints=PINPOINTS,
        downsample_rate=rate,
        deepstack_layer_map=[[-2, 0], [1, 2]],
        spatial_target_layers=[1, 3],
    )
    images = transformers.LlavaNextImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, image_grid_pinpoints=PINPOINTS
    )
    processor = transformers.Granite4VisionProcessor(
        images,
        words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        downsample_rate=rate,
    )
    return transformers.Granite4VisionForConditionalGeneration(config), processor


def granite_docling() -> Built:
    """Granite Docling: tiles with text between them."""
    words = tokenizer("<fake_token_around_image>", "<global-img>", *PARTS)
    config = transformers.GraniteDoclingConfig(
        vision_config=transformers.GraniteDoclingVisionConfig(
            **vision(out_hidden_size=WIDTH, scale_factor=2, deepstack_visual_indexes=[0, 1])
        ),
        text_config=transformers.GraniteDoclingTextConfig(**text(words, **SCALES)),
        image_token_id=image_token(words),
        pad_token_id=words.pad_token_id,
    )
    images = transformers.GraniteDoclingImageProcessor(size={"height": SIDE, "width": SIDE}, max_patches=2)
    processor = transformers.GraniteDoclingProcessor(images, words, image_seq_len=4)
    return transformers.GraniteDoclingForConditionalGeneration(config), processor


FAMILIES = [
    Family(
        "Granite 4 Vision",
        granite4_vision,
        IN_BLOCKS,
        note="before some blocks, features of the vision tower are added to the image tokens, so these tokens enter "
        "such a block with another state than they left the block before; layer 0 is read after the first addition",
    ),
    Family(
        "Granite Docling",
        granite_docling,
        IN_BLOCKS,
        note=DEEPSTACK,
    ),
]
