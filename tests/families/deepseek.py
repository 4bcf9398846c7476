"""DeepSeek's families: one or two vision towers before a decoder, and learned queries before a mixture of experts."""

import transformers

from tests.families.common import PATCH, SIDE, Built, image_token, siglip, text, tokenizer
from tests.families.family import PROJECTOR, QUERIES, Family


def deepseek_vl() -> Built:
    """DeepSeek-VL 1.3B: SigLIP alone."""
    words = tokenizer(image_token="<image>")
    config = transformers.DeepseekVLConfig(
        vision_config=siglip(), text_config=transformers.LlamaConfig(**text(words)), image_token_id=image_token(words)
    )
    images = transformers.DeepseekVLImageProcessor(size={"height": SIDE, "width": SIDE})
    processor = transformers.DeepseekVLProcessor(images, words, num_image_tokens=(SIDE // PATCH) ** 2)
    return transformers.DeepseekVLForConditionalGeneration(config), processor


def deepseek_vl_hybrid() -> Built:
    """DeepSeek-VL 7B: SAM looks at the same picture in a higher resolution."""
    words = tokenizer(image_token="<image>")
    side, patch = 64, 8
    config = transformers.DeepseekVLHybridConfig(
        vision_config=siglip(),
        high_res_vision_config=transformers.SamVisionConfig(
            hidden_size=32,
            output_channels=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=side,
            patch_size=patch,
            mlp_dim=64,
            window_size=4,
            global_attn_indexes=[1],
        ),
        text_config=transformers.LlamaConfig(**text(words)),
        image_token_id=image_token(words),
    )
    images = transformers.DeepseekVLHybridImageProcessor(
        size={"height": SIDE, "width": SIDE}, high_res_size={"height": side, "width": side}
    )
    processor = transformers.DeepseekVLHybridProcessor(images, words, num_image_tokens=(SIDE // PATCH) ** 2)
    return transformers.DeepseekVLHybridForConditionalGeneration(config), processor


def deepseek_ocr2() -> Built:
    """DeepSeek-OCR 2: SAM, an encoder with queries for each of two resolutions, dense and expert blocks."""
    words = tokenizer(image_token="<image>")
    # The model has 144 queries for a tile and 256 for the whole picture; these sizes fit them.
    patch, tile, whole = 1, 48, 64
    config = transformers.DeepseekOcr2Config(
        vision_config=transformers.DeepseekOcr2VisionConfig(
            sam_config=transformers.DeepseekOcr2SamVisionConfig(
                hidden_size=16,
                output_channels=8,
                num_hidden_layers=2,
                num_attention_heads=1,
                image_size=whole,
                patch_size=patch,
                mlp_ratio=2.0,
                window_size=8,
                global_attn_indexes=[],
                downsample_channels=[16, 32],
                # Its own 1e-10 makes a blind model.
                initializer_range=0.1,
            ),
            encoder_config=transformers.DeepseekOcr2VisionEncoderConfig(
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=2,
                max_position_embeddings=512,
            ),
        ),
        text_config=transformers.DeepseekOcr2TextConfig(
            **text(
                words,
                max_position_embeddings=4096,
                n_routed_experts=4,
                n_shared_experts=1,
                num_experts_per_tok=2,
                moe_intermediate_size=32,
                mlp_layer_types=["dense", "sparse", "sparse"],
            )
        ),
        image_token_id=image_token(words),
    )
    images = transformers.DeepseekOcr2ImageProcessor(size={"height": whole, "width": whole}, tile_size=tile)
    processor = transformers.DeepseekOcr2Processor(images, words, patch_size=patch)
    return transformers.DeepseekOcr2ForConditionalGeneration(config), processor


FAMILIES = [
    Family("DeepSeek-VL", deepseek_vl, PROJECTOR),
    Family("DeepSeek-VL with a second tower", deepseek_vl_hybrid, PROJECTOR),
    Family("DeepSeek-OCR 2", deepseek_ocr2, QUERIES),
]
