"""Minimal pairs: exact balance, truth by an independent rule, and what captions say."""

import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from layerwise.datasets.annotated import OBJECT_COLUMNS, AnnotatedPart
from layerwise.datasets.coco import read_parts
from layerwise.datasets.world import coco as world_coco
from layerwise.datasets.world.statements import Exists, Listing, Phrase, Relation, label
from layerwise.errors import InputError
from layerwise.stimuli.building import Stimuli
from layerwise.stimuli.kinds.coco_entailment import Entry
from layerwise.stimuli.minimal_pairs.captions import CaptionReader
from layerwise.stimuli.minimal_pairs.catalogue import SWAPS
from layerwise.stimuli.minimal_pairs.known import Known
from layerwise.stimuli.minimal_pairs.noun import shared_contexts
from layerwise.stimuli.minimal_pairs.nouns import NOUNS
from layerwise.stimuli.minimal_pairs.wording import one, plural

ALL = {"train2017": "all", "val2017": "all"}
NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The scenes of a larger world by image id, and its annotations."""
    folder, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(5)
    images = {"train": world_coco.draw_images(300, 1, 1, rng), "val": world_coco.draw_images(120, 301, 5001, rng)}
    for split, of_split in images.items():
        world_coco.write_split(folder, split, of_split)
    scenes = {f"{split}2017/{image.image_id}": image.scene for split in images for image in images[split]}
    return scenes, read_parts(folder / "annotations", folder, [*ALL])


@pytest.fixture(scope="module")
def made(world):
    """All pairs of the world, by mismatch, with seed 1."""
    return {mismatch: build(world[1], mismatch) for mismatch in SWAPS}


def build(parts: dict[str, AnnotatedPart], mismatch: str, images=ALL, seed: int = 1, margin: float = 0.1) -> Stimuli:
    return SWAPS[mismatch].build(parts, images, margin, seed)


def items_of(stimuli: Stimuli) -> pd.DataFrame:
    both = stimuli.provenance.assign(text=stimuli.shown["text"], image=stimuli.shown["image"])
    return both.assign(y=both["label:match"] == "match")


# Balance


@pytest.mark.parametrize("mismatch", SWAPS)
def test_text_alone_and_image_alone_are_right_in_half_of_every_group(made, mismatch):
    items = items_of(made[mismatch])
    assert items.groupby("group").size().eq(4).all()
    rng = np.random.default_rng(0)
    for column in ("text", "image_id"):
        assert items.groupby(["group", column])["y"].agg(["size", "sum"]).eq([2, 1]).all(axis=None)
        # Whatever a function says of each text (or image), it scores a half in each group, and so in every split.
        for _ in range(5):
            said = {value: rng.random() < 0.5 for value in items[column].unique()}
            right = items[column].map(said) == items["y"]
            assert right.groupby(items["group"]).mean().eq(0.5).all()
    # A sum of two such functions cannot tell matches from mismatches by its mean.
    text, image = (
        items[column].map({v: rng.integers(-9, 9) for v in items[column].unique()}) for column in ("text", "image_id")
    )
    means = (text + image).groupby([items["group"], items["y"]]).mean().unstack()
    assert (means[True] == means[False]).all()


@pytest.mark.parametrize("mismatch", SWAPS)
def test_each_image_is_in_one_pair_of_its_part(world, made, mismatch):
    stimuli = made[mismatch]
    items = items_of(stimuli)
    assert items.groupby("image_id")["group"].nunique().eq(1).all()
    assert items.groupby("group")["part"].nunique().eq(1).all()
    assert items.groupby("group")[["image", "text"]].nunique().eq(2).all(axis=None)
    assert stimuli.shown["item_id"].is_unique
    notes = stimuli.notes
    told = 2 * notes["pairs"] + sum(notes[key] for key in notes if key.startswith("images_"))
    assert told == sum(len(part.images) for part in world[1].values())
    assert notes["statements"] == items["text"].nunique()


@pytest.mark.parametrize("mismatch", SWAPS)
def test_the_seed_decides_and_another_part_changes_nothing(world, made, mismatch):
    first, val = made[mismatch], {"val2017": world[1]["val2017"]}
    again, other = (build(val, mismatch, {"val2017": "all"}, seed=seed) for seed in (1, 2))
    of_part = first.provenance["part"] == "val2017"
    assert again.shown.equals(first.shown[of_part].reset_index(drop=True))
    assert again.provenance.equals(first.provenance[of_part].reset_index(drop=True))
    assert not again.shown.equals(other.shown)


def test_a_sample_has_as_many_images_and_as_many_statements_as_possible(world, made):
    stimuli = build(world[1], "relation", {"train2017": 31})
    assert stimuli.provenance["image_id"].nunique() == 30
    assert stimuli.notes["images_not_sampled"] > 0
    contrasts = items_of(made["relation"]).groupby("group")["text"].agg(frozenset)
    assert contrasts.nunique() > 15
    assert Counter(items_of(stimuli).groupby("group")["text"].agg(frozenset)).most_common(1)[0][1] == 1


# Truth

THING = r"an? (?:(?P<{0}_colour>\w+) )?(?P<{0}_shape>\w+)"
FORMS = {
    "attribute": re.compile(rf"There is {THING.format('a')} and {THING.format('b')}\."),
    "noun": re.compile(rf"There is {THING.format('a')} and {THING.format('b')}\."),
    "adjective": re.compile(rf"There is {THING.format('a')}\."),
    "relation": re.compile(rf"A(?P<n>n?) (?P<a_shape>\w+) is (?P<relation>left of|above) {THING.format('b')}\."),
    "number": re.compile(r"There (?:is|are) exactly (?P<number>\w+) (?P<things>\w+)\."),
}


def is_true(mismatch: str, text: str, scene) -> bool:
    """Whether a statement holds, by the world's own rule; numbers by counting shapes."""
    said = FORMS[mismatch].fullmatch(text)
    assert said, text
    if mismatch == "number":
        shape = said["things"] if said["number"] == "one" else re.sub("s$", "", said["things"].replace("sses", "sss"))
        return sum(item.shape == shape for item in scene.objects) == NUMBERS[said["number"]]
    found = said.groupdict()
    phrases = [Phrase(found[f"{x}_shape"], found.get(f"{x}_colour")) for x in "ab" if f"{x}_shape" in found]
    statement = (
        Exists(*phrases)
        if mismatch == "adjective"
        else Relation(phrases[0], found["relation"], phrases[1])
        if mismatch == "relation"
        else Listing(tuple(phrases), complete=False)
    )
    return label(scene, statement) == "entailment"


