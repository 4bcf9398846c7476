"""What interventions do: the image taken away from some blocks, and blocks routed past those above them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerwise.errors import InputError
from layerwise.figures.facets import NAME_WIDTH, draw_baseline, draw_legend, drawing_width, label_edges, lay_out
from layerwise.figures.headline import headline_scores, metric_name
from layerwise.figures.inputs import Model, Task
from layerwise.figures.layers import AXES, draw_line, share_axes
from layerwise.figures.style import LineStyle, line_styles, wrap_name

AS_IT_IS = "as it is"
# Prompts of the same words without the item's own image.
WITHOUT_IMAGE = {"none": "text only", "blank": "blank image", "shuffled": "another item's image"}
BAR = 0.8


def in_words(intervention: Mapping[str, Any]) -> str:
    """An intervention as legends and tables say it."""
    ((kind, how),) = intervention.items()
    if kind == "bypass":
        return f"block {how['from']} × {how['scale']:g} added to {_block(how)}"
    if kind == "ablate-image":
        return f"image tokens {'zero' if how['with'] == 'zero' else 'averaged'} from block {how['from']} on"
    blocks = how["blocks"]
    return "image cut in " + (f"{blocks} blocks" if isinstance(blocks, str) else f"blocks {blocks[0]}-{blocks[1]}")


def _block(how: Mapping[str, Any]) -> str:
    return f"block {how['into']}" if "into" in how else "the last block"


@dataclass(frozen=True)
class _Facet:
    """One model as it is and what was made of it, asked one prompt."""

    base: str
    prompt: str
    title: str


def draw_ablation(
    scores: pd.DataFrame,
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    prompts: Sequence[Mapping[str, str]],
) -> Figure:
    """Draw the test score by layer of models that the image's tokens are hidden from, in some blocks or in all.

    One band per task, one facet per prompt; a grey dashed line is the model as it is, asked in the same words without
    the item's own image, where the study has such a prompt.

    Args:
        scores: All cells' tidy rows, see :func:`layerwise.figures.inputs.read_scores`.
        tasks: Task descriptions.
        models: Model descriptions.
        prompts: The grid's prompts, see :func:`layerwise.figures.inputs.read_prompts`.

    Raises:
        InputError: No model hides the image, or its base model was not run.
    """
    changed = _changed(models, ("ablate-image", "cut-image"))
    words = {(prompt["stimuli"], prompt["prompt"]): {"image": "shown", **prompt} for prompt in prompts}
    lines = [AS_IT_IS, *dict.fromkeys(in_words(model.intervention or {}) for model in changed.values())]
    without = [name for image, name in WITHOUT_IMAGE.items() if any(image == p["image"] for p in words.values())]
    styles = line_styles([*lines, *without], without)

    def draw(axes: Axes, task: Task, facet: _Facet, rows: pd.DataFrame) -> None:
        of_prompt = rows[rows["prompt"] == facet.prompt]
        shown = {AS_IT_IS: of_prompt[of_prompt["model"] == facet.base]}
        for name, model in changed.items():
            if model.base == models[facet.base].digest:
                shown[in_words(model.intervention or {})] = of_prompt[of_prompt["model"] == name]
        asked = words[task.stimuli, facet.prompt]
        for (stimuli, name), prompt in words.items():
            if stimuli == task.stimuli and prompt["text"] == asked["text"] and prompt["image"] != "shown":
                of_base = rows[(rows["prompt"] == name) & (rows["model"] == facet.base)]
                shown[WITHOUT_IMAGE[prompt["image"]]] = of_base
        for line, of_line in shown.items():
            draw_line(axes, of_line, styles[line], "layer", list(styles).index(line), line)

    return _draw(scores, tasks, models, changed, styles, draw)


def draw_bypass(scores: pd.DataFrame, tasks: Mapping[str, Task], models: Mapping[str, Model]) -> Figure:
    """Draw the score of the topmost block when an earlier block's output is added to it, against that block.

    One band per task, one facet per prompt, one line per scale; the line of the model as it is is its score by layer,
    whose right end is what the others are to be compared with.

    Args:
        scores: All cells' tidy rows.
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
        rows = rows[(rows["prompt"] == facet.prompt) & (rows["layer"] <= rows["n_layers"])]
        as_it_is = rows[rows["model"] == facet.base]
        draw_line(axes, as_it_is, styles[AS_IT_IS], "layer", 0, AS_IT_IS)
        top = as_it_is[as_it_is["layer"] == as_it_is["n_layers"]]
        axes.axhline(top["value"].iloc[0], color=styles[AS_IT_IS].colour, linewidth=0.7, linestyle=(0, (1, 2)))
        for place, (_, line) in enumerate(in_order):
            points = []
            for name, model in changed.items():
                if model.base == models[facet.base].digest and lines[name][1] == line:
                    row = rows[(rows["model"] == name) & (rows["layer"] == rows["n_layers"])]
                    source = (model.intervention or {})["bypass"]["from"]
                    points.append(row.assign(x=source + 0.08 * (place - (len(in_order) - 1) / 2)))
            if points and not (at := pd.concat(points).sort_values("x")).empty:
                style = styles[line]
                errors = [(at["value"] - at["low"]).clip(lower=0), (at["high"] - at["value"]).clip(lower=0)]
                look = {"color": style.colour, "marker": style.marker, "elinewidth": BAR, "capsize": 1.5}
                axes.errorbar(at["x"], at["value"], yerr=errors, linewidth=0.8, zorder=4, label=line, **look)

    return _draw(scores, tasks, models, changed, styles, draw, norm=False)


