# Inputs and params of the rule that carries kept probes.
from layerwise.compare.code import carry_code
from layerwise.planning.grid import ProbeCell, in_short

CARRIED = "<shown>/carried/{model}/{task}.parquet"


def carried_prompts(wildcards):
    """The prompts of a task whose states some kept probes read."""
    return list(dict.fromkeys(each.prompt for each in grid.carried(wildcards.model, wildcards.task)))


def carried_sources(wildcards):
    """The tasks of the probes, and the task whose states they read."""
    carried = grid.carried(wildcards.model, wildcards.task)
    return list(dict.fromkeys([wildcards.task, *(each.source.task for each in carried)]))


def stimuli_of(task):
    """The stimulus set that a task is about."""
    return study.config.tasks[task].stimuli


def carried_files(wildcards):
    """What carried probes read: the states, their own kept probes and predictions, and those of the sources."""
    model, task = wildcards.model, wildcards.task
    prompts, tasks = carried_prompts(wildcards), carried_sources(wildcards)
    sources = [each.source for each in grid.carried(model, task)]
    cells = dict.fromkeys([*(ProbeCell(model, task, prompt) for prompt in prompts), *sources])
    return {
        "states": [file for prompt in prompts for file in states_files(model, stimuli_of(task), prompt)],
        "model": ancient(model_file(model)),
        "stimuli": ancient([stimuli_file(stimuli_of(name), "stimuli.json") for name in tasks]),
        "shown": ancient([stimuli_file(stimuli_of(name), "items.parquet") for name in tasks]),
        "labels": [f"<results>/tasks/{name}/labels.parquet" for name in tasks],
        "tasks": [f"<results>/tasks/{name}/task.json" for name in tasks],
        "kept": [PROBES.format(**cell._asdict()) for cell in cells],
        "predictions": [PREDICTIONS.format(**cell._asdict()) for cell in cells],
    }


def carried_states(wildcards):
    """The files of the states, by prompt, as JSON."""
    prompts = carried_prompts(wildcards)
    return as_json({name: states_files(wildcards.model, stimuli_of(wildcards.task), name) for name in prompts})


def carried_planned(wildcards):
    """What the states must be made from, by prompt, as JSON."""
    prompts = carried_prompts(wildcards)
    return as_json({name: grid.planned(wildcards.model, stimuli_of(wildcards.task), name) for name in prompts})


def carried_tasks(wildcards):
    """The folders of the tasks and of their stimuli, as JSON."""
    tasks = carried_sources(wildcards)
    return as_json({name: [study.task_folder(name), study.stimuli_folder(stimuli_of(name))] for name in tasks})