@pytest.mark.parametrize("mismatch", SWAPS)
def test_every_statement_is_true_of_its_own_image_and_false_of_the_other(world, made, mismatch):
    scenes, items = world[0], items_of(made[mismatch])
    assert len(items) >= 40
    for row in items.itertuples():
        assert is_true(mismatch, row.text, scenes[row.image_id]) == row.y, row


def test_exchanged_colours_leave_every_single_word_true(world, made):
    scenes = world[0]
    for row in items_of(made["attribute"]).itertuples():
        said = FORMS["attribute"].fullmatch(row.text)
        shapes, colours = (
            {getattr(item, what) for item in scenes[row.image_id].objects} for what in ("shape", "colour")
        )
        assert {said["a_shape"], said["b_shape"]} <= shapes
        assert {said["a_colour"], said["b_colour"]} <= colours


def test_a_replaced_noun_is_the_likeliest_that_is_absent(world, made):
    parts = world[1]
    present = Known.of(parts["train2017"]).count > 0
    likeness = shared_contexts(present)
    by_hand = np.zeros_like(likeness)
    together = (present[:, :, None] & present[:, None]).sum(axis=0)
    for a in range(len(together)):
        for b in range(len(together)):
            others = [k for k in range(len(together)) if k not in (a, b)]
            first, second = together[a, others], together[b, others]
            by_hand[a, b] = first @ second / np.sqrt((first @ first) * (second @ second))
    off = ~np.eye(len(together), dtype=bool)
    assert np.allclose(likeness[off], by_hand[off])
    names = parts["train2017"].categories
    place = {image: i for i, image in enumerate(parts["train2017"].images["image_id"])}
    ranks = []
    items = items_of(made["noun"])
    for _, group in items[items["part"] == "train2017"].groupby("group"):
        own = group[group["y"]].set_index("image_id")["text"]
        for image, text in own.items():
            (other,) = own[own.index != image]
            there, instead = (names.index(re.match(r"There is an? (\w+)", words)[1]) for words in (text, other))
            lacking = [k for k in range(len(names)) if not present[place[int(image.split("/")[1])], k]]
            ranks.append(sorted(lacking, key=lambda k: (-likeness[there, k], k)).index(instead))
    assert max(ranks) <= 2
    assert np.mean(np.array(ranks) == 0) > 0.3


