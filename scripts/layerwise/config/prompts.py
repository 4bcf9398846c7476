"""The wording that stimuli and questions are wrapped in."""

from typing import Annotated, Any, Literal

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from layerwise.config.base import Count, Each, Either, Filled, Maybe, Section, Text, Words, whole
from layerwise.several_pictures import MARK

Answers = Annotated[dict[str, Annotated[list[Text], Each()]], Filled()]
# What is read off the states, or asked besides: it decides no hidden state.
NOT_SHOWN = {"answers", "negates", "generate"}
ShownPicture = Annotated[
    Annotated[int, whole(1)] | Literal["blank", "shuffled", "none"],
    Either("the number of a picture, or blank, shuffled or none"),
]


class Prompt(Section):
    """One wording."""

    text: Text
    """The user's turn, with placeholders. {image 1}, {image 2} and so on are the places of an item's pictures; without
    them, all pictures stand before the text, in order."""
    image: Maybe[Literal["shown", "blank", "shuffled", "none", "random-order"]] = None
    """Which image is shown, to separate what is known from the image from what is known from the text. shown: the
    item's own. blank: a grey picture. shuffled: another item's, the same for every model. none: text only.
    random-order: of several pictures, the item's own in an order drawn by seed, each order (the unchanged one too)
    equally likely. Labels stay those of the item. Default: shown."""
    images: Maybe[list[ShownPicture]] = None
    """In place of `image`, for items with several pictures: what stands in each picture's place. A number is one of the
    item's own pictures, so that `[2, 1]` exchanges two. blank: a grey picture. shuffled: another item's picture of this
    number. none: nothing; its place vanishes from the text."""
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

    @property
    def is_own(self) -> bool:
        """Whether all of an item's own pictures are shown, in their order."""
        return self.image in (None, "shown") and self.images is None

    def shows(self, pictures: int) -> int:
        """How many pictures are shown of an item that has so many."""
        if self.images is not None:
            return len(self.images) - self.images.count("none")
        return 0 if self.image == "none" else pictures

    @model_validator(mode="after")
    def _says_each_once(self) -> "Prompt":
        if self.image is not None and self.images is not None:
            raise PydanticCustomError("unfit", "must have either `image` or `images`")
        if MARK in self.text:
            message = "its text holds U+FFFC, which marks the place of a picture; write {image 1}"
            raise PydanticCustomError("unfit", message)
        return self

    def shown(self) -> dict[str, Any]:
        """The keys that decide what a model is shown, as JSON has them; cells of hidden states are made of these."""
        return {key: value for key, value in self.entry().items() if key not in NOT_SHOWN}
