# What comparisons, figures and tables are made from, and which of them this study has.
import re

from layerwise.compare.catalogue import COMPARISONS
from layerwise.compare.code import comparison_code
from layerwise.figures.captions import caption_digest
from layerwise.figures.catalogue import FIGURES, TABLES
from layerwise.figures.entry import Contents
from layerwise.figures.first_page import quoted
from layerwise.figures.planning import flow_figures, pictures, tables
from layerwise.planning.grid import ProbeCell, as_patterns

COMPARED = "<shown>/compare/{comparison}.parquet"
COMPARED_FLOW = "<results>/compare/flow/{model}/{questions}.{comparison}.parquet"
ANSWERS = "<results>/answers/{model}/{stimuli}/{prompt}.parquet"
GENERATED = "<results>/generated/{model}/{stimuli}/{prompt}.parquet"
SAID_CELLS, WRITTEN_CELLS = grid.said_cells(), grid.written_cells()
FORMATS = ["png", "svg", "pdf", "html"]
FLOW_FIGURE = "<results>/figures/flow/{model}/{questions}/{flow_figure}"
CAPTIONS = f"{workflow.basedir}/report"
METRICS_OF_TASKS = {study.config.tasks[task].metric for task in grid.class_tasks()}
# What figures and tables say of models that they are made without.
left_out_option = ["--left-out", *left_out] if left_out else []
SWEPT_MODELS = {cell.model for cell in USED_CELLS}
SWEPT_TWINS = {twin for model, twins in grid.twins().items() if model in SWEPT_MODELS for twin in twins}
contents = Contents(
    questions=frozenset(study.config.tasks[task].question for task in grid.class_tasks()),
    random_labels=study.config.probes.controls.random_labels > 0,
    description_length=study.config.probes.controls.description_length,
    sites=frozenset(site for cell in grid.site_cells() for site in grid.sites(cell.model, cell.prompt)),
    interventions=frozenset(
        model.intervention.kind for model in study.config.models.values() if model.intervention is not None
    ),
    twins=any(grid.twins().values()),
    embedded=tuple(study.config.embedded_models),
    flow=bool(grid.flow_cells()),
    flow_heads=bool(grid.flow_cells()) and study.config.flow.heads is not None,
    question_sets={name: study.had_by_questions(name) for name in study.config.flow.questions},
    numbers=bool(grid.number_cells()),
    premise=any(
        "{premise}" in grid.prompt(study.config.tasks[cell.task].stimuli, cell.prompt).text
        for cell in grid.probe_cells()
    ),
    parts=tuple(grid.tasks_in_parts()),
    says=tuple(model for model in grid.base_models() if any(cell.model == model for cell in SAID_CELLS)),
    writes=tuple(model for model in grid.base_models() if any(cell.model == model for cell in WRITTEN_CELLS)),
    carried=tuple(grid.carried_models()),
    sources=tuple(grid.source_models()),
    specifications=tuple(SPECIFICATION_CELLS),
    kinds=tuple(model for model in grid.base_models() if any(cell.model == model for cell in KIND_CELLS)),
    made_from=bool(grid.made_from_cells()),
    # Twins stand in the figures of the models that they are twins of.
    used=tuple(model for model in grid.base_models() if model in SWEPT_MODELS and model not in SWEPT_TWINS),
    routes=bool(USED_ROUTES),
    shortcuts=bool(SHORTCUT_CELLS),
    positions=bool(POSITION_CELLS),
    task_positions=bool(TASK_POSITION_CELLS),
    tower=bool(TOWER_CELLS),
    pooled=bool(POOLED_CELLS),
    picture_controls=bool(grid.picture_controls()),
    consistency=bool(grid.consistency_tasks()),
    lens=tuple(tuple(cell) for cell in LENS_CELLS),
    # Its figure holds copies of pictures.
    patch_maps=tuple(tuple(cell) for cell in LENS_CELLS if study.allows_copies(cell.stimuli)),
    likeness=tuple(dict.fromkeys(cell.stimuli for cell in LIKENESS_CELLS)),
)
# The report's first page quotes the finished table.
config["which_layer"] = quoted(f"{shown}/tables/table-which-layer.csv")
PICTURES = pictures(contents)
FLOW_FIGURES = flow_figures(contents)


