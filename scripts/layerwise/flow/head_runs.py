"""What a study blocks by head: each head of each block by itself, and named groups of heads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from layerwise.flow.asking import Asking
from layerwise.flow.checks import check_knockout
from layerwise.flow.flows import Flow
from layerwise.flow.free import FreeRun, row_room
from layerwise.flow.heads import Heads, group_of, heads_of, single_heads
from layerwise.flow.knockout import blocked_runs
from layerwise.flow.positions import PositionSets
from layerwise.models.frozen import AnsweringModel, FrozenModel
from layerwise.models.memory import Room

# What is saved for each question: by flow and place, the probability of the answer's first token; NaN if it has no such
# flow. And with distractors how far the answer's logit is above the distractor's.
HEADS, HEAD_DIFFERENCES = "heads", "head_differences"
# The key of groups, for messages.
GROUPS = "flow.heads.groups"


@dataclass(frozen=True)
class HeadPlaces:
    """Where attention is blocked, run by run: single heads block by block, then groups.

    Attributes:
        by_block: how many heads each block has.
        groups: by name.
    """

    by_block: Sequence[int]
    groups: Mapping[str, Heads]

    @classmethod
    def of(cls, model: FrozenModel, asking: Asking) -> "HeadPlaces":
        """Those of a model.

        Raises:
            InputError: when it lacks a block or a head of a group.
        """
        by_block = heads_of(model)
        groups = {name: group_of(pairs, by_block, f"{GROUPS}.{name}") for name, pairs in asking.groups.items()}
        return cls(by_block, groups)

    @property
    def where(self) -> list[Heads]:
        """What is blocked, by place."""
        return [*single_heads(self.by_block), *self.groups.values()]

    @property
    def named(self) -> list[tuple[int, int, str]]:
        """By place the block and the head, from 1, and "" for the group; or 0, 0 and the group's name."""
        heads = [(block + 1, head + 1, "") for block, n in enumerate(self.by_block) for head in range(n)]
        return [*heads, *((0, 0, name) for name in self.groups)]


class HeadRuns:
    """Blocks the heads of one model, question by question."""

    def __init__(self, model: AnsweringModel, asking: Asking):
        """
        Raises:
            InputError: when the model lacks a block or a head of a group.
        """
        self.flows, self._where = asking.head_flows, HeadPlaces.of(model, asking).where
        # Their masks are larger than those of windows, whose rows may stay longer.
        self._row: Room = row_room(model.device)

    def check(self, model: AnsweringModel, prepared: Any, sets: PositionSets, answer_id: int) -> None:
        """Compare blocked runs of one question with whole forward passes, in some heads.

        Raises:
            InputError: where they differ by more than rounding.
        """
        if flows := [flow for flow in self.flows if sets.has(flow)]:
            check_knockout(model, prepared, sets, flows, self._where, answer_id)

    def empty(self, questions: int) -> dict[str, Tensor]:
        """Room for what is measured of so many questions."""
        shape = (questions, len(self.flows), len(self._where))
        return {name: torch.full(shape, torch.nan) for name in (HEADS, HEAD_DIFFERENCES)}

    def blocked(
        self, run: FreeRun, sets: PositionSets, there: Sequence[Flow], answer_id: int, distractor_id: int | None
    ) -> dict[str, Tensor]:
        """What becomes of a question's answer.

        Args:
            run: its free run.
            sets: its positions.
            there: the flows that it has.
            answer_id, distractor_id: see :func:`layerwise.flow.knockout.naive_knockout`.

        Returns:
            Both by name, each of shape (flows, places).
        """
        found = {name: values[0] for name, values in self.empty(1).items()}
        if places := [place for place, flow in enumerate(self.flows) if flow in there]:
            flows = [self.flows[place] for place in places]
            result = blocked_runs(run, sets, flows, self._where, answer_id, distractor_id, self._row)
            found[HEADS][places] = result.blocked
            if result.differences is not None:
                found[HEAD_DIFFERENCES][places] = result.differences
        return found
