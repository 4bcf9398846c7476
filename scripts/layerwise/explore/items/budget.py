"""Keep the items of a page within its budget: first their pictures shrink, then items are left out."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from layerwise.explore.items.block import block_bytes
from layerwise.explore.items.files import COLUMNS, Sample
from layerwise.explore.items.pictures import Picture, copied, smaller

if TYPE_CHECKING:
    from PIL import Image

# Charts and tables need the rest of the page.
SHARE_OF_ITEMS = 0.6
# The sides that are tried, as shares of the one that is asked for.
SIDES = (1.0, 0.75, 0.5)


def within(
    sample: Sample,
    links: Mapping[str, Picture],
    copies: "Mapping[str, Image.Image | None]",
    side: int,
    megabytes: float,
) -> Sample:
    """The sample as its page can have it.

    Args:
        sample: without pictures.
        links: pictures that are linked, by checksum.
        copies: pictures that are copied, no larger than ``side``; None for files that are gone.
        side: of copies, in pixels.
        megabytes: of the whole page.

    Returns:
        The sample with its pictures. Its description says what became of it: ``side`` of the pictures, ``at_most`` how
        many items of each task there are (None if all), ``left_out``, how many are not there for this reason,
        ``missing``, how many pictures are gone, and the ``bytes`` of its block on the page.
    """
    allowed = int(SHARE_OF_ITEMS * megabytes * 1e6)
    sides = [round(share * side) for share in SIDES] if copies else [side]
    for tried in sides:
        whole = _with_pictures(sample, links, copies, tried)
        if (size := block_bytes(whole)) <= allowed:
            return _told(whole, tried, None, sample, size)
    places = places_in_task(whole.items)
    # The largest number that fits: fewer items are never longer.
    fits, too_many = 0, int(places.max())
    while too_many - fits > 1:
        tried_number = (fits + too_many) // 2
        if block_bytes(whole.only(places <= tried_number)) <= allowed:
            fits = tried_number
        else:
            too_many = tried_number
    # One item of each task is always there, so that the page has its form.
    fits = max(1, fits)
    fewer = whole.only(places <= fits)
    return _told(fewer, tried, fits, sample, block_bytes(fewer))


def places_in_task(items: pd.DataFrame) -> pd.Series:
    """The place of each item among those of its task, from 1: first what was drawn first and the worst of each label,
    then the next of each."""
    ranks = items[["drawn", "worst"]].where(items[["drawn", "worst"]] > 0).min(axis=1)
    order = items.assign(rank=ranks).sort_values("rank", kind="stable")
    return order.groupby("task", sort=False).cumcount().add(1).reindex(items.index)


def _with_pictures(
    sample: Sample, links: Mapping[str, Picture], copies: "Mapping[str, Image.Image | None]", side: int
) -> Sample:
    found = dict(links)
    for checksum, picture in copies.items():
        found[checksum] = Picture() if picture is None else copied(smaller(picture, side))
    rows = [{"sha256": checksum, **picture._asdict()} for checksum, picture in found.items()]
    return replace(sample, thumbnails=pd.DataFrame(rows, columns=COLUMNS["thumbnails"]))


def _told(sample: Sample, side: int, at_most: int | None, before: Sample, size: int) -> Sample:
    shown = sample.thumbnails
    told = {
        "side": side,
        "at_most": at_most,
        "left_out": len(before.items) - len(sample.items),
        "linked": int((shown["address"] != "").sum()),
        "missing": int(((shown["address"] == "") & (shown["width"] == 0)).sum()),
        "bytes": size,
    }
    return replace(sample, description=sample.description | told)
