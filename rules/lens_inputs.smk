# Inputs and params of the rules of the patch lens.
from layerwise.planning.lens_grid import LensCell

LENS_MAPS = "<results>/lens/{model}/{stimuli}.maps.h5"
LENS_SCORES = "<results>/lens/{model}/{stimuli}.parquet"
LENS_CELLS = grid.lens_cells()


def lens_cell(wildcards):
    """What decides the maps besides model and stimuli. It must not take `input`: see states_cell."""
    return as_json(grid.planned_lens(LensCell(wildcards.model, wildcards.stimuli)))
