"""How many inputs each cell has, and how long they are."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from PIL import Image

from layerwise.config.prompts import Prompt
from layerwise.datasets.format import DataSize
from layerwise.flow.questions import read_questions
from layerwise.states.images import read_images
from layerwise.states.plan import prefixes
from layerwise.stimuli.catalogue import KINDS
from layerwise.stimuli.items import read_items
from layerwise.stimuli.kind import LIST, PLACEHOLDER, ExpectedItems, placeholders
from layerwise.stimuli.modalities import with_images
from layerwise.stimuli.picture_places import IMAGE
from layerwise.stimuli.prompts import render_prompts, unique_inputs
from layerwise.study import Study

if TYPE_CHECKING:
    from layerwise.models.frozen import Shown

# Images whose texts are looked at to tell how many tokens inputs have.
SAMPLED_IMAGES = 12
MOST_SAMPLED = 1000


@dataclass(frozen=True)
class Inputs:
    """The distinct inputs of one stimulus set with one prompt, or the questions of one set.

    Attributes:
        images: distinct images; of items with several pictures distinct sequences of them.
        count: distinct pairs of image and text.
        before, after: mean characters before and from the first one in which the texts about an image may differ.
        sample: some inputs (``image``, ``prompt``), all texts of a few images; empty as long as no stimuli were made.
        shown: pictures that an input shows.
    """

    images: int
    count: int
    before: float
    after: float
    sample: pd.DataFrame
    shown: int = 1

    @property
    def exact(self) -> bool:
        """Whether they were counted, not worked out from the config and the sizes of the official parts."""
        return not self.sample.empty

    def sampled(self) -> Iterator[tuple["Shown", list[str]]]:
        """A few images (or several that are shown together), each with all its prompts. Without a sample, blank images
        with texts of the mean length."""
        if self.sample.empty:
            before, after = (" word" * round(length / 5) for length in (self.before, self.after))
            texts = max(1, round(self.count / self.images))
            blank = (Image.new("RGB", (640, 480)),) * self.shown
            yield blank if self.shown > 1 else blank[0], [f"{before} {i}{after}" for i in range(texts)]
        else:
            for _, inputs in self.sample.groupby(prefixes(self.sample), sort=False, dropna=False):
                cell = inputs["image"].iat[0]
                yield read_images(None if pd.isna(cell) else str(cell)), list(inputs["prompt"])


def count_inputs(study: Study, stimuli: str, prompt: str) -> Inputs:
    """Count the inputs of a made stimulus set with a prompt, or work out about how many there will be."""
    shown = study.grid.prompt(stimuli, prompt)
    folder = Path(study.stimuli_folder(stimuli))
    if (folder / "stimuli.json").exists():
        items, description = read_items(folder)
        items = with_images(items, shown.shown(), seed=0)
        inputs, _ = unique_inputs(items, render_prompts(shown.shown(), items, description["categories"]))
        found = _counted(inputs)
    else:
        found = _worked_out(expected_items(study, stimuli), shown)
    return replace(found, shown=max(1, shown.shows(study.grid.pictures(stimuli))))


def _worked_out(expected: ExpectedItems, prompt: Prompt) -> Inputs:
    images, texts_per_image = expected.images, expected.texts_per_image
    if prompt.image in ("blank", "none"):
        # Equal texts are run once.
        images, texts_per_image = 1, expected.distinct_texts
    text, found = IMAGE.sub("", prompt.text), placeholders(prompt)
    if not found:
        return Inputs(images, images, len(text), 0, pd.DataFrame())
    if found == {LIST}:
        listed = len(prompt.categories) if prompt.categories is not None else expected.categories
        length = (expected.category_characters + 2) * listed
        return Inputs(images, images, len(text) + length, 0, pd.DataFrame())
    first = text.index("{")
    after = len(PLACEHOLDER.sub("", text)) - first + expected.characters
    return Inputs(images, round(images * texts_per_image), first, after, pd.DataFrame())


def count_items(study: Study, stimuli: str) -> float:
    """How many items a stimulus set has or about how many it will have; see :func:`count_inputs`."""
    folder = Path(study.stimuli_folder(stimuli))
    if (folder / "stimuli.json").exists():
        return len(read_items(folder)[0])
    expected = expected_items(study, stimuli)
    return expected.images * expected.texts_per_image


def expected_items(study: Study, stimuli: str) -> ExpectedItems:
    """About how many items a stimulus set will have, by its kind and its data set's format."""
    entry = study.config.stimuli[stimuli]
    return KINDS[entry.kind].expected(entry, size_of_data(study, stimuli))


def size_of_data(study: Study, stimuli: str) -> DataSize:
    """How large the data set of a stimulus set is; without images for a kind that reads none."""
    entry = study.config.stimuli[stimuli]
    reads = KINDS[entry.kind].reads(entry)
    return DataSize({}) if reads is None else study.data.size(reads.dataset)


def count_questions(study: Study, questions: str) -> Inputs:
    """Count the questions of a made set, or work out how many there will be at most, each about its own image."""
    prompt, folder = study.grid.questions_prompt(questions).text, Path(study.questions_folder(questions))
    if (folder / "questions.json").exists():
        table, _ = read_questions(folder)
        return _counted(table[["image"]].assign(prompt=[prompt.replace("{text}", q) for q in table["question"]]))
    entry = study.config.flow.questions[questions]
    size = study.data.size(entry.dataset)
    # Of a world, each picture is asked about once by each type.
    pictures = sum(size.images.values()) or math.inf
    count = len(entry.types) * int(min(entry.per_type, pictures))
    before, behind = prompt.split("{text}")
    return Inputs(int(min(count, pictures)), count, len(before), size.characters + len(behind), pd.DataFrame())


def _counted(inputs: pd.DataFrame) -> Inputs:
    """What is known of inputs (``image``, ``prompt``) that were made."""
    images = inputs["image"].unique()
    # From all over the set, since its parts may differ.
    some = images[:: max(1, len(images) // SAMPLED_IMAGES)][:SAMPLED_IMAGES]
    sample = inputs[inputs["image"].isin(some)].head(MOST_SAMPLED)
    return Inputs(len(images), len(inputs), 0, inputs["prompt"].str.len().mean(), sample)
