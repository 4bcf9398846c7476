"""Does the model use what a probe finds? What is erased from hidden states, and what they are steered along."""

from typing import Annotated, Literal

from layerwise.config.base import Checked, Count, Each, Maybe, Name, Names, Section, whole
from layerwise.config.routes import Route

# A strength of 0 changes nothing, and a bool is no number.
Strength = Annotated[
    int | float,
    Checked(
        lambda value: type(value) in (int, float) and value != 0 and abs(value) < float("inf"),
        "a number other than 0",
        {"type": "number", "not": {"const": 0}},
    ),
]
# One draw says nothing about how much draws differ.
ControlDraws = Annotated[int, whole(2)]


class Used(Section):
    """Whether a model uses what a probe finds: the class of a task is erased from the last token's state behind each
    block, or the state is steered along it, and the model's answers are compared with those of the free run."""

    tasks: Names
    """The tasks whose classes are erased and steered. Each needs a prompt with `answers` for all of its classes, and
    one label per item. Tasks of two classes are erased and steered, others erased only."""
    prompts: Maybe[Names] = None
    """Under which prompts. Default: all of these tasks' prompts with `answers` for all of their classes."""
    models: Maybe[Names] = None
    """In which models. Default: all without an intervention that run on the adapters `generic` or `text`, untrained
    twins included."""
    items: Count = 200
    """How many test items of a cell are run, in whole images, sampled by seed."""
    strengths: Annotated[list[Strength], Each(1)] = [-2, -1, 1, 2]
    """How far states are steered, in standard deviations of the training items' projections onto the direction.
    Positive strengths go towards the second class."""
    along: Literal["probe", "means"] = "means"
    """The direction that states are steered along. means: the difference of the class means of the training items.
    probe: the kept probe's weights, which tell classes apart but need not be the way from one to the other."""
    draws: ControlDraws = 10
    """Random changes of the same size per block, with which each change is compared."""
    routes: dict[Name, Route] = {}
    """Paths that are trained to route what lower layers know to the top, by name."""
