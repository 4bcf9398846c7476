"""The same statements with the picture, with its caption as text, with both, and with neither."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure, by_layer_and_depth

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given

PREMISE = "{premise}"
# By whether the picture and the caption are shown: how the legend calls it. In the order of the lines.
SHOWN = {
    (True, False): "picture",
    (False, True): "caption",
    (True, True): "picture and caption",
    (False, False): "neither",
}


def draw(given: Given, variant: str) -> Drawing:
    import pandas as pd

    from layerwise.figures.drawing.layers import draw_scores

    with_premise = {prompt["stimuli"] for prompt in given.prompts if PREMISE in prompt["text"]}
    tasks = {name: task for name, task in given.tasks.items() if task.stimuli in with_premise}
    words = list(SHOWN.values())
    lines = [(*said, prompt) for prompt in given.prompts if (said := _said(prompt))]
    names = {(prompt["stimuli"], prompt["prompt"]): name for _, name, prompt in lines}
    headline = given.comparison("headline")
    stimuli = headline["task"].map({name: task.stimuli for name, task in tasks.items()})
    headline["prompt"] = [names.get(cell) for cell in pd.MultiIndex.from_arrays([stimuli, headline["prompt"]])]
    shown = headline.dropna(subset="prompt")
    order = {name: words.index(what) for what, name, _ in lines}
    shown = shown.sort_values("prompt", key=lambda column: column.map(order), kind="stable")
    return draw_scores(shown, tasks, given.models, variant, facets="model", lines="prompt")


def _said(prompt: Mapping[str, str]) -> tuple[str, str] | None:
    """What a prompt shows, and its name in the legend; None for one with a picture that is not the item's."""
    image = prompt.get("image", "shown")
    if image not in ("shown", "none"):
        return None
    what = SHOWN[image == "shown", PREMISE in prompt["text"]]
    return what, f"{prompt['prompt']}: {what}"


FIGURE = Figure(
    place=10,
    title="Picture or caption",
    reads=("headline", "tasks", "models", "prompts"),
    draw=draw,
    exists=lambda study: study.probes and study.premise,
    variants=by_layer_and_depth,
    file="{name}-by-{variant}",
)
