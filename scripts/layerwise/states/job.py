"""One extraction job: which inputs of a cell it runs, and where its work and its states lie. No torch."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from layerwise.descriptions import read_description
from layerwise.jobs.kept import KeptFiles
from layerwise.jobs.options import Options
from layerwise.models.interventions.fitted import digest_of, with_file
from layerwise.models.picture_checks import check_pictures
from layerwise.models.versions import library_versions
from layerwise.several_pictures import each
from layerwise.states.cells import content_of, holds, made_from
from layerwise.states.division import divide
from layerwise.states.plan import Unit, plan_parts, running_order
from layerwise.states.work import folder_of
from layerwise.stimuli.items import read_items
from layerwise.stimuli.modalities import with_images
from layerwise.stimuli.prompts import check_cue, render_prompts, unique_inputs

DEVICES = ("cpu", "cuda")


@dataclass(frozen=True)
class Rows:
    """The inputs of a job in running order.

    Attributes:
        inputs: ``image``, ``prompt``, ``item_id``.
        parts: what is run and saved together.
        item_ids: the items that need these inputs, in the stimuli's order.
        row_of_item: the row of each.
        places: the place of each among all items.
    """

    inputs: pd.DataFrame
    parts: list[list[Unit]]
    item_ids: list[str]
    row_of_item: list[int]
    places: list[int]


class Job:
    """A job whose model and stimuli have been read and checked against its prompt.

    Attributes:
        options: its options.
        description: ``model.json``, with the path of its intervention's fitted file if it needs one.
        cell: what its states are made from, by name and by content.
        positions: token positions and sites that are kept.
        inputs: all distinct inputs of the cell, including those of its other shards.
        kept: the states file, which can be found by content.

    Raises:
        InputError: when the stimuli, the model's description or the prompt are wrong.
    """

    def __init__(self, options: Options):
        self.options = options
        self.description = read_description(options.model, "digest")
        items, stimuli = read_items(options.stimuli)
        fitted = None
        if options.fitted is not None:
            intervention = self.description["intervention"]
            fitted = digest_of(intervention, options.fitted)
            self.description = self.description | {"intervention": with_file(intervention, options.fitted)}
        self.cell, prompt = made_from(options.cell, self.description, stimuli, fitted), options.cell["prompt_entry"]
        check_cue(self.cell["prompt"], prompt, stimuli["categories"])
        number, n_shards = options.shard
        self.shard = {"shard": list(options.shard)} if n_shards > 1 else {}
        self.content = content_of(self.cell) | self.shard
        self.positions = [*self.cell["positions"], *(f"last-{site}" for site in self.cell.get("sites", []))]
        self.kept = KeptFiles(options.kept, self.content, [options.out])
        # Seeded by the items, so that every model sees the same shuffled images.
        shown = with_images(items, prompt, seed=int(stimuli["digest"][:8], 16))
        most = max(len(each(cell)) if isinstance(cell, str) else 0 for cell in shown["image"].unique())
        check_pictures(f"models.{self.description['model']}", self.description["model_type"], most)
        self.inputs, self._row_of_item = unique_inputs(shown, render_prompts(prompt, items, stimuli["categories"]))
        self._item_ids = list(items["item_id"])
        self._mine = [row for row, its in enumerate(divide(self.inputs, n_shards)) if its == number - 1]

    def holds(self, file: Path) -> bool:
        """Whether a file holds this job's states."""
        return holds(file, self.content)

    def fingerprint(self, device: str) -> str:
        """Names the work folder.

        It covers the content, whatever decides which rows a part has, and the versions of the libraries, so that a job
        in another environment starts afresh.
        """
        rows_by = [self.options.batch_size, self.options.sharing, device, list(self.options.shard)]
        named = json.dumps([self.content, rows_by, library_versions()], sort_keys=True)
        return hashlib.sha256(named.encode()).hexdigest()

    def fingerprints(self) -> Iterator[str]:
        """The fingerprints that have a work folder. All devices are tried, because only torch knows the right one."""
        for device in DEVICES:
            if folder_of(self.options.work, self.fingerprint(device)).is_dir():
                yield self.fingerprint(device)

    def rows(self, share_from: int) -> Rows:
        """The inputs in the order in which they are run.

        Args:
            share_from: how many texts about an image it takes to share its prefix; 0 for never.
        """
        mine = self.inputs.iloc[self._mine].reset_index(drop=True)
        order = [self._mine[position] for position in running_order(mine, share_from)]
        rank = {row: position for position, row in enumerate(order)}
        places = [place for place, row in enumerate(self._row_of_item) if row in rank]
        inputs = self.inputs.iloc[order].reset_index(drop=True)
        return Rows(
            inputs=inputs,
            parts=plan_parts(inputs, share_from, self.options.batch_size),
            item_ids=[self._item_ids[place] for place in places],
            row_of_item=[rank[self._row_of_item[place]] for place in places],
            places=places,
        )
