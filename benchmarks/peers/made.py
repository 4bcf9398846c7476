"""What the driver makes up: inputs, and a model with random weights where none is given."""

import json
import random
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image, ImageDraw

from layerwise.models.embedded.architecture import make_model, make_processor
from layerwise.models.embedded.tokenizer import IMAGE, train_tokenizer

COLOURS = ["red", "blue", "green", "yellow", "black", "white"]
SHAPES = ["circle", "square"]
QUESTIONS = [
    "Is there a {} {}?",
    "Is there a {} {} in the image?",
    "Can you see any {} {} here?",
    "Does this picture show a {} {}, as far as you can tell from what is in it?",
    "Look at the picture from the left to the right and say if one of its parts is a {} {}.",
]
# An image's questions differ in their form, so that texts of several lengths share its prefix.
LONG = 3


def make_inputs(folder: Path, images: int, texts: int) -> list[dict[str, Any]]:
    """Draw pictures of one shape each, with questions about it, and write ``inputs.json``.

    Returns:
        Entries with ``id``, ``image``, ``picture`` (its number), ``text``, ``split`` (by picture), and two labels:
        ``asks_truly`` (the question names what is there) and ``is_long``.
    """
    draw = random.Random(0)
    rows: list[dict[str, Any]] = []
    for number in range(images):
        colour, shape = draw.choice(COLOURS), draw.choice(SHAPES)
        file = folder / f"{number}.png"
        _picture(colour, shape, draw).save(file)
        split = ["train", "train", "train", "val", "test"][number % 5]
        for text in range(texts):
            named = (colour, shape) if draw.random() < 0.5 else (draw.choice(COLOURS), draw.choice(SHAPES))
            form = text % len(QUESTIONS)
            labels = {"asks_truly": int(named == (colour, shape)), "is_long": int(form >= LONG)}
            row = {"id": len(rows), "image": str(file.resolve()), "picture": number, "split": split}
            rows.append(row | {"text": QUESTIONS[form].format(*named)} | labels)
    (folder / "inputs.json").write_text(json.dumps(rows, indent=1))
    return rows


def _picture(colour: str, shape: str, draw: random.Random) -> Image.Image:
    picture = Image.new("RGB", (64, 64), "grey")
    left, top, size = draw.randrange(24), draw.randrange(24), draw.randrange(16, 40)
    pencil = ImageDraw.Draw(picture)
    (pencil.ellipse if shape == "circle" else pencil.rectangle)((left, top, left + size, top + size), fill=colour)
    return picture


def make_folder(folder: Path, texts: list[str], small: bool) -> str:
    """Save a LLaVA with random weights.

    Args:
        folder: where to.
        texts: train its tokenizer.
        small: the demo's shape; otherwise the decoder has that of SmolLM2-135M.

    Returns:
        What it is, for the page.
    """
    tokenizer = train_tokenizer(texts)
    model = make_model(tokenizer, seed=0)
    said = "a LLaVA of the demo's shape with random weights"
    if not small:
        config = model.config
        config.text_config = transformers.LlamaConfig(
            **config.text_config.to_dict()
            | {
                "hidden_size": 576,
                "intermediate_size": 1536,
                "num_hidden_layers": 30,
                "num_attention_heads": 9,
                "num_key_value_heads": 3,
                "head_dim": 64,
                "initializer_range": 0.02,
            }
        )
        torch.manual_seed(0)
        model = transformers.LlavaForConditionalGeneration(config)
        said = "a LLaVA with random weights whose decoder has the shape of SmolLM2-135M (30 blocks, width 576)"
    model.float().save_pretrained(folder)
    make_processor(tokenizer).save_pretrained(folder)
    assert IMAGE in tokenizer.get_vocab()
    return said
