"""What shortcuts reach: on data whose answer is known, and against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.preprocessing import StandardScaler

from layerwise.errors import InputError
from layerwise.probes.logistic.engines.catalogue import ENGINES
from layerwise.probes.problems import make_problems
from layerwise.probes.shortcut_names import FEATURES, MOST_COMPONENTS, SCORE_COLUMNS
from layerwise.probes.shortcuts import ShortcutFeatures, fit_shortcuts

C = [0.001, 0.1, 10.0]
COLOURS, SHAPES = ("red", "blue", "green", "grey"), ("circle", "square", "star", "moon")
SIZES = {"train": 120, "val": 40, "test": 40}


def see(things: list[tuple[str, str]]) -> np.ndarray:
    """A picture as a sum of one vector per object, which is one of its colour and its shape."""
    rng = np.random.default_rng(7)
    of_pair = {(colour, shape): rng.normal(size=24) for colour in COLOURS for shape in SHAPES}
    return np.sum([of_pair[thing] for thing in things], axis=0)


def say(things: list[tuple[str, str]]) -> str:
    return " and ".join(f"a {colour} {shape}" for colour, shape in things)


def swapped(rng):
    """Two objects that exchange their colours: both texts have the same words."""
    (one, other), (first, second) = rng.choice(COLOURS, 2, replace=False), rng.choice(SHAPES, 2, replace=False)
    return [(one, first), (other, second)], [(other, first), (one, second)]


def replaced(rng):
    """One noun is replaced by another."""
    colour, (first, second) = rng.choice(COLOURS), rng.choice(SHAPES, 2, replace=False)
    return [(colour, first)], [(colour, second)]


def minimal_pairs(draw, seed=0):
    """Items of complete groups: each of two pictures with each of two texts. Labels, texts and pictures."""
    rng = np.random.default_rng(seed)
    rows, texts, pictures = [], [], []
    for split, groups in SIZES.items():
        for group in range(groups):
            pair = draw(rng)
            noise = rng.normal(scale=0.1, size=(2, 24))
            for picture in (0, 1):
                for text in (0, 1):
                    name = f"{split}-{group}-{picture}{text}"
                    rows.append((name, f"{split}-{group}", "match", int(picture == text), split))
                    texts.append(say(pair[text]))
                    pictures.append(see(pair[picture]) + noise[picture])
    labels = pd.DataFrame(rows, columns=["item_id", "group", "label", "y", "split"])
    return labels, texts, np.array(pictures, dtype=np.float32)


def reached(labels, texts, pictures, engine="torch", tried=C):
    problems = make_problems(
        *(labels, list(dict.fromkeys(labels["label"])), 2, list(labels["item_id"]), np.arange(len(labels))),
        texts=pd.factorize(pd.Series(texts))[0],
    )
    training = np.flatnonzero(labels["split"] == "train")
    features = ShortcutFeatures(texts, pictures, training, seed=0)
    return fit_shortcuts(problems, features, ENGINES[engine].start(1, 2**28), tried, "accuracy", 200, 0)


def accuracies(scores, split="test"):
    rows = scores[(scores["split"] == split) & (scores["metric"] == "accuracy")]
    return dict(zip(rows["features"], rows["value"], strict=True))


@pytest.mark.parametrize("engine", ENGINES)
def test_on_swapped_pairs_no_shortcut_is_above_chance(engine):
    """Words, picture, and any sum of the two are the same for a match and a mismatch, or opposed in the other half."""
    found = accuracies(reached(*minimal_pairs(swapped), engine=engine)[0])
    assert [found[name] for name in ("words", "picture", "words + picture")] == [0.5] * 3
    # Both texts of a pair have the same words, so that products see no difference either.
    assert found["words x picture"] == 0.5


@pytest.mark.parametrize("engine", ENGINES)
def test_on_replaced_nouns_only_products_are_above_chance(engine):
    found = accuracies(reached(*minimal_pairs(replaced), engine=engine)[0])
    assert [found[name] for name in ("words", "picture", "words + picture")] == [0.5] * 3
    assert found["words x picture"] > 0.9


def test_what_a_text_gives_away_is_found_by_words_alone():
    labels, texts, pictures = minimal_pairs(replaced)
    texts = [f"{text} {'never' if y else 'always'}" for text, y in zip(texts, labels["y"], strict=True)]
    found = accuracies(reached(labels, texts, pictures)[0])
    assert found["words"] == found["words + picture"] == 1
    assert found["picture"] == 0.5


def test_scores_are_those_of_scikit_learn():
    """Random mismatches, with a text that leans to one class: nothing is at chance."""
    labels, texts, pictures = minimal_pairs(replaced, seed=1)
    rng = np.random.default_rng(2)
    texts = [
        f"{text} maybe" if rng.random() < 0.3 + 0.4 * y else text for text, y in zip(texts, labels["y"], strict=True)
    ]
    pictures += np.outer(labels["y"] * rng.random(len(labels)), np.ones(24)).astype(np.float32)
    scores, predictions = reached(labels, texts, pictures)
    assert list(scores) == SCORE_COLUMNS
    rows = {split: np.flatnonzero(labels["split"] == split) for split in SIZES}
    y = labels["y"].to_numpy()
    for place, (name, table) in enumerate(ShortcutFeatures(texts, pictures, rows["train"], seed=0).tables()):
        x = StandardScaler().fit(table[rows["train"]]).transform(table)
        models = [LogisticRegression(C=strength, max_iter=5000, tol=1e-6) for strength in C]
        fits = [model.fit(x[rows["train"]], y[rows["train"]]) for model in models]
        losses = [log_loss(y[rows["val"]], model.predict_proba(x[rows["val"]])) for model in fits]
        best = fits[int(np.argmin(losses))]
        of_features = scores[(scores["features"] == name) & (scores["metric"] == "accuracy")].set_index("split")
        assert of_features.loc["test", "C"] == best.C
        for split in ("val", "test"):
            assert of_features.loc[split, "value"] == accuracy_score(y[rows[split]], best.predict(x[rows[split]]))
        kept = predictions[(predictions["layer"] == place) & (predictions["split"] == "test")]
        margins = pd.Series(np.stack(kept["scores"])[:, 0], index=kept["item_id"])
        expected = best.decision_function(x[rows["test"]])
        np.testing.assert_allclose(margins[labels["item_id"].iloc[rows["test"]]], expected, atol=2e-2)
    words = scores.query("features == 'words' and split == 'test'").iloc[0]
    assert 0.5 < words["low"] < words["value"] < words["high"] < 0.9


def test_features_come_from_training_items_alone():
    texts = ["A dog, and 2 cats", "a dog", "A zebra!"]
    pictures = np.arange(9, dtype=np.float32).reshape(3, 3) ** 2
    features = ShortcutFeatures(texts, pictures, np.array([0, 1]), seed=0)
    assert sorted(features.vocabulary.vocabulary_) == ["2", "a", "and", "cats", "dog"]
    tables = dict(features.tables())
    assert tuple(tables) == FEATURES
    # By word whether it is there; that of another item is unknown.
    np.testing.assert_array_equal(tables["words"], [[1, 1, 1, 1, 1], [0, 1, 0, 0, 1], [0, 1, 0, 0, 0]])
    np.testing.assert_array_equal(tables["words + picture"], np.hstack([tables["words"], pictures]))
    # Two training items differ in one direction.
    words, seen, product = tables["words x picture"].T
    np.testing.assert_allclose(product, words * seen, rtol=1e-6)
    np.testing.assert_allclose(words[:2] + words[1::-1], 0, atol=1e-6)


def test_a_decoder_without_image_tokens_has_the_words_alone():
    labels, texts, _ = minimal_pairs(replaced)
    scores, predictions = reached(labels, texts, None)
    assert set(scores["features"]) == {"words"}
    assert set(predictions["layer"]) == {0}


def test_components_are_few_and_texts_without_words_are_refused():
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{n}" for n in rng.integers(0, 300, 20)) for _ in range(200)]
    tables = dict(ShortcutFeatures(texts, rng.normal(size=(200, 100)), np.arange(150), 0).tables())
    assert tables["words x picture"].shape == (200, MOST_COMPONENTS**2 + 2 * MOST_COMPONENTS)
    with pytest.raises(InputError, match=r"no words to count .*; set probes\.shortcuts to false"):
        ShortcutFeatures(["?", "!"], None, np.array([0, 1]), 0)
