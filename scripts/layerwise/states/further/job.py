"""A job that reads one further position of a cell's inputs. No torch."""

import hashlib

import pandas as pd

from layerwise.jobs.kept import KeptFiles
from layerwise.jobs.options import Options
from layerwise.models.marked.prompts import MarkedPrompt
from layerwise.states.cells import content_of
from layerwise.states.division import divide
from layerwise.states.further.marks import marks_at
from layerwise.states.job import Job
from layerwise.stimuli.items import read_items


class PositionJob(Job):
    """A job like that of the cell's main file, for one position.

    Its inputs are those of the cell, with what is read marked in their prompts. An input about which items mark
    different objects counts once for each.

    Raises:
        InputError: as :class:`Job`, and when no item has the position.
    """

    def __init__(self, options: Options):
        super().__init__(options)
        (self.position,) = self.positions
        items, stimuli = read_items(options.stimuli)
        marks = marks_at(self.position, options.stimuli, items, options.cell["prompt_entry"], stimuli["categories"])
        rows = pd.Series(list(zip(self._row_of_item, marks, strict=True)), dtype=object)
        codes, found = pd.factorize(rows)
        inputs = self.inputs.iloc[[row for row, _ in found]].reset_index(drop=True)
        prompts = [
            MarkedPrompt(text, {self.position: mark}) for text, (_, mark) in zip(inputs["prompt"], found, strict=True)
        ]
        self.inputs = inputs.assign(prompt=pd.Series(prompts, dtype=object))
        self._row_of_item = codes.tolist()
        number, n_shards = options.shard
        self._mine = [row for row, its in enumerate(divide(self.inputs, n_shards)) if its == number - 1]
        # Boxes are annotated, and no part of what items show.
        boxes = [mark.boxes if mark else None for mark in marks]
        if any(boxes):
            self.cell = self.cell | {"boxes": hashlib.sha256(repr(boxes).encode()).hexdigest()}
        self.content = content_of(self.cell) | self.shard
        self.kept = KeptFiles(options.kept, self.content, [options.out])
