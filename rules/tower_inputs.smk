# Inputs and params of the rules of the vision tower.
from layerwise.models.site_names import ALL_PICTURES
from layerwise.planning.position_grid import PositionStates, kept_in_main
from layerwise.probes.code import tower_probe_code
from layerwise.planning.tower_grid import TowerCell

TOWER_CELLS = grid.tower_probe_cells()


def tower_cell(wildcards):
    """What decides a tower's states besides model and stimuli. It must not take `input`: see states_cell."""
    stimuli = getattr(wildcards, "stimuli", None) or study.config.tasks[wildcards.task].stimuli
    return as_json(grid.planned_tower(TowerCell(wildcards.model, stimuli)))


def pooled_position(wildcards):
    """The cell whose image tokens continue the tower's curve in the decoder; None where none are kept."""
    prompt = grid.pooled_prompt(wildcards.model, wildcards.task)
    stimuli = study.config.tasks[wildcards.task].stimuli
    return None if prompt is None else PositionStates(wildcards.model, stimuli, prompt, ALL_PICTURES)


def pooled_states(wildcards):
    """Their states: in the cell's main file, or in that of a position which the task names."""
    cell = pooled_position(wildcards)
    return [] if cell is None else study.position_states_files(cell)


def pooled_cell(wildcards):
    """What decides them, as JSON; it must not take `input`: see states_cell."""
    cell = pooled_position(wildcards)
    if cell is None:
        return ""
    return as_json(grid.planned(*cell[:3]) if kept_in_main(grid, cell) else grid.planned_position(cell))


def pooled_option(wildcards, input):
    """Both as options. Snakemake compares the files, and the param with the cell."""
    return ["--decoder", *input.decoder, "--decoder-cell", pooled_cell(wildcards)] if input.decoder else []
