"""Inkling and Inkling 2: attention without positions, short convolutions around it, and a mixture of experts."""

import torch
import transformers
from torch import nn

from tests.families.common import LAYERS, WIDTH, Built, text, tokenizer
from tests.families.family import CONVOLUTIONS, NATIVE, Family

# Windows of other heads than the full attention's, and one block with a dense feed-forward part.
KINDS = ["hybrid_sliding", "hybrid", "hybrid_sliding"]
HEADS = {"head_dim": 16, "swa_num_attention_heads": 4, "swa_num_key_value_heads": 1, "swa_head_dim": 8}
EXPERTS = {"n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
# Pictures of four to six tokens.
SQUARE = 20


def _felt(model: nn.Module) -> nn.Module:
    """The model with stronger convolutions, which begin so weak that states hardly move from token to token."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv1d):
                module.weight.mul_(10)
    return model


def inkling() -> Built:
    """Inkling with its own processor."""
    words = tokenizer("<|content_image|>", "<audio>", "<|content_audio_input|>", image_token="<image>")
    config = transformers.InklingConfig(
        text_config=text(
            words,
            **HEADS,
            **EXPERTS,
            layer_types=KINDS,
            mlp_layer_types=["dense"] + ["sparse"] * (LAYERS - 1),
            sliding_window_size=12,
            # The last rows of its head are no tokens.
            vocab_size=len(words) + 6,
            unpadded_vocab_size=len(words),
            rel_extent=16,
            d_rel=4,
        ),
        vision_config={"patch_size": SQUARE, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2},
        audio_config={"n_mel_bins": 8},
        image_token_id=words.convert_tokens_to_ids("<image>"),
        audio_token_id=words.convert_tokens_to_ids("<audio>"),
        image_bos_token_id=words.convert_tokens_to_ids("<|content_image|>"),
        audio_bos_token_id=words.convert_tokens_to_ids("<|content_audio_input|>"),
    )
    images = transformers.InklingImageProcessor(size={"height": SQUARE, "width": SQUARE})
    processor = transformers.InklingProcessor(
        transformers.InklingFeatureExtractor(), images, words, audio_token="<audio>"
    )
    return _felt(transformers.InklingForConditionalGeneration(config)), processor


def inkling2() -> Built:
    """Inkling 2 with its own processor: each block reads a mixture of all earlier blocks."""
    words = tokenizer(image_token="<image>")
    own = text(words, **HEADS, **EXPERTS, layer_types=KINDS, sliding_window_size=12, rel_extent=16, d_rel=4)
    own |= {"n_layers_per_attn_res_block": 2, "unpadded_vocab_size": len(words)}
    del own["intermediate_size"]
    config = transformers.Inkling2Config(
        text_config=own,
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "patch_size": SQUARE // 2,
            "posemb_grid_size": 4,
            "projection_hidden_dim": 64,
            "text_hidden_size": WIDTH,
        },
        image_token_id=words.convert_tokens_to_ids("<image>"),
    )
    images = transformers.Inkling2ImageProcessor(size={"height": SQUARE, "width": SQUARE})
    return _felt(transformers.Inkling2ForConditionalGeneration(config)), transformers.Inkling2Processor(images, words)


FAMILIES = [
    Family("Inkling", inkling, NATIVE, not_shared=CONVOLUTIONS),
    Family(
        "Inkling 2",
        inkling2,
        NATIVE,
        not_shared=CONVOLUTIONS,
        joins_blocks=True,
        note="its blocks are in groups: a block's state is the sum of all that its group has added so far; each block "
        "and the final norm read a mixture of this state and of the outputs of earlier groups",
    ),
]
