"""The wording that stimuli and questions are wrapped in."""

from typing import Literal

from layerwise.config.base import Maybe, Section, Text, Words


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
