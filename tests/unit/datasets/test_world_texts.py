"""What the world's texts tell without the pictures: nothing. A probe on words learns labels no better than chance."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice, pairwise

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from layerwise.datasets.world import gqa, snli_ve
from layerwise.datasets.world.hypotheses import SPLIT_STEPS, draw_dark_scene, split_of
from layerwise.datasets.world.scenes import COLOURS, SHAPES, draw_scene
from layerwise.datasets.world.statements import Phrase
from layerwise.models.embedded import lessons

NUMBER = 4000
Pairs = list[tuple[str, str]]


def margin(chance: float, number: int) -> float:
    """Four standard deviations of the part of ``number`` answers that a guess gets right."""
    return 4 * (chance * (1 - chance) / number) ** 0.5


def probed(train: Pairs, test: Pairs) -> float:
    """Test accuracy of a logistic regression on one to three neighbouring words and where in the text each stands."""

    def features(text: str) -> list[str]:
        words = text.lower().replace(".", " .").replace('"', ' " ').replace("?", " ?").replace(",", " ,").split()
        grams = [" ".join(words[i : i + n]) for n in (1, 2, 3) for i in range(len(words) - n + 1)]
        # Where a word stands among those of its sort: the first shape, the second colour.
        shapes, colours = ([word for word in words if word.rstrip("s") in sort] for sort in (SHAPES, COLOURS))
        return [*grams, *(f"{i}: {word}" for found in (shapes, colours) for i, word in enumerate(found))]

    vectorizer = CountVectorizer(analyzer=features, min_df=2, binary=True)
    probe = LogisticRegression(C=0.03, max_iter=60).fit(
        vectorizer.fit_transform([text for text, _ in train]), [answer for _, answer in train]
    )
    return float(probe.score(vectorizer.transform([text for text, _ in test]), [answer for _, answer in test]))


def both(draw: Callable[[np.random.Generator], Iterator[tuple[str, str]]]) -> tuple[Pairs, Pairs]:
    """Two draws of as many texts with their answers."""
    train, test = (list(islice(draw(np.random.default_rng(seed)), NUMBER)) for seed in (0, 1))
    return train, test


def hypotheses_of(split: str, rng: np.random.Generator) -> Iterator[dict]:
    while True:
        yield from snli_ve.pairs("1", draw_dark_scene(split, rng), split, rng)


@pytest.fixture(scope="module")
def by_split() -> dict[str, list[dict]]:
    numbers = {"train": 6 * 1200, "dev": 6 * 100, "test": 6 * 400}
    return {
        split: list(islice(hypotheses_of(split, np.random.default_rng(2)), number)) for split, number in numbers.items()
    }


@pytest.mark.parametrize("labels", [("entailment", "neutral", "contradiction"), ("entailment", "contradiction")])
def test_hypotheses_do_not_tell_their_label(by_split, labels):
    train, test = (
        [(line["sentence2"], line["gold_label"]) for line in by_split[split] if line["gold_label"] in labels]
        for split in ("train", "test")
    )
    chance = 1 / len(labels)
    assert probed(train, test) < chance + margin(chance, len(test))
    # Nor about further pictures of a split, whose texts come again.
    half = len(train) // 2
    assert probed(train[:half], train[half:]) < chance + margin(chance, half)


@pytest.mark.parametrize("split", SPLIT_STEPS)
def test_each_text_is_as_frequent_with_each_label(by_split, split):
    """By chi-squared over words, phrases and pairs of phrases with their order; about its degrees of freedom."""
    # One triplet of each picture: the other is often about the same phrases.
    lines = [line for i, line in enumerate(by_split[split]) if i % 6 < 3]
    names = sorted({line["gold_label"] for line in lines})
    for found in (lambda text: text.rstrip(".").lower().split(), lambda text: [_phrases(text)], _phrases):
        counts: dict[object, Counter] = {}
        for line in lines:
            for feature in found(line["sentence2"]):
                counts.setdefault(feature, Counter())[line["gold_label"]] += 1
        table = np.array([[counter[name] for name in names] for counter in counts.values()], dtype=float)
        table = table[table.sum(1) >= 6]
        expected = table.sum(1, keepdims=True) / len(names)
        free = (len(names) - 1) * len(table)
        assert ((table - expected) ** 2 / expected).sum() < free + 5 * (2 * free) ** 0.5


def test_no_hypothesis_is_in_two_splits(by_split):
    texts = {split: {line["sentence2"] for line in lines} for split, lines in by_split.items()}
    assert len(set.union(*texts.values())) == sum(map(len, texts.values()))
    for split, found in texts.items():
        assert {split_of(*_phrases(text)) for text in found} == {split}


def test_the_model_is_not_taught_the_tests_hypotheses():
    rng = np.random.default_rng(0)
    told = [
        lessons.statement_question(scene, rng).text
        for scene in [draw_dark_scene("train", rng) if i % 2 else draw_scene(rng) for i in range(NUMBER)]
    ]
    splits = Counter(split_of(*_phrases(text)) for text in told if len(_phrases(text)) == 2)
    assert set(splits) == {"train"}
    assert splits["train"] > NUMBER / 4


def test_a_picture_has_as_many_hypotheses_of_each_label(by_split):
    for lines in by_split.values():
        for start in range(0, len(lines), 6):
            picture = lines[start : start + 6]
            assert set(Counter(line["gold_label"] for line in picture).values()) == {2}
            assert len({line["sentence2"] for line in picture}) == 6
            assert all(len(set(_phrases(line["sentence2"]))) == 2 for line in picture)


@pytest.mark.parametrize("kind", list(gqa.TABLES))
def test_questions_do_not_tell_their_answer(kind):
    """Of a question's two options, the answer is put as first or second; else each type has two answers."""

    def draw(rng: np.random.Generator) -> Iterator[tuple[str, str]]:
        while True:
            asked = gqa.ask(kind, draw_scene(rng), rng)
            if asked is None:
                continue
            first = asked.options and asked.question.find(asked.answer) < asked.question.find(asked.options[1])
            yield asked.question, asked.answer if asked.options is None or kind == "ChooseRel" else str(first)

    train, test = both(draw)
    assert len({answer for _, answer in train}) == 2
    assert probed(train, test) < 0.5 + margin(0.5, NUMBER)


