# Inputs and params of the rules of shortcuts.
from layerwise.probes.code import shortcut_code
from layerwise.planning.shortcut_grid import PicturesCell

SHORTCUT_CELLS = grid.shortcut_cells()


def pictures_cell(wildcards):
    """What decides the features of pictures besides model and stimuli. It must not take `input`: see states_cell."""
    stimuli = getattr(wildcards, "stimuli", None) or study.config.tasks[wildcards.task].stimuli
    return as_json(grid.planned_pictures(PicturesCell(wildcards.model, stimuli)))
