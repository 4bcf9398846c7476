"""Families that see a picture as entries of a codebook, or can also write one so."""

import transformers

from tests.families.common import BEGIN, END, PATCH, SIDE, WIDTH, Built, image_token, text, tokenizer, vision
from tests.families.family import BATCH_DECIDES, CODES, CODES_ALONE, PROJECTOR, Family

N_CODES = 16


def chameleon() -> Built:
    """Chameleon: a picture is 16 tokens of the decoder's own vocabulary."""
    # The ten digits of a code are written as the letters A to J.
    codes = [f"IMGIMG{''.join(chr(ord('A') + int(digit)) for digit in str(i))}Z" for i in range(N_CODES)]
    words = tokenizer(*codes, image_token="<image>", boi_token=BEGIN, eoi_token=END, sep_token="<end-turn>")
    images = transformers.ChameleonImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    codebook = {"embed_dim": 8, "num_embeddings": N_CODES, "latent_channels": 8, "resolution": 32, "base_channels": 32}
    config = transformers.ChameleonConfig(
        **text(words),
        vq_config=codebook | {"channel_multiplier": [1, 1, 1, 1], "num_res_blocks": 1},
        vocabulary_map=words.get_vocab(),
    )
    model = transformers.ChameleonForConditionalGeneration(config)
    return model, transformers.ChameleonProcessor(images, words, image_seq_length=16)


def emu3() -> Built:
    """Emu3: codes row by row, how many depends on the picture's shape."""
    codes = [f"<|visual token {i:06d}|>" for i in range(N_CODES)]
    named = {"image_token": "<image>", "boi_token": BEGIN, "eoi_token": END, "image_wrapper_token": "<wrapper>"}
    words = tokenizer(*codes, "<|extra_200|>", **named, eof_token="<|extra_201|>")
    images = transformers.Emu3ImageProcessor(min_pixels=32 * 32, max_pixels=64 * 64)
    codebook = {"codebook_size": N_CODES, "embed_dim": 4, "base_channels": 32, "channel_multiplier": [1, 1, 1, 1]}
    config = transformers.Emu3Config(
        vq_config=codebook | {"num_res_blocks": 1, "hidden_size": 32, "attn_resolutions": [3]},
        text_config=text(words, attention_dropout=0.0),
        vocabulary_map=words.get_vocab(),
    )
    return transformers.Emu3ForConditionalGeneration(config), transformers.Emu3Processor(images, words)


def janus() -> Built:
    """Janus: SigLIP's kind of tower for seeing, a codebook only for drawing."""
    words = tokenizer(image_token="<image>", boi_token=BEGIN, eoi_token=END)
    images = transformers.JanusImageProcessor(size={"height": SIDE, "width": SIDE})
    tower = {key: value for key, value in vision().items() if key != "intermediate_size"}
    codebook = {"embed_dim": 4, "num_embeddings": N_CODES, "latent_channels": 8, "base_channels": 32}
    codebook |= {"channel_multiplier": [1, 1], "num_res_blocks": 1, "projection_dim": WIDTH}
    config = transformers.JanusConfig(
        vision_config=tower | {"projection_dim": WIDTH, "mlp_ratio": 2.0, "num_image_tokens": 16},
        vq_config=codebook | {"image_token_embed_dim": WIDTH},
        text_config=transformers.LlamaConfig(**text(words)),
        image_token_id=image_token(words),
    )
    model = transformers.JanusForConditionalGeneration(config)
    return model, transformers.JanusProcessor(images, words, num_image_tokens=16)


def ovis2() -> Built:
    """Ovis2: each image token is a mixture over a table of visual words."""
    marks = ["<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>"]
    words = tokenizer("<IMG_ATOM>", *marks)
    images = transformers.Ovis2ImageProcessor(size={"height": SIDE, "width": SIDE})
    config = transformers.Ovis2Config(
        vision_config=vision(vocab_size=32, hidden_stride=2, num_visual_indicator_tokens=len(marks)),
        text_config=transformers.Qwen2Config(**text(words)).to_dict(),
        image_token_id=words.convert_tokens_to_ids("<IMG_ATOM>"),
        visual_indicator_token_ids=words.convert_tokens_to_ids(marks),
        vocab_size=len(words),
        hidden_size=WIDTH,
    )
    model = transformers.Ovis2ForConditionalGeneration(config)
    return model, transformers.Ovis2Processor(images, words, image_seq_length=(SIDE // PATCH // 2) ** 2)


FAMILIES = [
    Family(
        "Chameleon",
        chameleon,
        CODES,
        # Its norms of queries and keys amplify rounding.
        gain=1.0,
        note="its processor ends every prompt with the end of the user's turn, which is the last token",
    ),
    Family(
        "Emu3",
        emu3,
        CODES_ALONE,
        alone=BATCH_DECIDES,
        note="a picture's codes depend on padding, so inputs run one by one",
    ),
    Family("Janus", janus, PROJECTOR),
    Family("Ovis2", ovis2, CODES),
]