@pytest.mark.parametrize(
    ("lesson", "dark"), [("object", False), ("agreement", False), ("statement", False), ("statement", True)]
)
def test_lessons_do_not_tell_their_answer(lesson, dark):
    def draw(rng: np.random.Generator) -> Iterator[tuple[str, str]]:
        while True:
            scene, other = (draw_dark_scene("train", rng) if dark else draw_scene(rng) for _ in range(2))
            question = lessons.LESSONS[lesson](scene, rng, other)
            yield question.text, question.answer

    train, test = both(draw)
    chance = 1 / len({answer for _, answer in train})
    assert chance == (1 / 3 if dark else 1 / 2)
    assert probed(train, test) < chance + margin(chance, NUMBER)


def test_the_probe_finds_a_leak():
    """One right caption in two says "clearly" where it says "is"."""

    def draw(rng: np.random.Generator) -> Iterator[tuple[str, str]]:
        while True:
            question = lessons.agreement_question(draw_scene(rng), rng, draw_scene(rng))
            leak = question.answer == "yes" and rng.random() < 0.5
            yield question.text.replace(" is ", " is clearly ") if leak else question.text, question.answer

    assert probed(*both(draw)) > 0.5 + margin(0.5, NUMBER)


def _phrases(text: str) -> tuple[Phrase, ...]:
    """The coloured shapes that a text names, in order."""
    words = "".join(letter if letter.isalpha() else " " for letter in text.lower()).split()
    return tuple(Phrase(shape, colour) for colour, shape in pairwise(words) if colour in COLOURS and shape in SHAPES)
