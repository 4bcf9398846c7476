"""What an entry of the catalogue of comparisons says of its table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given


@dataclass(frozen=True)
class Comparison:
    """One table of comparisons. The Snakefile imports its module, so the module imports libraries only in ``compute``.

    Attributes:
        reads: names of what it is made from, see :class:`layerwise.compare.inputs.Given`.
        options: what else decides its numbers: of "resamples", "permutations", "seed", "margin", "twins" (by model the
            names of its untrained twins), "draws" (by the name of a draw that of the model it is a draw of),
            "made_from" (by multimodal model the name of the language model that it was made from), "shortcuts" (by
            task the prompts that are compared with its shortcuts, ``shown``, and those of the ``text`` alone),
            "position" (the one that probes read) and "tower" (by model and task the prompts whose decoder is compared
            with the vision tower); and lists of cells, as MODEL/TASK/PROMPT: "said", those in which
            answers are scored, "generated", those with written ones, and "used", those in which a concept is erased
            and steered; and, as MODEL/STIMULI/PROMPT, "likeness", those whose layers are measured.
        columns: of the table. The docstring of the module says what each holds; no digest covers it there.
        compute: makes the table from its inputs and the values of its options.
        per_flow: whether there is a table for each model and set of questions of information flow, rather than one
            for the whole study.
        only_with: of these, only for questions that have this, see
            :attr:`layerwise.figures.entry.Contents.question_sets`.
    """

    reads: tuple[str, ...]
    columns: tuple[str, ...]
    compute: Callable[[Given, Mapping[str, Any]], pd.DataFrame]
    options: tuple[str, ...] = ()
    per_flow: bool = False
    only_with: str = ""