# What COCO's annotations and captions leave open


def annotated(images: list[dict], categories=("person", "dog", "cat", "bus", "car", "bowl", "couch")) -> AnnotatedPart:
    """A part of images with ``objects`` - (category, x, y, area, crowd) - and ``captions``."""
    rows = [
        (i, category, x, y, area, crowd, "{}", "instances.json", 0)
        for i, image in enumerate(images)
        for category, x, y, area, crowd in image["objects"]
    ]
    annotations = pd.DataFrame(rows, columns=OBJECT_COLUMNS)
    captions = [(10 * i + k, i, c) for i, image in enumerate(images) for k, c in enumerate(image.get("captions", []))]
    return AnnotatedPart(
        images=pd.DataFrame({"image_id": range(len(images)), "image": [f"{i}.jpg" for i in range(len(images))]}),
        captions=pd.DataFrame(captions, columns=["caption_id", "image_id", "caption"]),
        objects=annotations[["image_id", "category"]].drop_duplicates(ignore_index=True),
        categories=list(categories),
        annotations=annotations,
    )


def thing(category: str, x: float = 0.5, y: float = 0.5, area: float = 0.1, crowd: bool = False) -> tuple:
    return category, x, y, area, crowd


def texts(images: list[dict], mismatch: str, **more) -> set[str]:
    return set(build({"val2017": annotated(images)}, mismatch, {"val2017": "all"}, **more).shown["text"])


def refused(images: list[dict], mismatch: str, **more) -> None:
    with pytest.raises(InputError, match=r"instances\.json: no two images of val2017 make a pair: of \d+ images, \d"):
        texts(images, mismatch, **more)


def pictures(left: list[tuple], right: list[tuple], first: tuple[str, ...] = (), second: tuple[str, ...] = ()):
    return [{"objects": left, "captions": first}, {"objects": right, "captions": second}]


def test_places_are_exchanged_only_beyond_the_margin():
    def images(apart):
        return pictures([thing("dog", 0.3), thing("cat", 0.3 + apart)], [thing("dog", 0.8), thing("cat", 0.2)])

    assert texts(images(0.2), "relation") == {"A dog is left of a cat.", "A cat is left of a dog."}
    refused(images(0.09), "relation")
    assert texts(images(0.09), "relation", margin=0.05)


@pytest.mark.parametrize(
    ("change", "captions"),
    [
        (thing("dog", 0.3, crowd=True), ()),
        (thing("dog", 0.3, area=0.001), ()),
        (thing("dog", 0.3), ("Two dogs and a cat.",)),
        (thing("dog", 0.3), ("Dogs near a cat.",)),
    ],
    ids=["crowd", "tiny", "two said", "several said"],
)
def test_places_need_objects_that_are_clearly_the_only_ones(change, captions):
    good = pictures([thing("dog", 0.3), thing("cat", 0.7)], [thing("dog", 0.7), thing("cat", 0.3)], ("A dog, a cat.",))
    assert len(texts(good, "relation")) == 2
    good[0] = {"objects": [change, thing("cat", 0.7)], "captions": captions}
    refused(good, "relation")


