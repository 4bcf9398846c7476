# Inputs and params of the rules that erase and steer.
from layerwise.probes.logistic.engines.catalogue import ENGINES
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.planning.used_grid import POSITION

USED_CELLS = grid.used_cells()
CONCEPT = "<results>/used/{model}/{task}/{prompt}.concept.safetensors"
STREAMED = "<results>/used/{model}/{task}/{prompt}.{at}-{block}.streamed.safetensors"
USED = "<results>/used/{model}/{task}/{prompt}.parquet"
USED_ABOVE = "<results>/used/{model}/{task}/{prompt}.above.parquet"
# Figures and tables that show nothing else, so that the target `used` makes them.
USED_FIGURES = ["used-by-layer", "used-between-tasks", "used-above-block"]
USED_TABLES = ["table4"]
# With the solver and the metrics of probes of what is left (layerwise.used.concepts.remaining).
CONCEPT_CODE = code_digest(
    "fit_concept.py", ENGINES.file("sklearn"), *map(METRICS.file, ["roc_auc", "balanced_accuracy"])
)


def streamed_cell(wildcards):
    """What decides the tokens that a concept is fitted to, besides the model, the stimuli and the task. What is kept of
    them beside is left out."""
    stimuli = study.config.tasks[wildcards.task].stimuli
    cell = without(grid.planned(wildcards.model, stimuli, wildcards.prompt), "sites", "dtype", "code")
    return as_json(cell | {"positions": ["last"]})


def other_concepts(wildcards):
    """The other concepts that are erased in a cell: their files, by task/prompt."""
    cell = ProbeCell(wildcards.model, wildcards.task, wildcards.prompt)
    return {name: study.concept_file(other) for name, other in grid.other_concepts(cell).items()}


def sweep_cell(wildcards):
    """What decides a sweep besides the model, the stimuli, the task, concepts and probes; see states_cell."""
    return as_json(grid.planned_sweep(ProbeCell(wildcards.model, wildcards.task, wildcards.prompt)))


def of_used(picture):
    """Whether a figure of this study shows what is erased and steered."""
    return PICTURES[picture].figure in USED_FIGURES
