"""Information flow (arXiv 2411.18620): which attention an answer needs, and where in the stack it appears."""

from typing import Annotated, Literal

from layerwise.config.base import Count, Each, Name, Section, among
from layerwise.config.probes import Resamples
from layerwise.gqa_types import TABLES

QuestionType = Annotated[str, among(TABLES)]


class Questions(Section):
    """A set of questions about images."""

    dataset: str
    """Name of an entry of `datasets`."""
    prompt: Name
    """Name of a prompt of `prompts.gqa`."""
    types: Annotated[list[QuestionType], Each(1)] = list(TABLES)
    """GQA's types of questions, as the paper names them."""
    per_type: Count = 1000
    """At most so many questions of each type, sampled by seed. The paper has 1000 at most; how they were chosen is
    unknown, ours is our choice."""


class FlowModel(Section):
    """How a model's attention is blocked."""

    window: Count = 7
    """Blocks that attention is blocked in at a time, centred on each block in turn and clipped at both ends. The paper
    takes 9 for 13 billion parameters and 7 for fewer."""


class Flow(Section):
    """Information flow: which attention an answer needs, and where in the stack it appears. Every model is asked all
    questions."""

    questions: dict[Name, Questions] = {}
    """Sets of questions about images."""
    models: dict[Name, FlowModel] = {}
    """Models to ask, by their names in `models`."""
    question_tokens: Literal["text", "words"] = "text"
    """Which tokens are the question. text: all behind the image and before the last one, so also how the model is told
    to answer. words: those of the question itself. The paper divides its input into image, question and last position;
    text is our choice."""
    resamples: Resamples = 1000
    """Bootstrap resamples over images for the bands."""