def files_of(name, question=None, variant=None):
    """What a comparison, a figure or a table of the whole study reads under a name.

    The names are those of `layerwise.compare.inputs.Given`. Tasks are those that ask the question, or all; the training
    is that of the model which the variant names.
    """
    if name in COMPARISONS and COMPARISONS[name].per_flow:
        only = COMPARISONS[name].only_with
        cells = [cell for cell in grid.flow_cells() if not only or only in contents.question_sets[cell.questions]]
        return [COMPARED_FLOW.format(comparison=name, **cell._asdict()) for cell in cells]
    if name in COMPARISONS:
        return COMPARED.format(comparison=name)
    if name in ("scores", "curves", "sites", "positions", "task-positions", "kinds"):
        return f"<shown>/probes/{name}.parquet"
    if name == "predictions":
        return [PREDICTIONS.format(**cell._asdict()) for cell in grid.probe_cells()]
    if name in ("answers", "generated"):
        file, cells = {"answers": (ANSWERS, SAID_CELLS), "generated": (GENERATED, WRITTEN_CELLS)}[name]
        # Several tasks ask for one cell's answers.
        return list(dict.fromkeys(file.format(stimuli=stimuli_of(cell.task), **cell._asdict()) for cell in cells))
    if name == "sweeps":
        return [file for cell in USED_CELLS for file in study.used_files(cell)]
    if name == "likeness":
        return [file for cell in LIKENESS_CELLS for file in study.likeness_files(cell)]
    if name == "shortcut-scores":
        return "<shown>/probes/shortcuts.parquet"
    if name == "shortcut-predictions":
        return [SHORTCUT_PREDICTIONS.format(**cell._asdict()) for cell in SHORTCUT_CELLS]
    if name == "tower-scores":
        return "<shown>/probes/tower.parquet"
    if name == "tower-predictions":
        return [TOWER_PREDICTIONS.format(**cell._asdict()) for cell in TOWER_CELLS]
    if name == "pooled-scores":
        return "<shown>/probes/pooled.parquet"
    if name in ("pooled-predictions", "pooled-place-scores"):
        file = {"pooled-predictions": POOLED_PREDICTIONS, "pooled-place-scores": POOLED_PLACES}[name]
        return [file.format(**cell._asdict()) for cell in POOLED_CELLS]
    if name == "lens-scores":
        return [LENS_SCORES.format(**cell._asdict()) for cell in LENS_CELLS]
    if name == "lens-maps":
        return [LENS_MAPS.format(**cell._asdict()) for cell in LENS_CELLS if variant in (None, ".".join(cell))]
    if name == "transfers":
        return [CARRIED.format(**cell._asdict()) for cell in grid.carried_cells()]
    if name == "route-controls":
        return [study.route_files(route).control for route in USED_ROUTES]
    if name == "specification-effects":
        return [SPECIFICATION_EFFECTS.format(**cell._asdict()) for cell in SPECIFICATION_CELLS]
    if name == "specification-units":
        return [SPECIFICATION_UNITS.format(**cell._asdict()) for cell in SPECIFICATION_CELLS]
    if name == "tasks":
        tasks = grid.tasks_about(question) if question else grid.class_tasks()
        return expand("<results>/tasks/{task}/task.json", task=tasks)
    if name == "labels":
        return expand("<results>/tasks/{task}/labels.parquet", task=grid.unseen_text_tasks())
    if name == "set-labels":
        return expand("<results>/tasks/{task}/labels.parquet", task=grid.consistency_tasks())
    if name == "number-scores":
        return "<shown>/probes/numbers.parquet"
    if name == "estimates":
        return [ESTIMATES.format(**cell._asdict()) for cell in grid.number_cells()]
    if name == "number-tasks":
        return expand("<results>/tasks/{task}/task.json", task=grid.number_tasks())
    if name == "models":
        return [model_file(model) for model in study.config.models]
    if name == "prompts":
        return [stimuli_file(stimuli, "prompts.json") for stimuli in grid.used_stimuli()]
    if name == "description":
        return [f"{FLOW}.json".format(**cell._asdict()) for cell in grid.flow_cells()]
    # What the page one plays with shows of them is on their own pages.
    if name == "figures":
        return expand("<shown>/figures/{picture}.html", picture=PICTURES)
    if name == "flow-figures":
        return flow_figure_files(["html"])
    if name == "tables":
        return expand("<shown>/tables/{table}.html", table=tables(contents))
    if name == "sampled-items":
        return SAMPLED
    if name == "training":
        return f"<results>/embedded_models/{variant}/curve.csv"
    raise ValueError(f"no rule makes {name!r}; see files_of in rules/figures_inputs.smk")


