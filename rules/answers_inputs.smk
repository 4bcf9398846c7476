# Inputs and params of the rules of answers.
from layerwise.planning.recipes import adapter_file


def answers_entry(wildcards):
    """A prompt with its answers, as JSON."""
    return as_json(grid.answers_entry(wildcards.stimuli, wildcards.prompt))


def written_cell(wildcards):
    """What decides what a model writes, besides the model and the stimuli; see states_cell."""
    return as_json(grid.planned_writing(wildcards.model, wildcards.stimuli, wildcards.prompt))


def answers_looked_for(wildcards):
    """The words that are looked for in what a model writes, as JSON."""
    return as_json(grid.prompt(wildcards.stimuli, wildcards.prompt).entry()["answers"])
