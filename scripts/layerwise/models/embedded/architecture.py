"""The embedded model's shape, and the processor that goes with it."""

import torch
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from layerwise.datasets.world.scenes import CELL, GRID, IMAGE_SIZE
from layerwise.models.embedded.tokenizer import IMAGE

IMAGE_TOKENS = GRID * GRID
WIDTH = 128
LAYERS = 6

# LLaVA-1.5's form. The answer follows the colon without a space, so that its first token is that of the answer encoded
# by itself.
PROMPT = "USER: <image>\n{text} ASSISTANT:"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}USER: {% else %} ASSISTANT:{% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %} ASSISTANT:{% endif %}"
)


def prompt(text: str, pictures: int) -> str:
    """What the model is asked about so many pictures."""
    before, after = PROMPT.split(IMAGE + "\n")
    return (before + (IMAGE + "\n") * pictures + after).replace("{text}", text)


def make_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """A processor that turns one ``<image>`` into 16 tokens and any picture into 64 x 64 pixels.

    The picture is scaled to a short side of 64 and cropped in the middle, as in LLaVA. A model that is loaded from its
    folder gets the class on torchvision, whose pixels of a 64 x 64 picture are the same but for rounding.
    """
    image_processor = CLIPImageProcessorPil(
        size={"shortest_edge": IMAGE_SIZE}, crop_size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    )
    return LlavaProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=CELL,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # CLIP's class token, which the strategy "default" removes again
        image_token=IMAGE,
        chat_template=CHAT_TEMPLATE,
    )


def make_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlavaForConditionalGeneration:
    """The untrained model. Input and output word vectors are shared, so that pictures can be learned as words.

    ``seed`` decides the weights; torch's global generator keeps its state.
    """
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=96,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=IMAGE_SIZE,
            patch_size=CELL,
            projection_dim=96,
        ),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=512,
            initializer_range=0.05,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            tie_word_embeddings=True,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=IMAGE_TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):  # transformers draws initial weights only from the global generator
        torch.manual_seed(seed)
        model = LlavaForConditionalGeneration(config)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    return model
