"""Llama 3.2 Vision (mllama): some blocks look across at the image, which has one token among the text's."""

import transformers

from tests.families.standin import SIDE, Built, text, tokenizer, vision


def mllama() -> Built:
    """mllama with its own processor: the second of three blocks looks at the image."""
    words = tokenizer("<|python_tag|>", image_token="<image>")
    images = transformers.MllamaImageProcessorPil(size={"height": SIDE, "width": SIDE}, max_image_tiles=2)
    tower = {key: value for key, value in vision().items() if key != "num_attention_heads"}
    tower |= {"attention_heads": 2, "num_global_layers": 1, "vision_output_dim": 64, "max_num_tiles": 2}
    tower |= {"intermediate_layers_indices": [1], "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]]}
    config = transformers.MllamaConfig(
        vision_config=tower,
        text_config=text(words, cross_attention_layers=[1]),
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )
    return transformers.MllamaForConditionalGeneration(config), transformers.MllamaProcessor(images, words)
