# Inputs and params of the rules of answers.
ANSWERS_CODE = code_digest("read_head.py")


def answers_prompts(wildcards):
    """The prompts whose answers are read in a model, as JSON."""
    return as_json(grid.answers_prompts(wildcards.model))


def answered_stimuli(wildcards):
    """The stimulus sets of these prompts."""
    return list(grid.answers_prompts(wildcards.model))


def answers_entry(wildcards):
    """A prompt with its answers, as JSON."""
    return as_json(grid.answers_entry(wildcards.stimuli, wildcards.prompt))


def written_cell(wildcards):
    """What decides what a model writes, besides the model and the stimuli; see states_cell."""
    return as_json(grid.planned_writing(wildcards.model, wildcards.stimuli, wildcards.prompt))


def answers_looked_for(wildcards):
    """The words that are looked for in what a model writes, as JSON."""
    return as_json(grid.prompt(wildcards.stimuli, wildcards.prompt).entry()["answers"])
