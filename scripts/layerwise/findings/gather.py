"""Gather the numbers of a study's embedded models into one small table, a row per number.

Columns: ``what`` (below), ``model`` (trained, untrained, or trained with an intervention, such as ``cut-image lower``),
``objective``, ``seed`` (of the training, or of random weights), ``task``, ``prompt``, ``layer`` and ``value``.

- ``test``, ``validation``: score of the probe in percent, by task, prompt and layer; ``chance``: the majority baseline.
- ``said``, ``said at threshold``: score of the trained model's answer, read off each layer. The last layer, one above
  the topmost block, is what the model says.
- ``known, not said``: share of test items that a layer's probe has right and the model's answer has wrong; ``known, not
  said by chance``: the share if the two were independent.
- ``used``: 100 where the model uses the task's concept in a block (in ``layer``), else 0; ``taken``: the share of the
  right answer's margin that erasing the concept there takes, in percent. Both of trained models, where they answer.
- ``at``: test score at each position of tasks that name further ones; ``prompt`` names it behind the prompt: ``category
  at word-category``.
- ``along``: test score along the whole model, by task; ``prompt`` names the part and the way of pooling, ``layer`` is
  the vision block, 0 for the projector, or the decoder's block.
- ``lens``: how well the output head, read at the image's tokens, finds the objects of a stimulus set (in ``task``), in
  percent, by layer; ``prompt`` is the measure, or the measure and its control: ``pointing, shuffled``.
- ``held-out``: questions that the model answers rightly, in percent, by lesson (in ``task``).
- ``steps``: the length of its training, in percent of the usual number of steps.
- ``kept``: questions for information flow that it answers rightly, in percent, by type (in ``task``).
- ``flow``: mean change of the answer's probability in percent, by type, flow (in ``prompt``) and window (in ``layer``).
- ``traced``: mean probability of the answer in percent, behind the final norm, by type and layer.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from layerwise.compare.inputs import Task, read_scores, read_task_positions, read_tasks
from layerwise.compare.statistics.positions_by_layer import at_each_position
from layerwise.compare.statistics.tower import read_tower
from layerwise.config.study import StudyConfig
from layerwise.embedded_models import embedded_name, seed_of, training_of
from layerwise.errors import InputError
from layerwise.flow.results import read_changes, read_flow_description, read_tracing
from layerwise.lens.scores import read_scores as read_lens_scores
from layerwise.states.tower.layers import PROJECTOR
from layerwise.study import Study

KEYS = ["what", "model", "objective", "seed", "task", "prompt", "layer"]
COLUMNS = [*KEYS, "value"]
# A mean over fewer questions says little.
LEAST_KEPT = 20


def gather(study: Study) -> pd.DataFrame:
    """All numbers of a finished study of embedded models, sorted.

    Raises:
        InputError: a file is missing or damaged.
    """
    models = {model: about(study.config, model) for model in study.config.models}
    rows = [*_scores(study, models), *_said(study, models), *_used(study, models), *_held_out(study)]
    rows += [*_positions(study, models), *_along(study, models), *_lens(study, models), *_flows(study, models)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["value"] = table["value"].round(2) + 0.0
    return table.sort_values(KEYS, ignore_index=True)


def about(config: StudyConfig, model: str) -> tuple[str, str, int]:
    """The group, objective and seed of a model entry.

    Raises:
        InputError: when it is no embedded model.
    """
    entry, name = config.models[model], embedded_name(config, model)
    if name is None:
        raise InputError(f"models.{model}: findings are about embedded models; leave it out")
    if entry.weights == "random":
        return "untrained", "", seed_of(config, model)
    training, changed = training_of(config, name), entry.intervention
    said = "trained" if changed is None else " ".join([changed.kind, *map(str, changed.how.entry().values())])
    return said, training.objective, training.seed


def _scores(study: Study, models: dict[str, tuple[str, str, int]]) -> list[tuple]:
    tasks = _tasks(study)
    scores = _headline(read_scores(study.gathered_file("scores")), tasks)
    rows = []
    for name in tasks:
        mine = scores[(scores["task"] == name) & (scores["layer"] <= scores["n_layers"])]
        for row in mine[mine["probe"] == "logistic"].itertuples():
            group, objective, seed = models[row.model]
            if row.split == "test":
                rows.append(("test", group, objective, seed, name, row.prompt, row.layer, 100 * row.value))
            # Only of trained models, whose best layer is chosen by it.
            elif row.split == "val" and group == "trained":
                rows.append(("validation", group, objective, seed, name, row.prompt, row.layer, 100 * row.value))
        chance = mine[(mine["probe"] == "majority") & (mine["split"] == "test")]["value"]
        rows.append(("chance", "", "", 0, name, "", 0, 100 * chance.iloc[0]))
    return rows


def _said(study: Study, models: dict[str, tuple[str, str, int]]) -> list[tuple]:
    if not study.grid.said_cells():
        return []
    trained = [model for model, (group, _, _) in models.items() if group == "trained"]
    tasks = read_tasks(f"{study.task_folder(task)}/task.json" for task in study.config.tasks)

    def of_tasks(name: str) -> pd.DataFrame:
        table = study.comparison(name)
        headline = table["task"].map({task: each.headline_label for task, each in tasks.items()})
        return table[(table["label"] == headline) & table["model"].isin(trained)]

    rows = []
    said, shares = of_tasks("said"), of_tasks("known-said")
    metric = said["task"].map({name: task.metric for name, task in tasks.items()})
    names = {"as said": "said", "threshold": "said at threshold"}
    said = said[(said["split"] == "test") & (said["metric"] == metric) & said["answer"].isin(names)]
    for row in said.itertuples():
        rows.append((names[row.answer], *models[row.model], row.task, row.prompt, row.layer, 100 * row.value))
    unsaid = shares[(shares["answer"] == "as said") & (shares["share"] == "known, not said")]
    for row in unsaid[unsaid["layer"] <= unsaid["n_layers"]].itertuples():
        key = *models[row.model], row.task, row.prompt, row.layer
        rows.append(("known, not said", *key, 100 * row.value))
        rows.append(("known, not said by chance", *key, 100 * row.independent))
    return rows


def _used(study: Study, models: dict[str, tuple[str, str, int]]) -> list[tuple]:
    if not study.grid.used_cells():
        return []
    table = study.comparison("used")
    trained = [model for model, (group, _, _) in models.items() if group == "trained"]
    rows = []
    for row in table[(table["change"] == "erase") & table["model"].isin(trained) & table["answers"]].itertuples():
        key = *models[row.model], row.task, row.prompt, row.block
        rows.append(("used", *key, 100.0 * row.used))
        rows.append(("taken", *key, 100 * row.completeness))
    return rows


def _positions(study: Study, models: dict[str, tuple[str, str, int]]) -> list[tuple]:
    if not study.grid.position_probes():
        return []
    given = read_task_positions(study.gathered_file("task-positions")), read_scores(study.gathered_file("scores"))
    table = at_each_position(*given, _tasks(study), study.config.states.positions[0])
    return [
        ("at", *models[row.model], row.task, f"{row.prompt} at {row.position}", row.layer, 100 * row.value)
        for row in table[table["layer"] <= table["n_layers"]].itertuples()
    ]


def _along(study: Study, models: dict[str, tuple[str, str, int]]) -> list[tuple]:
    if not study.grid.tower_probe_cells():
        return []
    table = read_tower(Path(study.gathered_file("tower")))
    mine = _headline(table[(table["split"] == "test") & (table["probe"] == "logistic")], _tasks(study))
    return [
        ("along", *models[row.model], row.task, f"{row.part} {row.pooling}", _depth(row), 100 * row.value)
        for row in mine.itertuples()
    ]


def _depth(row: Any) -> int:
    return 0 if row.part == PROJECTOR else int(row.depth)


def _lens(study: Study, models: dict[str, tuple[str, str, int]]) -> list[tuple]:
    cells = study.grid.lens_cells()
    if not cells:
        return []
    scores = read_lens_scores(study.lens_files(cell).scores for cell in cells)
    scores = scores[scores["layer"] <= scores["n_layers"]]
    means = scores.groupby(["model", "stimuli", "measure", "layer"])[["value", "shuffled", "other_object"]].mean()
    return [
        ("lens", *models[model], stimuli, measure if name == "value" else f"{measure}, {name}", layer, 100 * value)
        for (model, stimuli, measure, layer), row in means.iterrows()
        for name, value in row.items()
    ]


def _tasks(study: Study) -> dict[str, Task]:
    return read_tasks(f"{study.task_folder(task)}/task.json" for task in study.grid.class_tasks())


def _headline(table: pd.DataFrame, tasks: Mapping[str, Task]) -> pd.DataFrame:
    """The rows of each task's own metric that stand for the whole task."""
    label = table["task"].map({name: task.headline_label for name, task in tasks.items()})
    metric = table["task"].map({name: task.metric for name, task in tasks.items()})
    return table[(table["label"] == label) & (table["metric"] == metric)]


