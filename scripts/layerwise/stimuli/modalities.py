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
# How many exchanges are tried to keep an item's own pictures from coming back to it.
TRIES = 100


def with_images(inputs: pd.DataFrame, prompt: Mapping[str, Any], seed: int) -> pd.DataFrame:
    """The items with the images that a prompt entry asks for; labels stay those of the items' own images.

    Args:
        inputs: ``image``, ``image_sha256``, of several pictures :data:`layerwise.stimuli.items.EACH_SHA256`, and
            other columns.
        prompt: its entry. Of ``image``: shown - their own; blank - grey pictures; shuffled - each image (all pictures
            of an item as one) is replaced by another one of the set, in all its items, and each replaces one, so that
            no item gets a picture of its own back (unless most items share one); none - no image at all; random-order -
            an item's own pictures in an order that is drawn for them, each order equally likely. Or of ``images``, what
            stands in each place: the number of an own picture, blank, shuffled (another item's picture of this number,
            drawn for each place on its own), or none.
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
        rows = _others(inputs["image_sha256"], _each(inputs["image_sha256"], inputs), seed, "the image")
        taken = inputs.iloc[rows].set_axis(inputs.index)
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
            at_place = checksums[own - 1]
            alone = {checksum: {checksum} for checksum in at_place}
            rows = _others(at_place, alone, [seed, number], f"{{image {number}}}", _each(at_place, inputs))
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


def _others(
    checksums: pd.Series,
    shown: Mapping[str, set[str]],
    seed: int | Sequence[int],
    what: str,
    own: Mapping[str, set[str]] | None = None,
) -> np.ndarray:
    """For each row the place of one with another image: a cycle through all of them in random order, so that none
    stays in its place.

    Args:
        checksums: of the images that are exchanged, by row.
        shown: the pictures of each of them, by checksum.
        seed: of the order.
        what: the image, for messages.
        own: by checksum the pictures of the items that have it, none of which is to come in its place. Default - those
            of the image itself.
    """
    code, distinct = pd.factorize(checksums)
    if len(distinct) < 2:
        raise InputError(
            f"{what} cannot be `shuffled`, because it is the same in all items: there is only one; make more items, or "
            "show another image"
        )
    rng = np.random.default_rng(seed)
    kept = own or shown
    order = _apart(
        rng.permutation(len(distinct)), [shown[one] for one in distinct], [kept[one] for one in distinct], rng
    )
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)
    return np.flatnonzero(~checksums.duplicated().to_numpy())[other[code]]


def _apart(
    order: np.ndarray, shown: Sequence[set[str]], own: Sequence[set[str]], rng: np.random.Generator
) -> np.ndarray:
    """A cycle in which none takes the place of one with a picture of its own, as far as that can be.

    Such are the same pictures in another order, which may belong to an item with the opposite label. Of items with one
    picture there are none, and the order stays.
    """

    def clashes(place: int) -> bool:
        return not own[order[place]].isdisjoint(shown[order[place - 1]])

    n = len(order)
    clashing = [place for place in range(n) if clashes(place)]
    # Where most items share a picture, such as one that all others are compared with, there is no such cycle.
    for place in clashing if len(clashing) <= n // 2 else ():
        for with_place in rng.integers(n, size=TRIES).tolist():
            if not clashes(place):
                break
            touched = {one % n for at in (place, with_place) for one in (at, at + 1)}
            before = sum(map(clashes, touched))
            order[[place, with_place]] = order[[with_place, place]]
            if sum(map(clashes, touched)) >= before:
                order[[place, with_place]] = order[[with_place, place]]
    return order


def _each(checksums: pd.Series, inputs: pd.DataFrame) -> dict[str, set[str]]:
    """By checksum of an image, all pictures of the items that have it."""
    found: dict[str, set[str]] = {}
    of_items = inputs[EACH_SHA256] if EACH_SHA256 in inputs else inputs["image_sha256"]
    for checksum, pictures in set(zip(checksums, of_items, strict=True)):
        found.setdefault(checksum, set()).update(each(pictures))
    return found


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