def flow_figure_files(formats):
    """The figures of information flow, of each model and its sets of questions."""
    return [
        f"{FLOW_FIGURE}.{format}".format(flow_figure=figure, **cell._asdict())
        for cell in grid.flow_cells()
        for figure in flow_figures(contents, cell.questions)
        for format in formats
    ]


def files_of_flow(name, wildcards):
    """What a comparison or a figure of information flow in one model reads under a name."""
    ends = {"changes": "parquet", "tracing": "tracing.parquet", "heads": "heads.parquet", "description": "json"}
    file = COMPARED_FLOW if name in COMPARISONS else f"{FLOW}.{ends[name]}"
    return file.format(comparison=name, model=wildcards.model, questions=wildcards.questions)


def as_options(wildcards, input):
    """All inputs of a job as NAME=PATH. Files of cells are too many for a command line: their folder stands for them."""
    files = {name: [found] if isinstance(found, str) else list(found) for name, found in input.items()}
    of_cells = (
        "predictions",
        "shortcut-predictions",
        "tower-predictions",
        "pooled-predictions",
        "pooled-place-scores",
        "estimates",
        "answers",
        "generated",
        "sweeps",
    )
    for name in (*of_cells, "likeness"):
        if files.get(name):
            files[name] = [Path(files[name][0]).parents[2]]
    return [f"{name}={file}" for name, found in files.items() for file in found]


def resamples(per_flow):
    """How many resamples the intervals of probes have, or those of information flow."""
    return study.config.flow.resamples if per_flow else study.config.probes.resamples


def options_of(comparison):
    """What else decides the numbers of a comparison, as JSON."""
    known = {"resamples": resamples(COMPARISONS[comparison].per_flow), "seed": study.config.seed}
    known["permutations"] = study.config.probes.permutations
    known |= {"said": as_patterns(SAID_CELLS), "generated": as_patterns(WRITTEN_CELLS)}
    known |= {"twins": grid.twins(), "draws": grid.draws(), "margin": study.config.probes.margin}
    known["position"] = study.config.states.positions[0]
    known |= {"shortcuts": grid.shortcut_prompts(), "tower": grid.compared_with_tower()}
    known["likeness"] = as_patterns([ProbeCell(*cell) for cell in LIKENESS_CELLS])
    known |= {"made_from": grid.made_from(), "used": as_patterns(USED_CELLS)}
    # Without twins or draws there is no such key, so that studies from before there were any stay as they are.
    return as_json({name: known[name] for name in COMPARISONS[comparison].options if known[name] != {}})


def picture_files(wildcards):
    """What a figure of the whole study is drawn from, by name."""
    picture = PICTURES[wildcards.picture]
    figure = FIGURES[picture.figure]
    names = (*figure.reads, *figure.reads_too(contents))
    return {name: files_of(name, figure.question, picture.variant) for name in names}


def table_files(table):
    """An input function: what a table is written from, by name."""
    names = (*TABLES[table].reads, *TABLES[table].reads_too(contents))
    return lambda wildcards: {name: files_of(name) for name in names}


def caption_params(axis="", window=None, figure=None):
    """What captions may name, as JSON."""
    named = {"axis": axis, "window": window, "resamples": resamples(per_flow=bool(window))}
    draws = study.config.probes.training_draws
    named |= {"made_from": True} if contents.made_from else {}
    named |= {"shortcuts": True} if figure and "shortcuts" in FIGURES[figure].reads_too(contents) else {}
    return as_json(named | ({"training_draws": draws} if draws else {}))
