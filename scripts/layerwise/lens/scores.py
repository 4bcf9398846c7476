"""Where a word's map is high, against the boxes of its object: the pointing game and ROC AUC, picture by picture.

- ``pointing``: whether the patch where the word is most probable touches a box of its object (Zhang et al. 2018,
  doi:10.1007/s11263-017-1059-x); of equally probable patches the share that does
- ``roc_auc``: how well the word's probability tells patches that touch a box from the others

Two controls say what a score is worth. ``shuffled`` has the same map, scored against the boxes of objects of the same
kind in other pictures (of any kind, where there is no other picture with one): the mean over some draws, which is what
knowing only where such objects tend to be would reach. ``other_object`` has maps of the same word in pictures without
its object, scored against the boxes of the objects that are there: what the word reaches because patches with any
object stand out.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from layerwise.errors import InputError
from layerwise.lens.maps import Maps
from layerwise.lens.places import touched

MEASURES = ("pointing", "roc_auc")
COLUMNS = ["image_id", "word", "measure", "layer", "layer_name", "n_layers", "value", "shuffled", "other_object"]
# Pictures whose boxes a map is scored against as a control.
DRAWS = 20


def read_scores(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Read the scores of patch lenses, with ``model`` and ``stimuli`` from the names of folder and file.

    Raises:
        InputError: when a file is damaged, or lacks a column.
    """
    tables = []
    for path in map(Path, paths):
        try:
            table = pd.read_parquet(path, columns=COLUMNS)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: cannot be read as scores of a patch lens ({error}); delete it and run again"
            ) from error
        tables.append(table.assign(model=path.parent.name, stimuli=path.stem))
    filled = [table for table in tables if not table.empty]
    return pd.concat(filled, ignore_index=True) if filled else tables[0]


def score_maps(maps: Maps, seed: int) -> pd.DataFrame:
    """The scores of a file of maps, a row per picture, word of an object in it, measure and layer.

    A pair is left out where all patches touch a box, or none does (cropped away): there is nothing to find.

    Args:
        maps: of one model and stimulus set.
        seed: of the draws of other pictures.

    Returns:
        :data:`COLUMNS`; NaN for a control that a pair has not.
    """
    parts = [] if maps.none else list(_scored(maps, np.random.default_rng([seed, 4])))
    if not parts:
        return pd.DataFrame(columns=COLUMNS).astype(
            dict.fromkeys(("layer", "n_layers"), "int16") | dict.fromkeys(("value", "shuffled", "other_object"), float)
        )
    return pd.concat(parts, ignore_index=True)


def _scored(maps: Maps, rng: np.random.Generator) -> Iterator[pd.DataFrame]:
    present = np.flatnonzero(maps.present)
    words, pictures = np.asarray(maps.word, object), maps.picture
    elsewhere = _elsewhere(maps)
    for pair in present:
        picture, word = int(pictures[pair]), words[pair]
        known = np.isfinite(maps.places[picture]).all(1)
        places = maps.places[picture][known]
        own = touched(places, maps.boxes(picture, word))
        if not own.any() or own.all():
            continue
        others = present[pictures[present] != picture]
        alike = others[words[others] == word]
        drawn = rng.choice(alike if len(alike) else others, DRAWS).tolist() if len(others) else []
        shuffled = [touched(places, maps.boxes(int(pictures[other]), words[other])) for other in drawn]
        shuffled = [mask for mask in shuffled if mask.any() and not mask.all()]
        found = _both(maps.map(int(pair))[:, known], np.stack([own, *shuffled]))
        of_others = elsewhere.get(word, ())
        chosen = rng.integers(len(of_others), size=DRAWS) if len(of_others) else ()
        n_layers = len(maps.layers) - 2
        for place, measure in enumerate(MEASURES):
            of_own = found[place]
            controls = [of_others[other][place] for other in chosen]
            yield pd.DataFrame(
                {
                    "image_id": maps.image_id[picture],
                    "word": word,
                    "measure": measure,
                    "layer": np.arange(n_layers + 2, dtype=np.int16),
                    "layer_name": maps.layers,
                    "n_layers": np.int16(n_layers),
                    "value": of_own[:, 0],
                    "shuffled": of_own[:, 1:].mean(1) if shuffled else np.nan,
                    "other_object": np.mean(controls, axis=0) if controls else np.nan,
                }
            )


def _elsewhere(maps: Maps) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """By word what its maps score in pictures without its object, against each kind of object there: by measure and
    layer."""
    there: dict[int, list[str]] = {}
    for pair in np.flatnonzero(maps.present):
        there.setdefault(int(maps.picture[pair]), []).append(maps.word[pair])
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for pair in np.flatnonzero(~maps.present):
        picture = int(maps.picture[pair])
        known = np.isfinite(maps.places[picture]).all(1)
        places = maps.places[picture][known]
        masks = [touched(places, maps.boxes(picture, word)) for word in there.get(picture, ())]
        masks = [mask for mask in masks if mask.any() and not mask.all()]
        if masks:
            highest, areas = _both(maps.map(int(pair))[:, known], np.stack(masks))
            found.setdefault(maps.word[pair], []).extend(zip(highest.T, areas.T, strict=True))
    return found


def _both(values: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """See :func:`pointing` and :func:`roc_auc`."""
    return pointing(values, masks), roc_auc(values, masks)


def pointing(values: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """The share of the highest patches that are in a mask.

    Args:
        values: shape (layers, patches).
        masks: shape (masks, patches), bool.

    Returns:
        Shape (layers, masks).
    """
    highest = (values == values.max(1, keepdims=True)).astype(float)
    return highest @ masks.T.astype(float) / highest.sum(1, keepdims=True)


def roc_auc(values: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """How often a patch in a mask is higher than one outside it; a tie counts half. Arguments as :func:`pointing`."""
    ranks = rankdata(values, axis=1)
    within = masks.sum(1)
    above = ranks @ masks.T.astype(float) - within * (within + 1) / 2
    return above / (within * (masks.shape[1] - within))
