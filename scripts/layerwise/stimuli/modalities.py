"""Is it the image or the text? The same items with other images, blank ones, or none."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from layerwise.errors import InputError
from layerwise.several_pictures import each, joined, joined_checksum
from layerwise.stimuli.items import EACH_SHA256

# In place of a path: a plain grey picture.
BLANK = "<blank>"


def with_images(inputs: pd.DataFrame, prompt: Mapping[str, Any], seed: int) -> pd.DataFrame:
    """The items with the images that a prompt entry asks for; labels stay those of the items' own images.

    Args:
        inputs: ``image``, ``image_sha256``, of several pictures :data:`layerwise.stimuli.items.EACH_SHA256`, and
            other columns.
        prompt: its entry. Of ``image``: shown - their own; blank - grey pictures; shuffled - each image (all pictures
            of an item as one) is replaced by another one of the set, in all its items, and each replaces one; none - no
            image at all; random-order - an item's own pictures in an order that is drawn for them, each order equally
            likely. Or of ``images``, what stands in each place: the number of an own picture, blank, shuffled (another
            item's picture of this number, drawn for each place on its own), or none.
        seed: of the shuffling and of the order.

    Returns:
        A copy; ``image`` has a line per picture that is shown, :data:`BLANK` for a grey one, and is None for no image.

    Raises:
        InputError: when there is no other image to take.
    """
    if prompt.get("images") is not None:
        return _chosen(inputs, prompt["images"], seed)
    image = prompt.get("image", "shown")
    if image == "shown":
        return inputs.copy()
    if image == "shuffled":
        taken = inputs.iloc[_others(inputs["image_sha256"], seed, "the image")].set_axis(inputs.index)
        return inputs.assign(**{column: taken[column] for column in _columns(inputs)})
    if image == "random-order":
        return _in_random_order(inputs, seed)
    if image == "blank":
        return _chosen(inputs, ["blank"] * len(each(inputs["image"].iat[0])), seed)
    nothing = {"image": None, "image_sha256": "none", EACH_SHA256: None}
    return inputs.assign(**{column: nothing[column] for column in _columns(inputs)})


def what_is_shown(prompt: Mapping[str, Any]) -> str:
    """A word for the images of a prompt entry: its ``image``, or "chosen" where it says in ``images`` what is shown."""
    return "chosen" if prompt.get("images") is not None else prompt.get("image", "shown")


def _chosen(inputs: pd.DataFrame, images: Sequence[int | str], seed: int) -> pd.DataFrame:
    paths, checksums = _of_each(inputs)
    of_paths, of_checksums = [], []
    for number, shown in enumerate(images, start=1):
        if shown == "none":
            continue
        if shown == "blank":
            of_paths.append([BLANK] * len(inputs))
            of_checksums.append(["blank"] * len(inputs))
            continue
        own = number if shown == "shuffled" else int(shown)
        rows = np.arange(len(inputs))
        if shown == "shuffled":
            # Each place has a stream of its own, so that its pictures do not depend on what stands in the others.
            rows = _others(checksums[own - 1], [seed, number], f"{{image {number}}}")
        of_paths.append(paths[own - 1].iloc[rows].tolist())
        of_checksums.append(checksums[own - 1].iloc[rows].tolist())
    return _joined(inputs, list(zip(*of_paths, strict=True)), list(zip(*of_checksums, strict=True)))


def _in_random_order(inputs: pd.DataFrame, seed: int) -> pd.DataFrame:
    paths, checksums = _of_each(inputs)
    # Items about the same pictures see them in the same order, and share a forward pass where their texts are equal.
    code, distinct = pd.factorize(inputs["image_sha256"])
    every = np.tile(np.arange(len(paths.columns)), (len(distinct), 1))
    order = np.random.default_rng(seed).permuted(every, axis=1)[code]
    shown = (np.take_along_axis(table.to_numpy(), order, axis=1).tolist() for table in (paths, checksums))
    return _joined(inputs, *shown)


def _others(checksums: pd.Series, seed: int | Sequence[int], what: str) -> np.ndarray:
    """For each row the place of one with another image: a cycle through all of them in random order, so that none
    stays in its place."""
    code, distinct = pd.factorize(checksums)
    if len(distinct) < 2:
        raise InputError(
            f"{what} cannot be `shuffled`, because it is the same in all items: there is only one; make more items, or "
            "show another image"
        )
    order = np.random.default_rng(seed).permutation(len(distinct))
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)
    return np.flatnonzero(~checksums.duplicated().to_numpy())[other[code]]


def _columns(inputs: pd.DataFrame) -> list[str]:
    """The columns that say which images are shown."""
    return [column for column in ("image", "image_sha256", EACH_SHA256) if column in inputs]


def _of_each(inputs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Paths and checksums of each picture: a row per item, a column per picture."""
    checksums = inputs[EACH_SHA256] if EACH_SHA256 in inputs else inputs["image_sha256"]
    paths, of_each = ([each(cell) for cell in column] for column in (inputs["image"], checksums))
    return pd.DataFrame(paths, inputs.index), pd.DataFrame(of_each, inputs.index)


def _joined(inputs: pd.DataFrame, paths: Sequence[Sequence[str]], checksums: Sequence[Sequence[str]]) -> pd.DataFrame:
    """The items with other pictures in place of their own."""
    shown = {
        "image": [joined(of_item) for of_item in paths],
        "image_sha256": [joined_checksum(of_item) for of_item in checksums],
        EACH_SHA256: [joined(of_item) for of_item in checksums],
    }
    return inputs.assign(**{column: shown[column] for column in _columns(inputs)})
