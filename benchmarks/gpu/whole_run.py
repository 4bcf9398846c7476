"""A run as a user starts it, from pictures on disk to parts on disk: does the host keep up with the card?"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import transformers
from extraction import PATCH
from PIL import Image

from gpu.card import Card
from gpu.extraction import USUAL
from gpu.results import Results
from gpu.timing import timed
from layerwise.models.adapters.generic import GenericModel
from layerwise.models.embedded.architecture import make_processor
from layerwise.models.embedded.tokenizer import train_tokenizer
from layerwise.states.extract import extract_parts
from layerwise.states.named import prepare_group, run_groups
from layerwise.states.plan import plan_parts, ranges_of, running_order
from layerwise.states.work import WorkFolder

OBJECTS = ["circle", "square", "star", "triangle", "small cross", "ring"]
PLACES = ["left of the blue square", "below the tall yellow star", "in the middle of the picture, next to a green ring"]


def run(card: Card, results: Results) -> None:
    """Few and many texts per image."""
    pictures, size = (2, (64, 48)) if card.small else (48, (640, 480))
    results.line(
        f"{pictures} JPEG pictures of {size[0]} x {size[1]}, milliseconds per image. *prepared*: decoded, scaled and "
        "tokenized, on one thread of the host. *card*: what was prepared is run, with its states on the host. "
        "*run*: both at the same time, with parts written to disk. The first row warms up."
    )
    results.table("texts per image", "tokens per image", "prepared", "card", "run", "card of run", "texts/s")
    with _for_texts(card) as model, tempfile.TemporaryDirectory() as folder:
        paths = [_picture(Path(folder, f"{i}.jpg"), size, i) for i in range(pictures)]
        for texts in (2, 2) if card.small else (USUAL, 1 + USUAL // 5, USUAL):
            _measure(results, model, paths, texts, Path(folder))


def _measure(results: Results, model: GenericModel, paths: list[str], texts: int, folder: Path) -> None:
    prompts = [f"Is there a red {OBJECTS[i % 6]} {PLACES[i // 6 % 3]}?" for i in range(texts)]
    rows = [(path, prompt, f"{i}-{j}") for i, path in enumerate(paths) for j, prompt in enumerate(prompts)]
    table = pd.DataFrame(rows, columns=["image", "prompt", "item_id"])
    table = table.iloc[running_order(table, 2)].reset_index(drop=True)
    groups = [of_image for _, of_image in table.groupby("image", sort=False)]
    prepared = []
    preparing = timed(lambda: prepared.extend(prepare_group(model, group) for group in groups))
    most = model.images_at_once
    on_card = timed(
        lambda: [
            run_groups(model, groups[i : i + most], prepared[i : i + most], ["last"])
            for i in range(0, len(groups), most)
        ]
    )
    parts = plan_parts(table, 2, 16)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        whole = timed(lambda: extract_parts(model, table, parts, ["last"], WorkFolder(Path(work))))
    tokens = np.mean([one.prefix["input_ids"].shape[1] + sum(map(len, one.rests)) for one in prepared])
    images = len(paths)
    results.row(
        [
            *(f"{texts}", f"{tokens:.0f}"),
            *(f"{1e3 * seconds / images:.1f}" for seconds in (preparing, on_card, whole)),
            *(f"{on_card / whole:.2f}", f"{len(table) / whole:,.0f}"),
        ],
        what="run",
        texts=texts,
        images=images,
        preparing=preparing,
        card=on_card,
        whole=whole,
        parts=len(ranges_of(parts)),
    )


@contextmanager
def _for_texts(card: Card) -> Iterator[GenericModel]:
    """The model behind a processor of its shape: LLaVA-1.5's, with a small tokenizer."""
    sentences = [f"Is there a red {thing} {place}?" for thing in OBJECTS for place in PLACES]
    processor = make_processor(train_tokenizer(sentences * 10))
    side = PATCH * round(card.shape.image_tokens**0.5)
    scaled = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    processor.image_processor, processor.patch_size = transformers.CLIPImageProcessor(**scaled), PATCH
    config = card.model.model.config
    own = config.image_token_id
    config.image_token_id = processor.tokenizer.convert_tokens_to_ids(processor.image_token)
    try:
        yield GenericModel(card.model.model, processor, "USER: <image>\n{prompt} ASSISTANT:")
    finally:
        config.image_token_id = own


def _picture(path: Path, size: tuple[int, int], seed: int) -> str:
    """Smooth noise, which compresses about as a photograph does."""
    coarse = np.random.default_rng(seed).integers(0, 255, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path, quality=90)
    return str(path)
