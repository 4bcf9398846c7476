"""Families that are made to read documents."""

import transformers

from tests.families.common import BEGIN, END, PATCH, SIDE, Built, text, tokenizer, vision
from tests.families.family import NO_BATCH, OWN_ADAPTER, PROJECTOR, TILES, Family


def qianfan_ocr() -> Built:
    """Qianfan-OCR with its own processor: crops and the whole picture; the text says where they go in its own word."""
    words = tokenizer("<context>", start_image_token=BEGIN, end_image_token=END, context_image_token="<context>")
    config = transformers.QianfanOCRConfig(
        vision_config=transformers.QianfanOCRVisionConfig(**vision(image_size=[SIDE, SIDE], patch_size=[PATCH, PATCH])),
        text_config=transformers.Qwen3Config(**text(words, head_dim=16)),
        image_token_id=words.convert_tokens_to_ids("<context>"),
        image_seq_length=4,
    )
    images = transformers.GotOcr2ImageProcessor(size={"height": SIDE, "width": SIDE}, max_patches=2)
    processor = transformers.QianfanOCRProcessor(images, words, image_seq_length=4, image_placeholder_token="[picture]")
    return transformers.QianfanOCRForConditionalGeneration(config), processor


def got_ocr2() -> Built:
    """GOT-OCR 2.0 with its own processor: SAM's tower, and always 256 tokens."""
    words = tokenizer("<img>", "</img>", "<imgpad>", "<|im_start|>", "<|im_end|>")
    tower = {"hidden_size": 32, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_dim": 64}
    config = transformers.GotOcr2Config(
        vision_config=transformers.GotOcr2VisionConfig(
            **tower, image_size=64, patch_size=1, window_size=8, global_attn_indexes=[], initializer_range=0.02
        ),
        text_config=transformers.Qwen2Config(**text(words, max_position_embeddings=1024)),
        image_token_index=words.convert_tokens_to_ids("<imgpad>"),
        image_seq_length=256,
    )
    images = transformers.GotOcr2ImageProcessor(size={"height": 64, "width": 64})
    return transformers.GotOcr2ForConditionalGeneration(config), transformers.GotOcr2Processor(images, words)


def kosmos2_5() -> Built:
    """Kosmos-2.5 with its own processor, which puts the image before every text."""
    words = tokenizer(boi_token="<boi>", eoi_token="<eoi>", image_token="<s>")
    own = text(words)
    config = transformers.Kosmos2_5Config(
        text_config=transformers.Kosmos2_5TextConfig(
            embed_dim=own["hidden_size"],
            ffn_dim=128,
            layers=own["num_hidden_layers"],
            attention_heads=4,
            vocab_size=own["vocab_size"],
            max_position_embeddings=512,
            pad_token_id=words.pad_token_id,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
        ),
        vision_config=transformers.Kosmos2_5VisionConfig(
            hidden_size=32,
            patch_embed_hidden_size=768,
            intermediate_size=64,
            head_dim=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_num_patches=4096,
        ),
        latent_query_num=8,
    )
    images = transformers.Kosmos2_5ImageProcessor()
    processor = transformers.Kosmos2_5Processor(images, words, num_image_tokens=8)
    # 4096 patches take seconds.
    processor.images_kwargs = processor.images_kwargs | {"max_patches": 64}
    return transformers.Kosmos2_5ForConditionalGeneration(config), processor


FAMILIES = [
    Family("Qianfan-OCR", qianfan_ocr, TILES),
    Family("GOT-OCR 2.0", got_ocr2, PROJECTOR),
    Family(
        "Kosmos-2.5",
        kosmos2_5,
        OWN_ADAPTER,
        needs_image=True,
        one_picture=True,
        changed_processor="its own, with 64 patches per picture in place of 4096, which would be slow",
        alone=NO_BATCH,
        note="its processor puts the image first, and marks it by its place from the row's start, so inputs run one by "
        "one; it needs `adapter: kosmos2_5`",
    ),
]
