"""Families in which a few learnt queries take from the image what the decoder sees."""

from typing import Any

import transformers
from transformers import PreTrainedTokenizerFast

from tests.families.common import LAYERS, PATCH, SIDE, WIDTH, Built, image_token, text, tokenizer, vision
from tests.families.family import OWN_ADAPTER, PUT_FIRST, QUERIES, TEXT_QUERIES, Family


def _opt(words: PreTrainedTokenizerFast) -> transformers.OPTConfig:
    """OPT, whose decoder lies deeper and whose norms have other names than Llama's."""
    shape = text(words, ffn_dim=128, word_embed_proj_dim=WIDTH, dropout=0.0)
    return transformers.OPTConfig(**{key: shape[key] for key in shape if key != "intermediate_size"})


def _queries(words: PreTrainedTokenizerFast) -> dict[str, Any]:
    shape = {"vocab_size": len(words), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    return shape | {"num_attention_heads": 2, "encoder_hidden_size": 32, "cross_attention_frequency": 1}


def _blip(
    config_class: type, model_class: type, words: PreTrainedTokenizerFast, decoder: transformers.PreTrainedConfig
) -> Any:
    config = config_class(
        # By default the tower's weights are all but zero.
        vision_config=vision(initializer_range=0.02),
        qformer_config=_queries(words),
        text_config=decoder.to_dict(),
        num_query_tokens=8,
        image_token_index=image_token(words),
        image_token_id=image_token(words),
    )
    return model_class(config)


def _instructblip_processor(words: PreTrainedTokenizerFast) -> transformers.InstructBlipProcessor:
    # Its queries read the instruction as BERT does, padded on the right.
    for_queries = tokenizer()
    for_queries.padding_side = "right"
    return transformers.InstructBlipProcessor(_blip_images(), words, for_queries, num_query_tokens=8)


def _blip_images() -> transformers.BlipImageProcessor:
    return transformers.BlipImageProcessor(size={"height": SIDE, "width": SIDE})


def blip2() -> Built:
    """BLIP-2 on OPT, which puts the image before every text, and padding between them."""
    words = tokenizer()
    model = _blip(transformers.Blip2Config, transformers.Blip2ForConditionalGeneration, words, _opt(words))
    return model, transformers.Blip2Processor(_blip_images(), words, num_query_tokens=8)


def blip2_t5() -> Built:
    """BLIP-2 on T5, which is an encoder and a decoder."""
    words = tokenizer()
    shape = {"d_model": WIDTH, "d_kv": 16, "d_ff": 128, "num_layers": LAYERS, "num_heads": 4}
    ids = {"pad_token_id": words.pad_token_id, "decoder_start_token_id": words.pad_token_id}
    decoder = transformers.T5Config(vocab_size=len(words), **shape, **ids)
    model = _blip(transformers.Blip2Config, transformers.Blip2ForConditionalGeneration, words, decoder)
    return model, transformers.Blip2Processor(_blip_images(), words, num_query_tokens=8)


def instructblip_opt() -> Built:
    """InstructBLIP on OPT."""
    words = tokenizer()
    model = _blip(
        transformers.InstructBlipConfig, transformers.InstructBlipForConditionalGeneration, words, _opt(words)
    )
    return model, _instructblip_processor(words)


def instructblip() -> Built:
    """InstructBLIP on Llama: what is taken from the image depends on the text."""
    words = tokenizer()
    llama = transformers.LlamaConfig(**text(words))
    model = _blip(transformers.InstructBlipConfig, transformers.InstructBlipForConditionalGeneration, words, llama)
    return model, _instructblip_processor(words)


def kosmos2() -> Built:
    """Kosmos-2: sinusoidal positions, layer norms, a mask of its own. Its processor writes 64 image tokens first."""
    size = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    processor = transformers.Kosmos2Processor(transformers.CLIPImageProcessor(**size), tokenizer())
    words = processor.tokenizer
    decoder = {"vocab_size": len(words), "max_position_embeddings": 256, "embed_dim": WIDTH, "layers": LAYERS}
    decoder |= {"ffn_dim": 128, "attention_heads": 4, "pad_token_id": words.pad_token_id}
    decoder |= {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id}
    config = transformers.Kosmos2Config(text_config=decoder, vision_config=vision(), latent_query_num=64)
    return transformers.Kosmos2ForConditionalGeneration(config), processor


def aria() -> Built:
    """Aria: a mixture of experts, 8 queries over the picture."""
    words = tokenizer(image_token="<image>")
    side = 980  # its processor's own
    images = transformers.AriaImageProcessor()
    processor = transformers.AriaProcessor(images, words, size_conversion={side: 8})
    config = transformers.AriaConfig(
        vision_config={"model_type": "idefics3_vision"} | vision(image_size=side, patch_size=5 * PATCH),
        text_config=text(words, moe_num_experts=4, moe_topk=2, moe_num_shared_experts=1),
        projector_patch_to_query_dict={(side // (5 * PATCH)) ** 2: 8},
        image_token_index=image_token(words),
    )
    return transformers.AriaForConditionalGeneration(config), processor


QUERIES_READ_TEXT = "its queries read the text together with the image"
FAMILIES = [
    Family(
        "BLIP-2",
        blip2,
        PUT_FIRST,
        needs_image=True,
        one_picture=True,
        note="its processor puts the image first; the vision tower of an untrained twin is almost blind",
    ),
    Family(
        "InstructBLIP",
        instructblip,
        TEXT_QUERIES,
        not_shared=QUERIES_READ_TEXT,
        needs_image=True,
        one_picture=True,
        note="as BLIP-2",
    ),
    Family(
        "InstructBLIP on OPT",
        instructblip_opt,
        TEXT_QUERIES,
        not_shared=QUERIES_READ_TEXT,
        needs_image=True,
        one_picture=True,
    ),
    Family(
        "Kosmos-2",
        kosmos2,
        OWN_ADAPTER,
        needs_image=True,
        one_picture=True,
        note="its processor puts the image first; it needs `adapter: kosmos2`",
    ),
    Family("Aria", aria, QUERIES),
]
