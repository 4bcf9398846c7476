"""How many inputs each cell has, and how long they are."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from layerwise.datasets.snli_ve import LABELS
from layerwise.datasets.table import read_table
from layerwise.datasets.world.scenes import SHAPES
from layerwise.datasets.world.snli_ve import TRIPLETS_PER_IMAGE
from layerwise.flow.questions import read_questions
from layerwise.grid import PLACEHOLDER
from layerwise.states.images import read_image
from layerwise.stimuli.items import read_items
from layerwise.stimuli.modalities import with_images
from layerwise.stimuli.prompts import render_prompts, unique_inputs

# Images and pairs per image of the official parts: COCO 2017 (https://cocodataset.org/#download) and SNLI-VE
# (Xie et al. 2019, arXiv 1901.06706, table 2).
IMAGES = {"train2017": 118_287, "val2017": 5_000, "train": 29_783, "dev": 1_000, "test": 1_000}
PAIRS_PER_IMAGE = 17.8
CATEGORIES = 80
# Images whose texts are looked at to tell how many tokens inputs have.
SAMPLED_IMAGES = 12
MOST_SAMPLED = 1000
# Mean lengths in characters of COCO's captions, SNLI's hypotheses, COCO's category names and GQA's questions.
LENGTH = {"coco-entailment": 52, "snli-ve": 37, "category": 7, "gqa": 45}


@dataclass(frozen=True)
class Inputs:
    """The distinct inputs of one stimulus set with one prompt, or the questions of one set.

    Attributes:
        images: distinct images.
        count: distinct pairs of image and text.
        before, after: mean characters before and from the first one in which the texts about an image may differ.
        sample: some inputs (``image``, ``prompt``), all texts of a few images; empty as long as no stimuli were made.
    """

    images: int
    count: int
    before: float
    after: float
    sample: pd.DataFrame

    @property
    def exact(self) -> bool:
        """Whether they were counted, not worked out from the config and the sizes of the official parts."""
        return not self.sample.empty

    def sampled(self) -> Iterator[tuple[Image.Image | None, list[str]]]:
        """A few images, each with all its prompts; as long as there are none, a blank one with texts of that length."""
        if self.sample.empty:
            before, after = (" word" * round(length / 5) for length in (self.before, self.after))
            texts = max(1, round(self.count / self.images))
            yield Image.new("RGB", (640, 480)), [f"{before} {i}{after}" for i in range(texts)]
        else:
            for path, inputs in self.sample.groupby("image", sort=False, dropna=False):
                yield read_image(None if pd.isna(path) else path), list(inputs["prompt"])


def count_inputs(config: dict[str, Any], stimuli: str, prompt: dict[str, Any], folder: Path) -> Inputs:
    """Count the inputs of a made stimulus set, or work out about how many there will be.

    Args:
        config: the validated config.
        stimuli: name of the stimulus set.
        prompt: the prompt's entry.
        folder: where the stimulus set is, or will be.
    """
    if (folder / "stimuli.json").exists():
        items, description = read_items(folder)
        shown = with_images(items, prompt.get("image", "shown"), seed=0)
        inputs, _ = unique_inputs(shown, render_prompts(prompt, items, description["categories"]))
        return _counted(inputs)
    entry = config["stimuli"][stimuli]
    images, texts_per_image, length = _expected(config, entry)
    if prompt.get("image") in ("blank", "none"):
        # Equal texts are run once: a caption is shown with two images, a category with many.
        distinct = images * texts_per_image
        if entry["kind"] == "coco-entailment":
            distinct /= 2
        elif entry["kind"] == "coco-objects":
            distinct = _categories(config, entry)
        elif entry["kind"] == "coco-relations":
            distinct = _categories(config, entry) * (_categories(config, entry) - 1)
        images, texts_per_image = 1, distinct
    text, placeholders = prompt["text"], PLACEHOLDER.findall(prompt["text"])
    if not placeholders:
        return Inputs(images, images, len(text), 0, pd.DataFrame())
    first = text.index("{")
    if placeholders == ["categories"]:
        listed = len(prompt["categories"]) if "categories" in prompt else _categories(config, entry)
        length = (LENGTH["category"] + 2) * listed
        return Inputs(images, images, len(text) + length, 0, pd.DataFrame())
    after = len(PLACEHOLDER.sub("", text)) - first + length
    return Inputs(images, round(images * texts_per_image), first, after, pd.DataFrame())


def count_items(config: dict[str, Any], stimuli: str, folder: Path) -> float:
    """How many items a stimulus set has or about how many it will have; see :func:`count_inputs`."""
    if (folder / "stimuli.json").exists():
        return len(read_items(folder)[0])
    images, texts_per_image, _ = _expected(config, config["stimuli"][stimuli])
    return images * texts_per_image


def count_questions(config: dict[str, Any], questions: str, prompt: dict[str, Any], folder: Path) -> Inputs:
    """Count the questions of a set that was made, or work out how many there will be at most, each about its own image.

    Args:
        config: the validated config.
        questions: name of the set under ``flow.questions``.
        prompt: the prompt's entry.
        folder: where the set is, or will be.
    """
    if (folder / "questions.json").exists():
        table, _ = read_questions(folder)
        return _counted(
            table[["image"]].assign(prompt=[prompt["text"].replace("{text}", q) for q in table["question"]])
        )
    entry = config["flow"]["questions"][questions]
    world = config["worlds"].get(config["datasets"][entry["dataset"]].get("world"))
    # Of a world, each picture is asked about once by each type.
    pictures = math.inf if world is None else world["val_images"]
    count = len(entry["types"]) * min(entry["per_type"], pictures)
    before, behind = prompt["text"].split("{text}")
    return Inputs(min(count, pictures), count, len(before), LENGTH["gqa"] + len(behind), pd.DataFrame())


def _counted(inputs: pd.DataFrame) -> Inputs:
    """What is known of inputs (``image``, ``prompt``) that are there."""
    images = inputs["image"].unique()
    # From all over the set, since its parts may differ.
    some = images[:: max(1, len(images) // SAMPLED_IMAGES)][:SAMPLED_IMAGES]
    sample = inputs[inputs["image"].isin(some)].head(MOST_SAMPLED)
    return Inputs(len(images), len(inputs), 0, inputs["prompt"].str.len().mean(), sample)


def _expected(config: dict[str, Any], entry: dict[str, Any]) -> tuple[int, float, float]:
    """About how many images, texts per image and characters per text a stimulus set will have."""
    if entry["kind"] == "table":
        rows = read_table(entry["file"], [entry["image_column"]])
        images = rows[entry["image_column"]].nunique()
        return images, len(rows) / images, 0
    world = config["worlds"].get(config["datasets"][entry["dataset"]].get("world"))
    sizes = IMAGES if world is None else _drawn(world)
    images = sum(
        sizes.get(part, 0) if n == "all" else min(n, sizes.get(part, n)) for part, n in entry["images"].items()
    )
    if entry["kind"] == "coco-entailment":
        return images, 2 * entry["captions_per_image"], LENGTH["coco-entailment"]
    if entry["kind"] == "snli-ve":
        per_image = PAIRS_PER_IMAGE if world is None else TRIPLETS_PER_IMAGE * len(LABELS)
        per_image = min(per_image, entry.get("pairs_per_label", per_image) * len(LABELS))
        return images, per_image, LENGTH["snli-ve"]
    if entry["kind"] == "coco-relations":
        # At most so many: both orders of every pair of categories, for each of two relations.
        categories = _categories(config, entry)
        pairs = 2 * entry["images_per_pair"] * categories * (categories - 1)
        return min(images, pairs), max(1, pairs / images), 2 * LENGTH["category"]
    pairs = entry["pairs_per_category"] * _categories(config, entry)
    return min(images, pairs), max(1, pairs / images), LENGTH["category"]


def _categories(config: dict[str, Any], entry: dict[str, Any]) -> int:
    drawn = "world" in config["datasets"][entry["dataset"]]
    return len(entry.get("categories") or (SHAPES if drawn else range(CATEGORIES)))


def _drawn(world: dict[str, Any]) -> dict[str, int]:
    """Images of a world's parts."""
    held_out = -(-world["flickr_images"] // 10)
    parts = {"train": world["flickr_images"] - 2 * held_out, "dev": held_out, "test": held_out}
    return parts | {"train2017": world["train_images"], "val2017": world["val_images"]}
