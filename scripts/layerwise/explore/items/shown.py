"""What models are shown of some items: the text of each prompt, and its pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from layerwise import several_pictures
from layerwise.errors import InputError
from layerwise.stimuli.items import EACH_SHA256, read_items
from layerwise.stimuli.modalities import BLANK, what_is_shown, with_images
from layerwise.stimuli.prompts import render_prompts

# Stands for a grey picture in place of a checksum.
GREY = "blank"


@dataclass(frozen=True)
class Stimuli:
    """A stimulus set.

    Attributes:
        folder: of its files.
        items: what is shown, by item id.
        description: its ``stimuli.json``.
    """

    folder: Path
    items: pd.DataFrame
    description: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Stimuli":
        """Read a stimulus set, checked."""
        items, description = read_items(folder)
        return cls(folder, items, description)

    def of_prompt(self, prompt: Mapping[str, Any], item_ids: pd.Index) -> pd.DataFrame:
        """What some items show under a prompt.

        Args:
            prompt: its entry.
            item_ids: the items.

        Returns:
            A row per item: ``item_id``, ``text`` (the user's turn), ``shown`` (a word for the pictures: their own,
            blank, shuffled and so on), and ``pictures`` (checksums in order, one a line; empty for none).
        """
        # Over all items, because pictures are exchanged among all of them; the seed is that of the forward pass.
        seen = with_images(self.items, prompt, seed=int(self.description["digest"][:8], 16))
        seen, asked = (frame.set_index("item_id").loc[item_ids] for frame in (seen, self.items))
        texts = render_prompts(dict(prompt), asked, self.description["categories"])
        return pd.DataFrame(
            {
                "item_id": item_ids,
                "text": list(map(several_pictures.shown, texts)),
                "shown": what_is_shown(prompt),
                "pictures": self._checksums(seen),
            }
        )

    def own_pictures(self, item_ids: pd.Index) -> list[str]:
        """The checksums of items' own pictures, in order, one a line."""
        return self._checksums(self.items.set_index("item_id").loc[item_ids])

    def files(self) -> dict[str, str]:
        """By checksum of a picture, its path."""
        return {
            checksum: path
            for sums, paths in zip(self._checksums(self.items), self.items["image"], strict=True)
            for checksum, path in zip(several_pictures.each(sums), several_pictures.each(paths), strict=True)
        }

    def check(self, item_ids: pd.Index, task: str) -> None:
        """Refuse items that the set does not have.

        Raises:
            InputError: naming one.
        """
        if len(unknown := item_ids.difference(self.items["item_id"])):
            raise InputError(
                f"{self.folder}: has no item {unknown[0]!r}, which task {task!r} has; run its probes again"
            )

    def _checksums(self, seen: pd.DataFrame) -> list[str]:
        sums = seen[EACH_SHA256 if EACH_SHA256 in seen else "image_sha256"]
        without = seen["image"].isna()
        found = sums.where(~without, "")
        # One grey picture is like another.
        return [
            several_pictures.joined([GREY if path == BLANK else checksum for path, checksum in _pairs(paths, of_item)])
            for paths, of_item in zip(seen["image"].fillna(""), found, strict=True)
        ]


def _pairs(paths: str, checksums: str) -> list[tuple[str, str]]:
    return list(zip(several_pictures.each(paths), several_pictures.each(checksums), strict=True))
