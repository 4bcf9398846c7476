# Inputs and params of the rule of kept image tokens.
from layerwise.planning.pooled_grid import TokensCell

TOKENS = "<results>/tokens/{model}/{stimuli}.h5"
TOKENS_CELLS = grid.tokens_cells()


def tokens_cell(wildcards):
    """What decides the tokens of a cell besides model and stimuli. It must not take `input`: see states_cell."""
    return as_json(grid.planned_tokens(TokensCell(wildcards.model, wildcards.stimuli)))
