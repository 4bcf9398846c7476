"""The wording that stimuli and questions are wrapped in."""

import re
from typing import Literal

from layerwise.config.base import Maybe, Section, Text, Words

PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
# Prompts of this name wrap the questions of `flow`.
QUESTIONS = "gqa"


class Prompt(Section):
    """One wording."""

    text: Text
    """The user's turn after the image, with placeholders."""
    image: Maybe[Literal["shown", "blank", "shuffled", "none"]] = None
    """Which image is shown, to separate what is known from the image from what is known from the text. shown: the
    item's own. blank: a grey picture. shuffled: another item's, the same for every model. none: text only. Labels stay
    those of the item. Default: shown."""
    categories: Maybe[Words] = None
    """For {categories}: which categories the cue lists, in this order. Default: all of the stimulus set."""

    @property
    def placeholders(self) -> frozenset[str]:
        """The placeholders in its text."""
        return frozenset(PLACEHOLDER.findall(self.text))
