# Inputs and params of the rule of specification curves.
from layerwise.probes.code import specification_code

SPECIFICATION_CELLS = grid.specification_cells()


def specified(wildcards):
    """The prompts of a specification curve."""
    return grid.specification_prompts(wildcards.model, wildcards.task)


def specified_states(wildcards):
    """The states that a specification curve reads, of all its prompts."""
    stimuli = study.config.tasks[wildcards.task].stimuli
    return [file for prompt in specified(wildcards) for file in states_files(wildcards.model, stimuli, prompt)]


def specified_cells(wildcards):
    """What decides these states, prompt by prompt, as a JSON list; see `states_cell`."""
    stimuli = study.config.tasks[wildcards.task].stimuli
    return as_json([grid.planned(wildcards.model, stimuli, prompt) for prompt in specified(wildcards)])


def choices_option(wildcards):
    """The choices that are combined, as JSON, without what says only which cells have a curve."""
    return as_json(without(study.config.specifications.entry(), "models", "tasks", "prompts"))
