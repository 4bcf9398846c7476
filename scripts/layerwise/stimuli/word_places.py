"""Where words stand in the prompts of items."""

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from layerwise.several_pictures import PLACE
from layerwise.stimuli.prompts import render_prompts

# Control characters, which no text has.
OPEN, CLOSE = "\x02", "\x03"
Span = tuple[int, int]


def spans_of_placeholder(
    placeholder: str, prompt: dict[str, Any], items: pd.DataFrame, categories: Sequence[str]
) -> list[Span | None]:
    """Where each item's own words stand in its prompt: the first character, and the one behind the last.

    Args:
        placeholder: category, first or second; if the wording has it several times, the last one counts.
        prompt: its config entry.
        items: of the stimulus set.
        categories: of the stimulus set.

    Returns:
        None where the prompt does not have it.
    """
    marked = items.assign(**{placeholder: OPEN + items[placeholder] + CLOSE})
    return [_between(text) for text in render_prompts(prompt, marked, categories)]


def _between(text: str) -> Span | None:
    start, stop = text.rfind(OPEN), text.rfind(CLOSE)
    if start < 0:
        return None
    # Without the marks, of which two more stand before for each earlier time.
    before = text[:start].count(OPEN) * 2
    return start - before, stop - before - 1


def spans_of_word(word: str, prompts: Sequence[str]) -> list[Span | None]:
    """Where a word stands in each prompt, for the last time; capitals do not matter. None where it does not."""
    pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)
    found: list[Span | None] = []
    for prompt in prompts:
        # The numbers of pictures' places are no words.
        text = PLACE.sub(lambda place: " " * len(place[0]), prompt)
        places = [match.span() for match in pattern.finditer(text)]
        found.append(places[-1] if places else None)
    return found
