"""Pointing, AUC and their controls, on maps whose answers are known."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from layerwise.lens.maps import open_maps
from layerwise.lens.scores import COLUMNS, pointing, roc_auc, score_maps

SIDE, LAYERS = 4, ["embeddings", "block 1", "final norm"]


def grid():
    row, column = np.divmod(np.arange(SIDE**2), SIDE)
    return np.stack([column, row, column + 1, row + 1], axis=1) / SIDE


def stand_in(pictures, value):
    """Maps of pictures, each with (word, patch of its object) pairs; ``value(word, patch, own)`` fills them."""
    pairs = [(n, word, own) for n, own in enumerate(pictures) for word in ("cat", "dog", "owl")]
    places = np.stack([grid()] * len(pictures))
    return SimpleNamespace(
        none="",
        layers=LAYERS,
        image_id=[f"p{n}" for n in range(len(pictures))],
        picture=np.array([n for n, _, _ in pairs]),
        word=[word for _, word, _ in pairs],
        present=np.array([word in own for _, word, own in pairs]),
        places=places,
        boxes=lambda n, word: places[n][[pictures[n][word]]] if word in pictures[n] else np.empty((0, 4)),
        map=lambda pair: np.stack([value(pairs[pair][1], np.arange(SIDE**2), pairs[pair][2])] * len(LAYERS)),
    )


# A cat, a dog or both, never at the same place.
PICTURES = [{"cat": n % 16, "dog": (5 * n + 3) % 16} for n in range(48) if n % 16 != (5 * n + 3) % 16]
PICTURES = [dict(list(own.items())[n % 3 == 1 : 2 - (n % 3 == 0)]) for n, own in enumerate(PICTURES)]


def means(maps):
    return score_maps(maps, 0).groupby("measure")[["value", "shuffled", "other_object"]].mean()


def test_a_head_that_names_the_object_beats_both_controls():
    found = means(stand_in(PICTURES, lambda word, patch, own: (patch == own.get(word, -1)).astype(float)))
    assert (found["value"] == 1).all()
    assert found["shuffled"]["pointing"] < 0.2
    assert abs(found["shuffled"]["roc_auc"] - 0.5) < 0.1
    # In pictures without it, a word is equally probable everywhere.
    assert found["other_object"]["roc_auc"] == 0.5
    assert found["other_object"]["pointing"] == pytest.approx(1 / 16)


def test_patches_with_an_object_that_stand_out_for_any_word_do_not_beat_other_objects():
    alone = [own for own in PICTURES if len(own) == 1]
    found = means(stand_in(alone, lambda word, patch, own: np.isin(patch, list(own.values())).astype(float)))
    assert (found["value"] > found["shuffled"] + 0.3).all()
    np.testing.assert_allclose(found["value"], found["other_object"])


def test_a_head_that_knows_where_such_objects_tend_to_be_does_not_beat_other_pictures():
    always = [{"cat": 3, "dog": 9} for _ in range(8)]
    place = {"cat": 3, "dog": 9, "owl": 0}
    found = means(stand_in(always, lambda word, patch, own: (patch == place[word]).astype(float)))
    assert (found["value"] == 1).all()
    np.testing.assert_allclose(found["value"], found["shuffled"])


def test_measures_are_those_of_scikit_learn_and_share_ties():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 6, (3, 40)).astype(float)
    masks = rng.random((5, 40)) < 0.3
    expected = [[roc_auc_score(mask, layer) for mask in masks] for layer in values]
    np.testing.assert_allclose(roc_auc(values, masks), expected)
    for layer, row in zip(values, pointing(values, masks), strict=True):
        np.testing.assert_allclose(row, masks[:, layer == layer.max()].mean(1))


def test_objects_that_fill_the_picture_and_places_unknown_are_left_out():
    maps = stand_in([{"cat": 1}, {"cat": 2}, {"cat": 3}], lambda word, patch, own: patch.astype(float))
    whole = np.array([[0.0, 0, 1, 1]])
    maps.boxes = lambda n, word: whole if n == 0 else grid()[[n]]
    maps.places[2] = np.nan
    assert set(score_maps(maps, 0)["image_id"]) == {"p1"}
    maps.present[:] = False
    assert list(score_maps(maps, 0).columns) == COLUMNS


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "maps.h5").write_bytes(b"no maps")
    with pytest.raises(Exception, match=r"maps\.h5: cannot be read as maps"), open_maps(tmp_path / "maps.h5"):
        pass
