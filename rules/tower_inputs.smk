# Inputs and params of the rules of the vision tower.
from layerwise.probes.code import tower_probe_code
from layerwise.planning.tower_grid import TowerCell

TOWER_CELLS = grid.tower_probe_cells()


def tower_cell(wildcards):
    """What decides a tower's states besides model and stimuli. It must not take `input`: see states_cell."""
    stimuli = getattr(wildcards, "stimuli", None) or study.config.tasks[wildcards.task].stimuli
    return as_json(grid.planned_tower(TowerCell(wildcards.model, stimuli)))


def pooled_states(wildcards):
    """The states at the image's tokens that continue the tower's curve in the decoder; none where none are kept."""
    prompt = grid.pooled_prompt(wildcards.model, wildcards.task)
    return [] if prompt is None else states_files(wildcards.model, study.config.tasks[wildcards.task].stimuli, prompt)


def pooled_cell(wildcards):
    """What decides them, as JSON; it must not take `input`: see states_cell."""
    prompt = grid.pooled_prompt(wildcards.model, wildcards.task)
    stimuli = study.config.tasks[wildcards.task].stimuli
    return "" if prompt is None else as_json(grid.planned(wildcards.model, stimuli, prompt))


def pooled_option(wildcards, input):
    """Both as options. Snakemake compares the files, and the param with the cell."""
    return ["--decoder", *input.decoder, "--decoder-cell", pooled_cell(wildcards)] if input.decoder else []
