"""One picture that was saved twice is still one picture: it must not be on both sides of a split."""

from collections.abc import Collection, Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import DisjointSet

from layerwise.several_pictures import each
from layerwise.stimuli.looks import thumbnails
from layerwise.stimuli.parts import SPLITS

# How two pictures are alike: byte by byte, in every pixel, or nearly so.
FILE, PIXELS, SIMILAR = "file", "pixels", "similar"
COLUMNS = ["first", "second", "kind", "first_file", "second_file"]
# Two pictures are near-equal when few of the 256 bits of their perceptual hashes differ and, reduced to 32 x 32 pixels,
# they differ nowhere by much (of 255) and on average by a small share of their own contrast. Measured
# (docs/method.md): a photograph in another format, quality or size is within these limits. Two drawings of a world
# are not, nor are two line charts, gratings, written words or digits, whose hashes are often equal.
SIDE = 32
MOST_BITS, MOST_ANYWHERE, MOST_ON_AVERAGE = 20, 60, 0.2
# The least contrast (standard deviation, of 255) that a picture counts as having, so that two patches of one colour
# differ if a single channel differs by one.
LEAST_CONTRAST = 2.5


def find_duplicates(looks: pd.DataFrame, threads: int | None = None) -> pd.DataFrame:
    """Pictures with equal pixels, and near-equal ones.

    Args:
        looks: by image id (index): ``image`` (path), and what :func:`layerwise.stimuli.looks.look_at` gives.
        threads: that decode pictures.

    Returns:
        Pairs of image ids, ``first`` and ``second``, with their files and the ``kind``: :data:`FILE`, :data:`PIXELS` or
        :data:`SIMILAR`. Of many alike there are only as many pairs as it takes to join them.
    """
    pairs, file_of = [], looks["image"]
    for column, kind in (("image_sha256", FILE), ("pixels", PIXELS)):
        for _, same in looks.groupby(column, sort=False):
            pairs += [(same.index[0], other, kind) for other in same.index[1:]]
        looks = looks.drop_duplicates(column)
    pairs += [(*pair, SIMILAR) for pair in _similar(looks, threads)]
    table = pd.DataFrame(pairs, columns=COLUMNS[:3])
    for which in ("first", "second"):
        table[f"{which}_file"] = table[which].map(file_of)
    return table[COLUMNS]


def _similar(distinct: pd.DataFrame, threads: int | None) -> list[tuple[Hashable, Hashable]]:
    """Pairs that join all near-equal pictures."""
    bits = np.frombuffer(b"".join(distinct["hash"]), dtype=np.uint64).reshape(len(distinct), -1)
    candidates = {}
    for row in range(len(bits) - 1):
        # One word of the hash excludes nearly all others.
        near = row + 1 + np.flatnonzero(np.bitwise_count(bits[row + 1 :, 0] ^ bits[row, 0]) <= MOST_BITS)
        near = near[np.bitwise_count(bits[near] ^ bits[row]).sum(axis=1) <= MOST_BITS]
        if near.size:
            candidates[row] = near
    if not candidates:
        return []
    looked_at = np.unique(np.concatenate([[row, *near] for row, near in candidates.items()]))
    by_path = thumbnails(distinct["image"].iloc[looked_at], SIDE, threads)
    small = np.stack([by_path[path] for path in distinct["image"].iloc[looked_at]]).reshape(len(looked_at), -1, 3)
    contrast = np.maximum(small.std(axis=1).mean(axis=1), LEAST_CONTRAST)

    joined, pairs = DisjointSet(range(len(distinct))), []
    for row, near in candidates.items():
        place, others = np.searchsorted(looked_at, row), np.searchsorted(looked_at, near)
        apart = small[others].astype(np.float32) - small[place]
        anywhere, average = np.abs(apart).max(axis=(1, 2)), np.sqrt((apart**2).mean(axis=(1, 2)))
        alike = average <= MOST_ON_AVERAGE * np.minimum(contrast[others], contrast[place])
        pairs += [
            (distinct.index[row], distinct.index[other])
            for other in near[alike & (anywhere <= MOST_ANYWHERE)]
            if joined.merge(row, int(other))
        ]
    return pairs


def picture_ids(cells: pd.Series) -> list[str]:
    """The ids (or paths) of all pictures of items, each once, in order, of cells with a line per picture."""
    return list(dict.fromkeys(name for cell in cells.unique() for name in each(cell)))


def join_groups(provenance: pd.DataFrame, duplicates: pd.DataFrame, kinds: Collection[str]) -> pd.DataFrame:
    """Put groups that share a picture into one group, named after the first of them.

    An item of several pictures joins them, so that a group is a connected component of items and pictures.

    Args:
        provenance: with ``image_id`` (a line per picture) and ``group``.
        duplicates: as :func:`find_duplicates` gives them; also of images that are no longer in the provenance, which
            join those that are.
        kinds: of duplicates that count as one picture.

    Returns:
        The provenance with joined groups.
    """
    names, shown = set(provenance["group"]), provenance[["group", "image_id"]].drop_duplicates()
    images = {*picture_ids(provenance["image_id"]), *duplicates["first"], *duplicates["second"]}
    joined = DisjointSet([*((name,) for name in sorted(names)), *sorted(images)])
    for row in shown.itertuples():
        for image in each(row.image_id):
            joined.merge((row.group,), image)
    for pair in duplicates[duplicates["kind"].isin(kinds)].itertuples():
        joined.merge(pair.first, pair.second)
    # A group is a tuple here, so that it is never taken for the image of the same name.
    name_of = {
        group[0]: min(other[0] for other in subset if isinstance(other, tuple))
        for subset in joined.subsets()
        for group in subset
        if isinstance(group, tuple)
    }
    return provenance.assign(group=provenance["group"].map(name_of))


def in_their_own_part(provenance: pd.DataFrame, official: Mapping[str, str]) -> pd.Series:
    """Which items an official split keeps, when some groups have pictures in several official parts.

    The part nearer to the test keeps its items, and the other part loses its own. So official test sets stay whole,
    and nothing in them was trained on.

    Args:
        provenance: with joined groups and ``part``.
        official: the split of each official part.

    Returns:
        A boolean by row.
    """
    rank = provenance["part"].map(lambda part: SPLITS.index(official[part]) if part in official else 0)
    return rank == rank.groupby(provenance["group"]).transform("max")


def keep_apart(
    provenance: pd.DataFrame, duplicates: pd.DataFrame, split: dict[str, Any], official: Mapping[str, str]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Join groups whose pictures are alike, and for an official split leave out what it would have in two parts.

    Args:
        provenance: of a stimulus set.
        duplicates: as :func:`find_duplicates` gives them.
        split: the task's config entry of that name; ``join_similar: false`` joins no pictures that are only similar.
        official: the split of each official part.

    Returns:
        The provenance, and for the task's description ``joined_groups``, how many groups are no longer their own, and
        ``images_left_out_as_duplicates``, their ids.
    """
    kinds = [FILE, PIXELS, *([SIMILAR] if split.get("join_similar", True) else [])]
    joined = join_groups(provenance, duplicates, kinds)
    kept = pd.Series(data=True, index=joined.index)
    if split["by"] == "official":
        kept = in_their_own_part(joined, official)
    counts = {
        "joined_groups": provenance["group"].nunique() - joined["group"].nunique(),
        "images_left_out_as_duplicates": sorted(picture_ids(joined.loc[~kept, "image_id"])),
    }
    return joined[kept].reset_index(drop=True), counts
