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
