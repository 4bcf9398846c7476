# What the rules of information flow take: which models are asked which questions, and what makes a result stale.
from layerwise.flow.grid import FlowGrid

flow_grid = FlowGrid(config, grid)


@cache
def folder_of_questions(questions):
    return f"<results>/{flow_grid.folder(questions)}"


def questions_file(questions, file):
    """A file of a set of questions."""
    return f"{folder_of_questions(questions)}/{file}"


def question_options(wildcards):
    """Command-line options for the folders that questions are read from."""
    folders = grid.data.folders(config["flow"]["questions"][wildcards.questions]["dataset"])
    return [f"--{name}={folder}" for name, folder in folders.items()]


def question_entry(wildcards):
    """What a set of questions is chosen by."""
    return as_json(without(config["flow"]["questions"][wildcards.questions], "dataset", "prompt"))


def question_images(wildcards):
    """What says that the images of questions have been unpacked, where they are to be."""
    receipts = flow_grid.image_receipts(wildcards.questions)
    return questions_file(wildcards.questions, "unpacked.json") if receipts else []


def flow_cell(wildcards):
    """What decides what is measured of a model and a set of questions beside these themselves; see states_cell."""
    return as_json(flow_grid.planned(wildcards.model, wildcards.questions))
