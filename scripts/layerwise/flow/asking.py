"""How a set of questions is asked, and which flows are blocked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from layerwise.flow.flows import FLOWS, Flow, flows_of
from layerwise.flow.positions import QuestionTokens
from layerwise.stimuli.question_prompts import order_of_pictures, render_question


@dataclass(frozen=True)
class Asking:
    """How a set of questions is asked, and which flows are blocked.

    Attributes:
        template: the prompt, with a place for the question.
        width: of the windows, in blocks.
        takes: what counts as the question, see :func:`layerwise.flow.positions.position_sets`.
        flows: that are blocked.
        pictures: how many each question shows.
        boxes: whether questions say where their objects are.
        distractors: whether they have wrong answers that the right ones are compared with.
        heads: names of the flows that are also blocked head by head.
        groups: by name, groups of heads that are blocked at once: pairs of block and head, from 1.
    """

    template: str
    width: int
    takes: QuestionTokens
    flows: Sequence[Flow] = FLOWS
    pictures: int = 1
    boxes: bool = True
    distractors: bool = False
    heads: Sequence[str] = ()
    groups: Mapping[str, Sequence[Sequence[int]]] = field(default_factory=dict)

    @classmethod
    def of(cls, cell: Mapping[str, Any], questions: Mapping[str, Any]) -> "Asking":
        """From a cell's ``prompt_entry``, ``window`` and ``question_tokens``, and from ``questions.json``."""
        template = cell["prompt_entry"]["text"]
        own, by_head = questions.get("own"), cell.get("heads", {"flows": (), "groups": {}})
        heads = {"heads": by_head["flows"], "groups": by_head["groups"]}
        if own is None:
            return cls(template, cell["window"], cell["question_tokens"], **heads)
        return cls(
            template,
            cell["window"],
            cell["question_tokens"],
            flows_of(order_of_pictures(template, own["pictures"]), own["spans"], own["boxes"]),
            own["pictures"],
            own["boxes"],
            own["distractors"],
            **heads,
        )

    @property
    def head_flows(self) -> list[Flow]:
        """The flows that are also blocked head by head."""
        return [flow for flow in self.flows if flow.name in self.heads]

    def prompt(self, row: Any) -> str:
        """The user's turn of a question, a row of ``questions.parquet``."""
        return render_question(self.template, row.question, list(row.options))