def test_nothing_is_said_of_two_categories_that_people_mix_up():
    refused(pictures([thing("car", 0.3), thing("bus", 0.7)], [thing("car", 0.7), thing("bus", 0.3)]), "relation")
    # A pickup may be a car: where a bus is, cars are not surely absent, nor surely one.
    beside = pictures([thing("car"), thing("dog")], [thing("bus"), thing("dog")])
    refused(beside, "noun")
    refused(pictures([thing("car"), thing("bus")], [thing("car"), thing("car"), thing("bus")]), "number")


def test_numbers_are_counted_where_all_can_be_counted():
    dogs = [thing("dog")] * 3
    assert texts(pictures(dogs[:2], dogs), "number") == {
        "There are exactly two dogs.",
        "There are exactly three dogs.",
    }
    assert texts(pictures(dogs[:1], dogs[:2]), "number") == {"There is exactly one dog.", "There are exactly two dogs."}
    # Not one more but two, a crowd, a tiny one, or captions that say otherwise.
    refused(pictures(dogs[:1], dogs), "number")
    refused(pictures(dogs[:2], [*dogs[:2], thing("dog", crowd=True)]), "number")
    refused(pictures(dogs[:2], [*dogs[:2], thing("dog", area=0.001)]), "number")
    refused(pictures(dogs[:2], dogs, ("Three small dogs.",)), "number")
    refused(pictures(dogs[:1], dogs[:2], ("Dogs on a bed.",)), "number")
    assert texts(pictures(dogs[:2], dogs, ("Two small dogs.", "Dogs.", "A dog and its friend.")), "number")


def test_a_noun_is_absent_only_if_no_caption_hints_at_it():
    left, right = [thing("dog"), thing("couch")], [thing("cat"), thing("couch")]
    # With two images, dogs and cats share the context of couches.
    assert texts(pictures(left, right), "noun") == {"There is a dog and a couch.", "There is a cat and a couch."}
    refused(pictures(left, right, ("A dog watches a kitten.",)), "noun")
    refused(pictures(left, right, (), ("A poodle.",)), "noun")
    assert texts(pictures(left, [*right, thing("cat", crowd=True)]), "noun")


def described(left: tuple[str, ...], right: tuple[str, ...], objects=("bus", "dog")) -> list[dict]:
    return pictures([thing(name) for name in objects], [thing(name) for name in objects], left, right)


def test_attributes_come_from_captions_where_none_are_annotated():
    images = described(("A red bus near a white dog.",), ("A white bus near a red dog.",))
    assert texts(images, "attribute") == {
        "There is a white dog and a red bus.",
        "There is a red dog and a white bus.",
    }
    twice = described(("A red bus.", "The red bus is here."), ("A blue bus.", "There is a blue bus"))
    assert texts(twice, "adjective") == {"There is a red bus.", "There is a blue bus."}


@pytest.mark.parametrize(
    ("left", "why"),
    [
        (("A red bus near a white dog.", "A red and blue bus."), "another caption has two colours"),
        (("A red bus near a white dog.", "The bus is green."), "another caption has another colour"),
        (("A red bus near a white dog.", "Two buses."), "there may be two"),
        (("A bus near a white dog.",), "nobody says the colour: not mentioned is not false"),
        (("A shiny red bus near a big dog.",), "different kinds of attribute"),
        (("A red bus stop near a white dog.",), "the noun goes on"),
        (("A red bus near a gray dog.",), "another value than the one exchanged"),
    ],
)
def test_an_attribute_that_captions_leave_open_is_not_used(left, why):
    refused(described(left, ("A white bus near a red dog.",)), "attribute")


def test_near_colours_are_never_opposites():
    refused(described(("A red bus near an orange dog.",), ("An orange bus near a red dog.",)), "attribute")
    refused(described(("A red bus.", "A red bus."), ("An orange bus.", "An orange bus.")), "adjective")


def test_an_adjective_needs_two_captions_that_agree():
    refused(described(("A red bus.", "A bus."), ("A blue bus.", "A blue bus.")), "adjective")


