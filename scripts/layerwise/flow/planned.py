"""Which flows a study blocks in a set of questions, known before anything runs. Imports no torch."""

from layerwise.config.flow import TableQuestions
from layerwise.errors import InputError
from layerwise.flow.flows import FLOWS, Flow, flows_of
from layerwise.planning.grid import Grid
from layerwise.stimuli.question_prompts import order_of_pictures


def planned_flows(grid: Grid, questions: str) -> list[Flow]:
    """The flows of a set of questions, in order."""
    entry = grid.config.flow.questions[questions]
    if not isinstance(entry, TableQuestions):
        return list(FLOWS)
    order = order_of_pictures(grid.questions_prompt(questions).text, entry.has["pictures"])
    return flows_of(order, entry.has["spans"], entry.has["boxes"])


def head_flows(grid: Grid, questions: str) -> list[Flow]:
    """Those that are also blocked head by head."""
    heads = grid.config.flow.heads
    return [] if heads is None else [flow for flow in planned_flows(grid, questions) if flow.name in heads.flows]


def check_heads(grid: Grid) -> None:
    """Refuse flows that no set of questions has.

    Raises:
        InputError: naming the key and what is known.
    """
    heads, sets = grid.config.flow.heads, grid.config.flow.questions
    if heads is None:
        return
    if not sets:
        raise InputError("flow.heads: there are no `flow.questions` to block heads in; leave it out")
    known = dict.fromkeys(flow.name for questions in sets for flow in planned_flows(grid, questions))
    for flow in heads.flows:
        if flow not in known:
            raise InputError(f"flow.heads.flows: no question has the flow {flow}; there are {', '.join(known)}")
