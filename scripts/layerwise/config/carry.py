"""Kept probes that read other hidden states without being fitted again."""

from typing import Annotated

from pydantic import Field

from layerwise.config.base import Each, Filled, Maybe, Section

Classes = Annotated[dict[str, str], Filled()]


class CarriedTask(Section):
    """Two tasks whose classes mean the same."""

    from_: Annotated[str, Field(alias="from")]
    """The task whose probes are carried."""
    to: str
    """The task whose hidden states they read."""
    classes: Maybe[Classes] = None
    """Which class of `from` is which class of `to`, such as `match: entailment`. Items of other classes are left out.
    Default: both tasks have classes of the same names."""
    back: bool = True
    """Whether the probes of `to` are carried to `from` too."""


class Carry(Section):
    """Which other hidden states kept probes read, without being fitted again: is it the same knowledge? Needs
    `probes.keep`."""

    prompts: bool = True
    """Whether the probes of each prompt read the other prompts of the same task. The states of a model with an
    intervention are read only by the probes of the model as it is."""
    versions: bool = True
    """Whether the probes of a model read its versions: other entries of the same source, such as a quantized model, one
    with an intervention, or the untrained twin. The model itself is the first entry of this source that is trained, not
    quantized, and has no intervention."""
    tasks: list[CarriedTask] = []
    """Pairs of tasks whose classes mean the same."""
    labels: Annotated[list[str], Each()] = []
    """Tasks of several labels (categories) in which the probe of each label reads the items of other labels. For
    prompts that ask for one category, this shows whether one direction says that what was asked for is there."""
