"""Labels and splits over stimuli."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from layerwise.config.base import Each, Either, Maybe, Section, Seed, Share, Words, among, number, text, whole
from layerwise.config.stimuli import Margin
from layerwise.probes.metrics.catalogue import METRICS

# The metric of tasks about numbers.
R2 = "r2"
MinPerClass = Annotated[int, whole(1)]
NonNegative = Annotated[int | float, number(least=0)]
Limits = Annotated[list[NonNegative], Each(2)]
Bins = Annotated[
    Annotated[int, whole(2)] | Limits,
    Either("a number of classes from 2 on, or two or more different lower limits"),
]
Position = Annotated[
    str,
    text(
        "last|question-last|text-mean|image-last|image-mean|object-mean|object-first-mean|object-second-mean"
        "|word-[A-Za-z0-9]+",
        "last, question-last, text-mean, image-last, image-mean, object-mean, object-first-mean, object-second-mean or "
        "word-WORD, such as word-category or word-red",
        longest=60,
    ),
]


class Knowledge(Section):
    """Labels from the objects annotated in the images, in place of the stimuli's own; data sets of format coco only.

    Labels of an image are those of each of its items.
    """

    about: str
    """What is asked of the objects."""

    @property
    def is_number(self) -> bool:
        """Whether labels are numbers rather than classes."""
        return False


class MeasuredKnowledge(Knowledge):
    """A measured quantity, in classes or as a number."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["bins"]}, {"required": ["as"]}]})

    about: Literal["count", "largest-size"]
    """count: how many objects there are; images with a crowd region have no label. largest-size: area of the largest
    object, as a share of the image."""
    bins: Maybe[Bins] = None
    """Lower limits of the classes, the last of which is open; images below the first have no label. Or how many classes
    to make, each with about the same share of the training images."""
    as_: Maybe[Literal["number"]] = Field(None, alias="as")
    """In place of `bins`: take the quantity as it is, and read it by ridge regression."""

    @property
    def is_number(self) -> bool:
        return self.as_ is not None

    @model_validator(mode="after")
    def _one_of_both(self) -> "MeasuredKnowledge":
        if (self.bins is None) == (self.as_ is None):
            raise PydanticCustomError("unfit", "must have either `bins` or `as: number`")
        return self


class PlaceKnowledge(Knowledge):
    """A place in the image, as numbers."""

    about: Literal["asked-centre"]
    """asked-centre: the centre of the box of the object that coco-objects ask for, if it is the only one of its
    category. The labels x (from the left) and y (from the top) are shares of the image's width and height."""

    @property
    def is_number(self) -> bool:
        return True


class AttributeKnowledge(Knowledge):
    """An attribute of objects."""

    about: Literal["attributes", "asked-attribute"]
    """attributes: for each value of an attribute, whether an object has it. asked-attribute: which value the object has
    that coco-objects ask for, if it is the only one of its category."""
    attribute: str
    """Its name in the annotations' `attributes` (a mapping); `colour` in worlds."""


class RelationKnowledge(Knowledge):
    """Where one object is, seen from another."""

    about: Literal["left-right", "above-below"]
    """For each pair of categories, where the first one is, in images that have exactly one of each (coco-relations asks
    so with both in the prompt)."""
    margin: Margin = 0.1
    """How far apart the centres of two boxes must be, as a share of the image's width or height, for one to be left of
    or above the other. Pairs that are nearer have no label. Our choice."""


AnyKnowledge = Annotated[
    MeasuredKnowledge | PlaceKnowledge | AttributeKnowledge | RelationKnowledge, Field(discriminator="about")
]


class Split(Section):
    """How groups (images, or pairs of images that share captions) are divided. Never items of one image."""

    by: Literal["random", "official"] = "random"
    """random: shares by seed. official: the data set's own test part; its own validation part, or where it has none a
    random share of the training part. Random shares are shares of every class too, except where `knowledge` has a
    number of `bins`, whose limits depend on the training images."""
    val: Share = 0.2
    """Share of the groups for validation."""
    test: Share = 0.25
    """Share of the groups for the test (by: random only)."""
    seed: Maybe[Seed] = None
    """Seed of the split. Default: the study's seed."""
    join_similar: Maybe[bool] = None
    """Whether near-equal pictures (another format, quality or size of one; listed in duplicates.csv of the stimuli) are
    one group, as pictures with equal pixels always are. Default: true."""
    unseen_texts: Maybe[Share] = None
    """Share of the texts that only test items may have, of those that they have in common with other items. Training
    and validation items with these texts are left out. Test items are also scored apart: those whose texts were seen
    in training, and those whose texts were not. Costs no forward pass."""
    seeds: Maybe[Annotated[list[Seed], Each()]] = None
    """Further seeds. Probes are fitted to each of these splits too, and Table 2 shows how far scores spread over them;
    figures and tests stay with the first. Costs no forward pass."""


class Task(Section):
    """Labels and a split over a stimulus set. Another task over the same stimuli costs no forward pass."""

    stimuli: str
    """Name of an entry of `stimuli`."""
    question: Literal["global", "local"]
    """global: about image and text as a whole (Figure 1). local: about objects in the image (Figures 2, 3)."""
    knowledge: Maybe[AnyKnowledge] = None
    """Labels from the objects annotated in the images, in place of the stimuli's own; data sets of format coco only.
    Labels of an image are those of each of its items."""
    classes: Maybe[Annotated[list[str], Each(2)]] = None
    """Keep only items of these classes, in this order (for example SNLI-VE without neutral). Default: all."""
    labels: Maybe[Words] = None
    """Of several labels (categories, label columns) keep only these. Default: all; of a table's, those that `metric`
    is for: numbers for r2, classes for the others."""
    min_per_class: MinPerClass = 5
    """A label with fewer items of any class in any split is left out, and listed in task.json. For numbers: with fewer
    items in any split."""
    metric: Annotated[str, among([*METRICS, R2])] = "accuracy"
    """Headline metric of figures and Table 2; all metrics are in the scores. The paper's is unknown; our choice. Tasks
    about numbers have r2, the share of the variance that is explained. Over a table with labels `as: number`, r2 makes
    a task one about numbers."""
    split: Split = Split()
    """How groups (images, or pairs of images that share captions) are divided. Never items of one image."""
    positions: Annotated[list[Position], Each()] = []
    """Further positions in the text at which this task is probed, beside the first of `states.positions`. last: the
    last token. question-last: the last token of the prompt's own words, before what the model's conversation puts
    behind them. text-mean: the mean over the tokens of these words. image-last, image-mean: the last token of the
    images, and the mean over them. object-mean: the mean over the image tokens that show the object that an item asks
    for ({category}); object-first-mean, object-second-mean: the same of {first} and {second}. word-category, word-
    first, word-second: the last token of the words that stand for the placeholder. word-WORD: the last token of that
    word of the prompt. Their order means nothing. A prompt that has no such position has no such probe, and an item
    without the word or the object is left out there. What `states.positions` lacks is kept in files of its own, so that
    a further position makes nothing stale. Not for tasks about numbers, nor in models with an intervention."""

    def entry(self) -> dict[str, Any]:
        """See :meth:`Section.entry`. Without the positions, which decide neither labels nor splits."""
        entry = super().entry()
        del entry["positions"]
        return entry

    @property
    def is_number(self) -> bool:
        """Whether the labels are numbers, which are read by ridge regression, rather than classes."""
        return self.metric == R2 if self.knowledge is None else self.knowledge.is_number
