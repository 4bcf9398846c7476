"""The part of a grid about items that belong together: the same words about several pictures.

Methods of :class:`layerwise.planning.grid.Grid` offer these functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.stimuli.table_entry import Entry as TableEntry

if TYPE_CHECKING:
    from layerwise.planning.grid import Grid

# Kinds that ask each statement of both pictures, or sequences, of a pair. Their modules do not say so themselves,
# because digests cover these: every stimulus set would be made again.
PAIRED_KINDS = {"coco-entailment", "frames"}


def consistency_tasks(grid: Grid) -> list[str]:
    """The tasks whose items may belong together, so that a probe can be right on all items of a set, or on some.

    Rows of a group may have the same words, and so may several items of a row. Whether they do, is known only when a
    table is read.
    """
    return [task for task in grid.class_tasks() if _may_have_sets(grid, grid.config.tasks[task].stimuli)]


def _may_have_sets(grid: Grid, stimuli: str) -> bool:
    entry = grid.config.stimuli[stimuli]
    if not isinstance(entry, TableEntry):
        return entry.kind in PAIRED_KINDS
    texts = [item.text_spec for item in entry.made]
    return entry.group_column is not None or len(set(texts)) < len(texts)
