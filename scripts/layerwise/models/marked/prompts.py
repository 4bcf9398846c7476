"""A prompt with what of its input is read, by position; no torch."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Mark:
    """What a position of one input is about.

    Attributes:
        span: the first character of the words, and the one behind the last, in the prompt; None for other positions.
        boxes: of an object, in pixels of the picture: left, top, width, height.
    """

    span: tuple[int, int] | None = None
    boxes: tuple[tuple[float, float, float, float], ...] = ()


class MarkedPrompt(str):
    """A prompt that knows what is read of its input, wherever prompts are taken.

    Attributes:
        marks: by position; None where this input has no such position.
    """

    marks: Mapping[str, Mark | None]

    def __new__(cls, text: str, marks: Mapping[str, Mark | None]) -> "MarkedPrompt":
        prompt = super().__new__(cls, text)
        prompt.marks = marks
        return prompt


def marks_of(prompt: str) -> Mapping[str, Mark | None]:
    """What is marked in a prompt; nothing in a plain one."""
    return prompt.marks if isinstance(prompt, MarkedPrompt) else {}