def test_people_are_not_described():
    objects = ("person", "dog")
    refused(described(("A small boy and a large dog.",), ("A large boy and a small dog.",), objects), "attribute")


# The grammar

READER = CaptionReader(list(NOUNS))


def surely(caption: str) -> set[tuple[str, str]]:
    names = list(NOUNS)
    return {
        (names[mention.category], said.value)
        for mention in READER.mentions(caption)
        for said in mention.adjectives
        if said.sure
    }


@pytest.mark.parametrize(
    ("caption", "found"),
    [
        ("A red bus on a street.", {("bus", "red")}),
        ("A large, white sofa and a grey kitten", {("couch", "large"), ("couch", "white"), ("cat", "gray")}),
        ("A BLACK AND WHITE DOG.", {("dog", "black"), ("dog", "white")}),
        ("A light blue double decker bus parked outside", {("bus", "blue")}),
        ("The wooden park bench has tall grass around it", {("bench", "wooden")}),
        ("Red stop sign", {("stop sign", "red")}),
        # Compounds, other adjectives and other nouns between, possessives.
        ("A red bus stop on a street.", set()),
        ("A white toilet paper roll", set()),
        ("A red and shiny bus", set()),
        ("A red double bus", set()),
        ("A red dog's bowl", set()),
        ("A toy red bus", set()),
        ("A picture of red bus", set()),
        # Hints never carry an adjective.
        ("A small brown bird feeder", set()),
        ("A white plane", {("airplane", "white")}),
        ("A white jet", set()),
    ],
)
def test_what_captions_surely_say(caption, found):
    assert surely(caption) == found


def test_predicates_only_contradict():
    said = [each for mention in READER.mentions("The bus is red and white") for each in mention.adjectives]
    assert {(each.value, each.sure) for each in said} == {("red", False), ("white", False)}


@pytest.mark.parametrize(
    ("caption", "number"),
    [
        ("Two dogs", 2),
        ("Three small brown dogs", 3),
        ("Dogs", 0),
        ("A couple dogs", 0),
        ("A dog", 1),
        ("The two men and some dogs", 0),
        ("5 puppies", 5),
    ],
)
def test_numbers_in_captions(caption, number):
    dogs = [mention.number for mention in READER.mentions(caption) if mention.sure and mention.category == 16]
    assert dogs == [number]


@pytest.mark.parametrize(
    ("caption", "number"),
    [("A sheep", 1), ("Two white sheep", 2), ("Sheep on a hill", 0), ("12345678901234567890 sheep", 100)],
)
def test_numbers_of_what_has_no_plural(caption, number):
    assert [m.number for m in READER.mentions(caption) if m.sure] == [number]


def test_words():
    assert list(NOUNS)[16] == "dog"
    assert len(NOUNS) == 80
    nouns = ("bus", "wine glass", "knife", "sheep", "person", "cross", "toothbrush", "puppy", "toy", "skis", "mouse")
    assert [plural(noun) for noun in nouns] == [
        *("buses", "wine glasses", "knives", "sheep", "people", "crosses", "toothbrushes", "puppies", "toys", "skis"),
        "mice",
    ]
    assert [one(noun) for noun in ("umbrella", "oven", "unicorn", "scissors", "broccoli", "bus")] == [
        *("an umbrella", "an oven", "a unicorn", "a pair of scissors", "some broccoli", "a bus"),
    ]
    assert one("bus", "orange") == "an orange bus"


# The config


def test_code_of_minimal_pairs_is_counted_only_where_they_are_used():
    from layerwise.stimuli.catalogue import KINDS

    class Data:
        datasets = {"d": type("Format", (), {"format": "coco"})}  # noqa: RUF012

    def files(mismatch):
        entry = Entry(kind="coco-entailment", prompts=["p"], dataset="d", images={"val2017": "all"}, mismatch=mismatch)
        return [file for file in KINDS["coco-entailment"].files(entry, Data()) if "minimal_pairs" in file]

    assert files("random") == files("hard") == []
    assert files("relation") == ["layerwise/stimuli/minimal_pairs/relation.py"]
