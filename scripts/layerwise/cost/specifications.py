"""What specification curves cost."""

import pandas as pd

from layerwise.cost.probing import training_rows
from layerwise.probes.kinds.catalogue import PROBE_KINDS
from layerwise.probes.specifications import (
    BY_VALIDATION,
    NO_PENALTY,
    every_specification,
    seed_of_task,
    within_budget,
)
from layerwise.study import Study


def specification_flop(study: Study, cells: pd.DataFrame) -> float:
    """Floating-point operations of all probes of specification curves.

    Args:
        study: its curves are drawn as their jobs will draw them.
        cells: what :func:`layerwise.cost.estimate.estimate_states` gave.
    """
    asked, total = study.config.specifications, 0.0
    if asked is None:
        return total
    kinds: dict[str, bool] = {kind: PROBE_KINDS[kind].has_penalty for kind in asked.probes}
    of_cell = cells.set_index(["model", "stimuli", "prompt"])
    for model, task in study.grid.specification_cells():
        entry, prompts = study.config.tasks[task], study.grid.specification_prompts(model, task)
        every = every_specification(
            *([entry.metric, *asked.metrics], asked.C, asked.raw_states, asked.split_seeds, prompts),
            *(kinds, asked.train_shares),
        )
        chosen = within_budget(every, entry.metric, asked.budget, seed_of_task(study.config.seed, task))
        # Specifications that differ in their metric share a fit.
        fits = {each._replace(metric="") for each in chosen}
        for fit in fits:
            cell = of_cell.loc[(model, entry.stimuli, fit.prompt)]
            kind = PROBE_KINDS[fit.probe]
            tried = len(kind.tried(study.config.probes.C)) if fit.C in (BY_VALIDATION, NO_PENALTY) else 1
            rows = training_rows(study, task) * fit.train_share
            total += 4 * kind.products(int(cell["layers"]) + 1, tried) * rows * cell["width"]
    return total
