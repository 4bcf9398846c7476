# Inputs and params of the rules of information flow.
from layerwise.config.flow import TableQuestions
from layerwise.datasets.catalogue import QUESTIONS
from layerwise.datasets.question_table import question_files


def questions_file(questions, file):
    """A file of a set of questions."""
    return f"{study.questions_folder(questions)}/{file}"


def question_sources(wildcards):
    """The files whose change makes a set of questions stale, but for its images."""
    entry = study.config.flow.questions[wildcards.questions]
    if isinstance(entry, TableQuestions):
        return list(map(str, question_files(entry)))
    return study.data.source_files(entry.dataset, entry.types)


def question_receipts(wildcards):
    """The downloads that the images of questions are unpacked from; empty for images that are used where they lie."""
    entry = study.config.flow.questions[wildcards.questions]
    if isinstance(entry, TableQuestions):
        return []
    return study.data.image_receipts(entry.dataset, entry.types)


def question_image_folder(wildcards):
    """Where the images of questions are unpacked."""
    return study.data.image_folder(study.config.flow.questions[wildcards.questions].dataset)


def question_options(wildcards):
    """Options that name the data set that questions are read from, or where pictures in the rows of a table go."""
    entry = study.config.flow.questions[wildcards.questions]
    if isinstance(entry, TableQuestions):
        return [f"--pictures={study.data.root}/pictures"]
    return study.data.options(entry.dataset, entry.types)


def question_entry(wildcards):
    """What decides which questions are chosen, as JSON."""
    return as_json(without(study.config.flow.questions[wildcards.questions].entry(), "dataset", "prompt"))


def question_code(wildcards):
    """The digest of the program that chooses questions, and of the module that reads their format."""
    entry = study.config.flow.questions[wildcards.questions]
    if isinstance(entry, TableQuestions):
        return code_digest("make_questions.py")
    dataset = study.config.datasets[entry.dataset]
    return code_digest("make_questions.py", QUESTIONS.file(dataset.format))


def question_images(wildcards):
    """The file that says that the images of questions are unpacked; empty for images that are used where they lie."""
    return questions_file(wildcards.questions, "unpacked.json") if question_receipts(wildcards) else []


def flow_cell(wildcards):
    """What decides the measured flow besides the model and the questions; see states_cell."""
    return as_json(grid.planned_flow(wildcards.model, wildcards.questions))