def _scale(how: Mapping[str, Any]) -> tuple[float, str]:
    """A line of the bypass figure: its place among the others, and its name."""
    return how["scale"], f"{how['scale']:g} × the block's output added to {_block(how)}"


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


def base_of(model: Model, models: Mapping[str, Model]) -> str:
    """The name of the model that an intervention was made on.

    Raises:
        InputError: It is not among the models.
    """
    for name, other in models.items():
        if other.digest == model.base:
            return name
    raise InputError(
        f"model {model.model!r} has an intervention, but the same model without it is not in the study; add its entry"
    )


def _draw(
    scores: pd.DataFrame,
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    changed: Mapping[str, Model],
    styles: Mapping[str, LineStyle],
    draw: Callable[[Axes, Task, _Facet, pd.DataFrame], None],
    norm: bool = True,
) -> Figure:
    """Draw a facet for each base model and prompt that a changed model was asked."""
    probes, majority = headline_scores(scores, tasks, "test"), headline_scores(scores, tasks, "test", probe="majority")
    several = len({model.base for model in changed.values()}) > 1
    of_task = {name: list(_facets(probes[probes["task"] == name], models, changed, several)) for name in tasks}
    of_task = {name: facets for name, facets in of_task.items() if facets}
    if not of_task:
        raise InputError("no task was asked of a model with an intervention and of the same model without it")
    blocks = {name: [facet.title for facet in facets] for name, facets in of_task.items()}
    width = drawing_width(blocks)
    drawing = Figure(layout="constrained")
    drawing.set_figwidth(width)
    rows = draw_legend(drawing, styles, (), "majority baseline", norm)
    bands = lay_out(drawing, tasks, blocks, rows, width, AXES["layer"])
    for name, _, grid in bands:
        for axes, facet in zip(grid.flat, of_task[name], strict=False):
            axes.set_title(wrap_name(facet.title, NAME_WIDTH))
            draw(axes, tasks[name], facet, probes[probes["task"] == name])
            chance = majority[(majority["task"] == name) & (majority["prompt"] == facet.prompt)]
            draw_baseline(axes, chance["value"], "majority")
        for axes in grid.flat[len(of_task[name]) :]:
            axes.remove()
        label_edges(grid, len(of_task[name]), f"test {metric_name(tasks[name])}")
    share_axes([band for _, band, _ in bands], "layer", len(styles), int(probes["n_layers"].max()))
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