def _held_out(study: Study) -> list[tuple]:
    rows = []
    for name in study.config.embedded_models:
        training = training_of(study.config, name)
        evaluation = json.loads(Path(study.trained_folder(name), "weights/evaluation.json").read_text())
        trained = ("trained", training.objective, training.seed)
        rows.append(("steps", *trained, "", "", 0, 100 * training.steps_scale))
        for lesson, accuracy in evaluation["held_out_accuracy"].items():
            rows.append(("held-out", *trained, lesson, "", 0, 100 * accuracy))
    return rows


def _flows(study: Study, models: dict[str, tuple[str, str, int]]) -> list[tuple]:
    rows: list[tuple] = []
    for cell in study.grid.flow_cells():
        model, files = cell.model, study.flow_files(cell)
        counts = read_flow_description(files.description)["types"]
        kept = [kind for kind, count in counts.items() if count["kept"] >= LEAST_KEPT]
        shares = {kind: count["kept_share"] for kind, count in counts.items() if count["asked"]}
        rows += [("kept", *models[model], kind, "", 0, 100 * share) for kind, share in shares.items()]
        changes = read_changes(files.changes).groupby(["type", "flow", "window"])["change"].mean()
        rows += [("flow", *models[model], *keys, mean) for keys, mean in changes.items() if keys[0] in kept]
        traced = read_tracing(files.tracing)
        # Both casings together, as either may be the answer's.
        traced = traced[traced["norm"]].groupby(["type", "question_id", "layer"])["p"].sum()
        traced = traced.groupby(["type", "layer"]).mean()
        rows += [("traced", *models[model], k, "", layer, 100 * p) for (k, layer), p in traced.items() if k in kept]
    return rows
