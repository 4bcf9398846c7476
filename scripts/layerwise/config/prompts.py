"""The wording that stimuli and questions are wrapped in."""

from typing import Annotated, Any, Literal

from layerwise.config.base import Count, Each, Filled, Maybe, Section, Text, Words

Answers = Annotated[dict[str, Annotated[list[Text], Each()]], Filled()]
# What is read off the states, or asked besides: it decides no hidden state.
NOT_SHOWN = {"answers", "negates", "generate"}


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
    answers: Maybe[Answers] = None
    """The words with which the model would say each class, such as `match: ["yes"]` and `mismatch: ["no"]`. How
    probable they are is read off the hidden states, in every layer. Put quotes round yes and no. With `generate`, words
    may hold an item's placeholders ("{category}"), and one class may have no words: any other answer says it. Such
    answers are looked for only in what the model writes, not in the states."""
    negates: Maybe[bool] = None
    """Whether the prompt asks for the opposite: yes says the other class. A probe that reads the answer rather than the
    content then errs where it is carried to this prompt."""
    generate: Maybe[Count] = None
    """Let the model write its answer to every item, at most so many tokens, and look for the words of `answers` in it.
    This runs the model again."""

    def shown(self) -> dict[str, Any]:
        """The keys that decide what a model is shown, as JSON has them; cells of hidden states are made of these."""
        return {key: value for key, value in self.entry().items() if key not in NOT_SHOWN}
