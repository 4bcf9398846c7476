"""SNLI-VE's image-hypothesis pairs, its official parts kept."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from layerwise.config.base import Count, Maybe
from layerwise.config.prompts import Prompt
from layerwise.config.stimuli import ImagesEntry
from layerwise.datasets import snli_ve
from layerwise.datasets.format import DataSize
from layerwise.errors import InputError
from layerwise.stimuli.building import Sources, Stimuli
from layerwise.stimuli.kind import ExpectedItems, ImagesKind, placeholders
from layerwise.stimuli.sampling import sample_ids

# What models are shown, by column of the items; the premise only where it was read.
SHOWN = {"item_id": "pair_id", "image": "image", "text": "hypothesis", "premise": "premise"}


class Entry(ImagesEntry):
    """A stimulus set of SNLI-VE's pairs."""

    kind: Literal["snli-ve"]
    """How items are made."""
    pairs_per_label: Maybe[Count] = None
    """Take the same number of pairs of each label from every image, at most so many; images without a pair of some
    label are left out. Default: all pairs of the sampled images."""
    premise: bool = False
    """Whether prompts may hold {premise}: SNLI's premise, the caption of the picture that the hypothesis was written
    about. It becomes a text of every item, so the hidden states of all prompts of the set are made again. To keep
    finished ones, make a second set."""


class _Hypotheses(ImagesKind[Entry]):
    entry_class = Entry
    formats = ("snli-ve",)
    allowed = frozenset({"text", "premise"})
    required = frozenset({"text"})
    classes = tuple(snli_ve.LABELS)

    def build(self, entry: Entry, sources: Sources, seed: int) -> tuple[Stimuli, list[Path]]:
        corrected = sources.options.get("corrected-labels", {})
        corrected = {part: corrected[part] for part in entry.images if part in corrected}
        pairs = {
            part: snli_ve.read_part(sources.annotations, sources.images, part, corrected.get(part), entry.premise)
            for part in entry.images
        }
        files = [snli_ve.annotation_file(sources.annotations, part) for part in pairs]
        built = build_hypotheses(pairs, entry.images, seed, entry.pairs_per_label)
        return built, files + [Path(file) for file in corrected.values()]

    def check_prompt(self, where: str, prompt: Prompt, entry: Entry) -> None:
        super().check_prompt(where, prompt, entry)
        if "premise" in placeholders(prompt) and not entry.premise:
            raise InputError(f"{where}: the prompt has {{premise}}; add `premise: true` to its stimulus set")

    def unused(self, where: str, entry: Entry, prompts: Sequence[Prompt]) -> list[str]:
        if not entry.premise or any("premise" in placeholders(prompt) for prompt in prompts):
            return []
        return [f"{where}.premise: none of its prompts shows {{premise}}"]

    def expected(self, entry: Entry, size: DataSize) -> ExpectedItems:
        images, texts = self.sampled(entry, size), size.texts_per_image
        if entry.pairs_per_label is not None:
            texts = min(texts, entry.pairs_per_label * len(self.classes))
        return ExpectedItems(images, texts, size.characters, distinct_texts=images * texts)


def build_hypotheses(
    parts: dict[str, tuple[pd.DataFrame, dict[str, int]]],
    images: Mapping[str, int | str],
    seed: int,
    pairs_per_label: int | None = None,
) -> Stimuli:
    """All pairs of the sampled images, or as many of each label.

    Args:
        parts: what :func:`layerwise.datasets.snli_ve.read_part` gave, by part.
        images: how many images to sample from each part, or ``"all"``.
        seed: seed of the sampling.
        pairs_per_label: take the same number of pairs of each label from every image, at most so many; images that have
            no pair of some label are left out before the sampling, and counted. Then neither part nor image alone
            tells the label. None takes all pairs of the sampled images.
    """
    tables: list[pd.DataFrame] = []
    counts: Counter[str] = Counter()
    for part, count in images.items():
        pairs, counted = parts[part]
        counts.update(counted)
        rng = np.random.default_rng([seed, *part.encode()])
        if pairs_per_label is not None:
            every = pairs.groupby("image_id")["gold_label"].transform("nunique") == pairs["gold_label"].nunique()
            counts["images_without_every_label"] += pairs.loc[~every, "image_id"].nunique()
            pairs = pairs[every]
        kept = sample_ids(list(pairs["image_id"].unique()), count, rng)
        pairs = pairs[pairs["image_id"].isin(kept)]
        if pairs_per_label is not None:
            pairs = _balanced(pairs, pairs_per_label, rng)
        tables.append(pairs.assign(part=part))
    pairs = pd.concat(tables, ignore_index=True).sort_values(["part", "image_id"], kind="stable", ignore_index=True)
    return Stimuli(
        shown=pd.DataFrame({column: pairs[name] for column, name in SHOWN.items() if name in pairs}),
        provenance=pd.DataFrame(
            {
                "item_id": pairs["pair_id"],
                "image_id": pairs["image_id"],
                "group": pairs["image_id"],
                "part": pairs["part"],
                "label:gold_label": pairs["gold_label"],
            }
        ),
        categories=[],
        notes=dict(counts),
    )


def _balanced(pairs: pd.DataFrame, most: int, rng: np.random.Generator) -> pd.DataFrame:
    """From every image the same number of pairs of each label: that of its rarest label, at most ``most``."""
    # A random order within image and label, of which the first few are taken.
    shuffled = pairs.iloc[rng.permutation(len(pairs))]
    place = shuffled.groupby(["image_id", "gold_label"]).cumcount()
    fewest = shuffled.groupby(["image_id", "gold_label"])["pair_id"].transform("size").groupby(shuffled["image_id"])
    return shuffled[place < fewest.transform("min").clip(upper=most)].sort_index()


KIND = _Hypotheses()
