"""The inputs as the processor of a model in transformers takes them."""

from collections.abc import Iterator
from typing import Any

from PIL import Image
from serving import Inputs


def prompt_of(processor: Any, text: str) -> str:
    """A question about one picture in the model's own chat template."""
    content = [{"type": "image"}, {"type": "text", "text": text}]
    return processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)


def prepared(processor: Any, inputs: Inputs) -> Any:
    """Tensors of a batch, padded on the left, so that the last token is last in every row."""
    processor.tokenizer.padding_side = "left"
    return processor(
        text=[prompt_of(processor, one["text"]) for one in inputs],
        images=[[Image.open(one["image"]).convert("RGB")] for one in inputs],
        padding=len(inputs) > 1,
        return_tensors="pt",
    )


def batches(inputs: Inputs, size: int) -> Iterator[Inputs]:
    """The inputs, so many at a time."""
    for start in range(0, len(inputs), size):
        yield inputs[start : start + size]
