"""A LLaVA with random weights and what trained ones have: outlier dimensions, a tied head, merges and a chat template.

In a trained decoder a few dimensions hold values hundreds of times as large as all others (Sun et al. 2024, "Massive
activations in large language models", arXiv 2402.17762), and its norms turn them down again. Random weights have
neither, so they hide what such values do to rounding and to comparisons by norms. Here both are written into random
weights: some dimensions are large, and the norms' weights are small there and large elsewhere.
"""

from pathlib import Path

import torch
import transformers
from torch import nn

from layerwise.models.embedded.tokenizer import IMAGE, train_tokenizer

SIDE, PATCH, WIDTH = 56, 14, 96
# The dimension with large values, how large they are, and how much more blocks write into it than elsewhere. In
# SmolLM2-135M the largest value is 36 behind block 3 and 750 behind the last one, where a vector's norm is 1000. There
# is one, because at this width the start-up checks leave one entry out (1 %).
OUTLIERS, LARGEST, WRITTEN = (7,), 700.0, 8.0
# About how large the other dimensions are, root mean square.
OTHERS = 1.0

CHAT_TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
TEXTS = (
    "Hm.",
    "Is there a red circle in the image?",
    "Does this text agree with the image? A blue square stands left of a green star.",
    "A much longer text, about a red circle that is above a blue square, a blue square that is left of a green star, "
    "and a green star that is below all the others. Which of them does the image show?",
)


def save_trained_like(folder: Path, outliers: bool = True, n_layers: int = 6, seed: int = 0) -> None:
    """Write a folder as ``save_pretrained`` does, in float32.

    Args:
        folder: to write.
        outliers: whether its blocks write large values.
        n_layers: blocks of its decoder.
        seed: of its weights.
    """
    tokenizer = train_tokenizer([*TEXTS, "user assistant yes no Yes No"] * 20)
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE, "<|start|>", "<|end|>"]})
    size = {"height": SIDE, "width": SIDE}
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=SIDE,
            patch_size=PATCH,
        ),
        text_config=transformers.LlamaConfig(
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=n_layers,
            num_attention_heads=6,
            num_key_value_heads=2,
            vocab_size=len(tokenizer),
            max_position_embeddings=1024,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            tie_word_embeddings=True,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=(SIDE // PATCH) ** 2,
        vision_feature_layer=-1,
        tie_word_embeddings=True,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = transformers.LlavaForConditionalGeneration(config).eval()
        for parameter in model.parameters():
            # Larger than at the start of training, so that layers differ.
            if parameter.dim() == 2:
                parameter.mul_(3)
        if outliers:
            _plant(model)
    model.save_pretrained(folder)
    images = transformers.CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=size)
    transformers.LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token=IMAGE,
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(folder)


def _plant(model: nn.Module) -> None:
    """Give every token large values, which all blocks change, and let the norms turn them down."""
    decoder, outliers = model.model.language_model, list(OUTLIERS)
    # The same in each token's row, so that the tied head gives all tokens the same from them.
    decoder.embed_tokens.weight[:, outliers] = LARGEST
    model.model.multi_modal_projector.linear_2.bias[outliers] = LARGEST
    norms = [decoder.norm]
    for block in decoder.layers:
        norms += [block.input_layernorm, block.post_attention_layernorm]
        block.mlp.down_proj.weight[outliers] *= WRITTEN
    # What is left of the other dimensions when a norm divides by the large ones.
    others = OTHERS / (LARGEST * (len(outliers) / WIDTH) ** 0.5)
    for norm in norms:
        norm.weight.fill_(1 / others)
        norm.weight[outliers] = 1 / LARGEST
