"""What information flow costs: answers, a free run of each question, and the blocked runs that go on from it."""

import pandas as pd

from layerwise.config.flow import TableQuestions
from layerwise.cost.estimate import CELL_COLUMNS, cost_of
from layerwise.cost.inputs import Inputs, count_questions
from layerwise.cost.sizes import ModelSize, sizes_of
from layerwise.flow.flows import FLOWS, Flow, flows_of, picture_set, windows
from layerwise.flow.planned import head_flows
from layerwise.planning.grid import FlowCell
from layerwise.stimuli.question_prompts import order_of_pictures
from layerwise.study import Study


def estimate_flows(study: Study, device: str) -> pd.DataFrame:
    """One row per model and set of questions, as if every answer were right: wrong ones are not measured.

    Args:
        study, device: see :func:`layerwise.cost.estimate.estimate_states`.

    Returns:
        The columns of that function, ``stimuli`` being the questions. Of ``tokens`` one that runs through half of the
        blocks counts half. There are no states to keep. What is left out is small: the answers' own tokens, at most
        twelve a question, and the first question's whole forward passes.

    Raises:
        InputError: on a model whose size is unknown.
    """
    cells = study.grid.flow_cells()
    sizes = sizes_of(study, [cell.model for cell in cells], device)
    asked = {name: count_questions(study, name) for name in {cell.questions: None for cell in cells}}
    rows = []
    for cell in cells:
        inputs, size = asked[cell.questions], sizes[cell.model]
        prompt = study.config.flow.questions[cell.questions].prompt
        run = _run(inputs, size, study, cell)
        names = {"model": cell.model, "stimuli": cell.questions, "prompt": prompt}
        rows.append(names | cost_of(inputs, size, *run, kept=0))
    return pd.DataFrame(rows, columns=CELL_COLUMNS)


def _flows(study: Study, questions: str) -> tuple[list[int], list[Flow]]:
    """The pictures of each question in the order of its text, and the flows that are blocked."""
    entry = study.config.flow.questions[questions]
    if not isinstance(entry, TableQuestions):
        return [1], list(FLOWS)
    order = order_of_pictures(study.grid.questions_prompt(questions).text, entry.has["pictures"])
    return order, flows_of(order, entry.has["spans"], entry.has["boxes"])


def _run(inputs: Inputs, size: ModelSize, study: Study, cell: FlowCell) -> tuple[float, float]:
    """Tokens through all blocks, and patches through the vision tower."""
    pictures, flows = _flows(study, cell.questions)
    before, behind, patches = size.alone(inputs)
    # Text may stand between pictures, and each picture but the first one may be a target.
    begun = {"last": 1.0, "question": behind + before * (len(pictures) - 1) / len(pictures)}
    for place, number in enumerate(pictures):
        begun[picture_set(number)] = behind + before * (len(pictures) - place) / len(pictures)
    # Blocked runs begin at the flow's first target, in the window's first block. Spans count as the whole question.
    width = study.grid.window(cell.model)
    again = sum(begun.get(flow.target, behind) for flow in flows)
    again *= sum(size.layers - window[0] for window in windows(size.layers, width)) / size.layers
    if (by_head := study.config.flow.heads) is not None:
        # Each head of each block, and groups from their first block on.
        runs = size.heads * (size.layers + 1) / 2
        for group in by_head.groups.values():
            runs += (size.layers + 1 - min(block for block, _ in group)) / size.layers
        again += runs * sum(begun.get(flow.target, behind) for flow in head_flows(study.grid, cell.questions))
    # Each question is answered by itself; its free run goes on from one of its image, which takes a token more.
    tokens = inputs.count * (before + behind) + inputs.images * (before + 1) + inputs.count * (behind + again)
    return tokens, (inputs.count + inputs.images) * patches
