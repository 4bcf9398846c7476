"""What specification curves cost."""

import pandas as pd

from layerwise.cost.probing import PAIRS_PER_FIT, training_rows
from layerwise.probes.specifications import (
    BY_VALIDATION,
    LOGISTIC,
    every_specification,
    seed_of_task,
    within_budget,
)
from layerwise.study import Study


def specification_flop(study: Study, cells: pd.DataFrame) -> float:
    """Floating-point operations of all logistic probes of specification curves; a mean costs next to nothing.

    Args:
        study: its curves are drawn as their jobs will draw them.
        cells: what :func:`layerwise.cost.estimate.estimate_states` gave.
    """
    asked, total = study.config.specifications, 0.0
    if asked is None:
        return total
    of_cell = cells.set_index(["model", "stimuli", "prompt"])
    for model, task in study.grid.specification_cells():
        entry, prompts = study.config.tasks[task], study.grid.specification_prompts(model, task)
        every = every_specification(
            *([entry.metric, *asked.metrics], asked.C, asked.raw_states, asked.split_seeds, prompts),
            *(asked.probes, asked.train_shares),
        )
        chosen = within_budget(every, entry.metric, asked.budget, seed_of_task(study.config.seed, task))
        # Specifications that differ in their metric share a fit.
        fits = {each._replace(metric="") for each in chosen if each.probe == LOGISTIC}
        for fit in fits:
            cell = of_cell.loc[(model, entry.stimuli, fit.prompt)]
            tried = len(study.config.probes.C) if fit.C == BY_VALIDATION else 1
            rows = training_rows(study, task) * fit.train_share
            total += 4 * PAIRS_PER_FIT * tried * rows * cell["width"] * (cell["layers"] + 1)
    return total
