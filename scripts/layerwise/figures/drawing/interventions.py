"""Interventions: the image hidden from some blocks, concepts erased or steered along, and blocks routed past others."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from layerwise.compare.inputs import Model, Task
from layerwise.compare.intervened import base_of, block_in_words, in_words
from layerwise.compare.rows import headline_scores, majority_scores
from layerwise.errors import InputError
from layerwise.figures.drawing.facets import (
    NAME_WIDTH,
    draw_baseline,
    draw_legend,
    grid_width,
    lay_out_grid,
    limit_facet,
)
from layerwise.figures.drawing.layers import AXES, draw_line
from layerwise.figures.drawing.style import LineStyle, line_styles, wrap_name
from layerwise.figures.names import metric_name

AS_IT_IS = "as it is"
# Prompts with the same words and without the item's own image.
WITHOUT_IMAGE = {"none": "text only", "blank": "blank image", "shuffled": "another item's image"}
BAR = 0.8


@dataclass(frozen=True)
class _Facet:
    """One model and the models that interventions make of it, with one prompt."""

    base: str
    prompt: str
    title: str


def draw_ablation(
    headline: pd.DataFrame,
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    prompts: Sequence[Mapping[str, str]],
    kinds: Sequence[str],
) -> Figure:
    """Draw the test score by layer of models in which some or all blocks do not see the image's tokens.

    One facet per task and prompt. A grey dashed line is the model as it is, asked in the same words without the item's
    own image, where the study has such a prompt.

    Args:
        headline: Headline scores, see :mod:`layerwise.compare.headline`.
        tasks: Task descriptions.
        models: Model descriptions.
        prompts: The grid's prompts, see :func:`layerwise.compare.inputs.read_prompts`.
        kinds: of the interventions that are shown.

    Raises:
        InputError: No model hides the image, or its base model was not run.
    """
    words = {(prompt["stimuli"], prompt["prompt"]): {"image": "shown", **prompt} for prompt in prompts}
    return _draw_by_layer(headline, tasks, models, kinds, words)


def draw_erased(
    headline: pd.DataFrame, tasks: Mapping[str, Task], models: Mapping[str, Model], kinds: Sequence[str]
) -> Figure:
    """Draw the test score by layer of models from which a concept is erased, or that are steered along one.

    One facet per task and prompt: the concept itself where the prompt is that of its states, and others beside it.

    Args:
        headline: Headline scores, see :mod:`layerwise.compare.headline`.
        tasks: Task descriptions.
        models: Model descriptions.
        kinds: of the interventions that are shown.

    Raises:
        InputError: No model has such an intervention, or its base model was not run.
    """
    return _draw_by_layer(headline, tasks, models, kinds, {})


def _draw_by_layer(
    headline: pd.DataFrame,
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    kinds: Sequence[str],
    words: Mapping[tuple[str, str], Mapping[str, str]],
) -> Figure:
    """Draw changed models and the model as it is; ``words`` are those of prompts, by stimulus set and name, to find the
    model as it is without the image."""
    changed = _changed(models, kinds)
    majority = majority_scores(headline, tasks)
    lines = [AS_IT_IS, *dict.fromkeys(in_words(model.intervention or {}) for model in changed.values())]
    without = [name for image, name in WITHOUT_IMAGE.items() if any(image == p["image"] for p in words.values())]
    # A wide line, because changed models often score like the model as it is and would hide it.
    styles = line_styles([*lines, *without], without)
    styles[AS_IT_IS] = replace(styles[AS_IT_IS], width=4)

    def draw(axes: Axes, task: Task, facet: _Facet, rows: pd.DataFrame) -> None:
        of_prompt = rows[rows["prompt"] == facet.prompt]
        shown = {AS_IT_IS: of_prompt[of_prompt["model"] == facet.base]}
        for name, model in changed.items():
            if model.base == models[facet.base].digest:
                shown[in_words(model.intervention or {})] = of_prompt[of_prompt["model"] == name]
        asked = words[task.stimuli, facet.prompt]["text"] if words else None
        for (stimuli, name), prompt in words.items():
            if stimuli == task.stimuli and prompt["text"] == asked and prompt["image"] in WITHOUT_IMAGE:
                of_base = rows[(rows["prompt"] == name) & (rows["model"] == facet.base)]
                shown[WITHOUT_IMAGE[prompt["image"]]] = of_base
        for line, of_line in shown.items():
            draw_line(axes, of_line, styles[line], "layer", list(styles).index(line), line)
        at = majority[(majority["task"] == task.task) & (majority["prompt"] == facet.prompt)]["value"]
        draw_baseline(axes, at, "majority")
        limit_facet(axes, [*shown.values()], at.min())

    return _draw(headline, tasks, models, changed, styles, draw, "majority baseline")


def draw_bypass(headline: pd.DataFrame, tasks: Mapping[str, Task], models: Mapping[str, Model]) -> Figure:
    """Draw the score of the topmost block when an earlier block's output is added to it, against that block.

    One facet per task and prompt, one line per scale. The model as it is has its score by layer, which may leave the
    facet at the bottom, and a dotted line at the score of its topmost block, to compare the others with.

    Args:
        headline: Headline scores, see :mod:`layerwise.compare.headline`.
        tasks: Task descriptions.
        models: Model descriptions.

    Raises:
        InputError: No model has a bypass, or its base model was not run.
    """
    changed = _changed(models, ("bypass",))
    lines = {name: _scale((model.intervention or {})["bypass"]) for name, model in changed.items()}
    in_order = sorted(dict.fromkeys(lines.values()), key=lambda line: line[0])
    styles = line_styles([AS_IT_IS, *(words for _, words in in_order)])

    def draw(axes: Axes, task: Task, facet: _Facet, rows: pd.DataFrame) -> None:
        rows = rows[rows["prompt"] == facet.prompt]
        as_it_is = rows[rows["model"] == facet.base]
        draw_line(axes, as_it_is, styles[AS_IT_IS], "layer", 0, AS_IT_IS)
        top = as_it_is[as_it_is["layer"] == as_it_is["n_layers"]]
        draw_baseline(axes, top["value"], "as it is")
        shown = [top]
        for place, (_, line) in enumerate(in_order):
            points = [
                rows[(rows["model"] == name) & (rows["layer"] == rows["n_layers"])].assign(
                    x=(model.intervention or {})["bypass"]["from"] + 0.12 * (place - (len(in_order) - 1) / 2)
                )
                for name, model in changed.items()
                if model.base == models[facet.base].digest and lines[name][1] == line
            ]
            if points and not (at := pd.concat(points).sort_values("x")).empty:
                style = styles[line]
                errors = [(at["value"] - at["low"]).clip(lower=0), (at["high"] - at["value"]).clip(lower=0)]
                axes.errorbar(
                    at["x"],
                    at["value"],
                    yerr=errors,
                    color=style.colour,
                    marker=style.marker,
                    linewidth=BAR,
                    elinewidth=BAR,
                    capsize=1.5,
                    zorder=4,
                    label=line,
                )
                shown.append(at)
        limit_facet(axes, [*shown, as_it_is[as_it_is["value"] > top["value"].iloc[0]]], top["low"].iloc[0])

    x_label = f"{AXES['layer']}; for blocks that are added, which one"
    return _draw(headline, tasks, models, changed, styles, draw, "topmost block, as it is", x_label)


def _scale(how: Mapping[str, Any]) -> tuple[float, str]:
    """A line of the bypass figure: its place among the others, and its name."""
    return how["scale"], f"{how['scale']:g} × the block, added to {block_in_words(how)}"


def _changed(models: Mapping[str, Model], kinds: Sequence[str]) -> dict[str, Model]:
    """The models with an intervention of these kinds.

    Raises:
        InputError: There is none, or a base model is not among the models.
    """
    changed = {name: model for name, model in models.items() if not set(kinds).isdisjoint(model.intervention or {})}
    if not changed:
        raise InputError(f"no model has an intervention of the kinds {', '.join(kinds)}; give one, or leave this out")
    for model in changed.values():
        base_of(model, models)
    return changed


def _draw(
    headline: pd.DataFrame,
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    changed: Mapping[str, Model],
    styles: Mapping[str, LineStyle],
    draw: Callable[[Axes, Task, _Facet, pd.DataFrame], None],
    dotted: str,
    x_label: str = AXES["layer"],
) -> Figure:
    """Draw a facet for each task, prompt and base model of a changed model; ``dotted`` names the dotted line."""
    probes = headline_scores(headline, tasks, "test")
    probes = probes[probes["layer"] <= probes["n_layers"]]
    several = len({model.base for model in changed.values()}) > 1
    facets = [
        (tasks[name], facet)
        for name in tasks
        for facet in _facets(probes[probes["task"] == name], models, changed, several)
    ]
    if not facets:
        raise InputError("no task was asked of a model with an intervention and of the same model without it")
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(grid_width(len(facets)))
    band, grid = lay_out_grid(drawing, len(facets), draw_legend(drawing, styles, {}, dotted, norm=False))
    for axes, (task, facet) in zip(grid, facets, strict=True):
        axes.set_title(wrap_name(f"{task.task}: {facet.title}", NAME_WIDTH))
        axes.set_ylabel(f"test {metric_name(task.metric)}", fontsize=7)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        draw(axes, task, facet, probes[probes["task"] == task.task])
    band.supxlabel(x_label, fontsize=8)
    return drawing


def _facets(
    probes: pd.DataFrame, models: Mapping[str, Model], changed: Mapping[str, Model], several: bool
) -> Iterator[_Facet]:
    cells = set(zip(probes["model"], probes["prompt"], strict=True))
    for prompt in probes["prompt"].unique():
        for base, model in models.items():
            made = [name for name, other in changed.items() if other.base == model.digest]
            if model.intervention is None and (base, prompt) in cells and any((name, prompt) in cells for name in made):
                yield _Facet(base, prompt, f"{prompt}, {base}" if several else prompt)
