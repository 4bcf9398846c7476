# Inputs and params of the rules of further positions.
from layerwise.jobs.beside import forget_beside, write_beside
from layerwise.planning.position_grid import PositionProbes, PositionStates
from layerwise.probes.code import task_position_code

POSITION_STATES = "<results>/states/{model}/{stimuli}/{prompt}.at-{position}{shard}.h5"
TASK_POSITION = "<results>/probes/{model}/{task}/{prompt}.at-{position}.parquet"
TASK_POSITION_CELLS = grid.position_probes()


def position_cell(wildcards):
    """What decides the states of a cell at a further position, as JSON; see `states_cell`."""
    stimuli = getattr(wildcards, "stimuli", None) or study.config.tasks[wildcards.task].stimuli
    cell = PositionStates(wildcards.model, stimuli, wildcards.prompt, wildcards.position)
    if wildcards.position in grid.positions(stimuli, wildcards.prompt):
        return states_cell(wildcards)
    return as_json(grid.planned_position(cell))


def position_states(wildcards):
    """The states that a probe at a further position reads."""
    stimuli = study.config.tasks[wildcards.task].stimuli
    return study.position_states_files(PositionStates(wildcards.model, stimuli, wildcards.prompt, wildcards.position))


def positions_beside():
    """By states file of each extraction of this run the options of those that read further positions of its inputs.

    Any of them can then read for all in one pass, also where jobs run on different machines.
    """
    names = ("extract_states", "extract_position")
    by_inputs = {}
    for job in workflow.dag.needrun_jobs():
        if job.rule.name in names:
            found = job.wildcards
            key = found.model, found.stimuli, found.prompt, found.shard
            by_inputs.setdefault(key, []).append(job)
    beside = {}
    for jobs in by_inputs.values():
        others = {str(job.output[0]): position_options(job) for job in jobs if job.rule.name == "extract_position"}
        for out in (str(job.output[0]) for job in jobs):
            if found := [options for other, options in others.items() if other != out]:
                beside[out] = found
    return beside


def position_options(job):
    """The options of a job for a further position, as JSON has them."""
    entry = study.config.models[job.wildcards.model]
    return {
        "model": str(job.input.model),
        "stimuli": str(job.params.stimuli),
        "cell": json.loads(job.params.cell),
        "batch_size": entry.batch_size,
        "sharing": entry.sharing,
        "device_map": entry.device_map,
        "shard": [int(number) for number in job.params.shard],
        "kept": job.params.kept[1] if job.params.kept else None,
        "fitted": None,
        "out": str(job.output[0]),
    }
