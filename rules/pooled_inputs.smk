# Inputs and params of the rules of probes of image tokens.
from layerwise.probes.code import pooled_probe_code
from layerwise.planning.pooled_grid import TokensCell

POOLED_CELLS = grid.pooled_cells()


def tokens_of(wildcards):
    """The cell of image tokens that a task's probes read."""
    return TokensCell(wildcards.model, study.config.tasks[wildcards.task].stimuli)


def pooled_tokens_cell(wildcards):
    """What decides them besides model and stimuli. It must not take `input`: see states_cell."""
    return as_json(grid.planned_tokens(tokens_of(wildcards)))
