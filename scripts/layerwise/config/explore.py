"""The page one plays with: what it shows, and how large it may be."""

from typing import Annotated, Literal

from layerwise.config.base import Count, Each, Name, Positive, Section, whole


class Explore(Section):
    """The page one plays with, ``explore/index.html``. These keys change no result, only the page."""

    items: Count = 40
    """How many test items of each task are drawn by seed to be shown, and how many of the worst besides: those with the
    largest margins on the wrong side. Of a task with many labels at least two of each label."""
    megabytes: Positive = 20
    """How large the page may be, in millions of bytes. The test items take three fifths of it at most. If they need
    more, their pictures shrink, and then items are left out; the page says so."""
    pictures: Literal["copied", "linked", "none"] = "copied"
    """copied: the page holds small copies of the items' pictures, but of data sets with `copies: false` it links them.
    linked: it links all pictures where they lie, so that they show on this machine alone. none: it shows none."""
    side: Annotated[int, whole(32, 512)] = 160
    """Longer side of a copied picture, in pixels."""
    linked: Annotated[list[Name], Each()] = []
    """Stimulus sets whose pictures are linked rather than copied, such as a table of your own pictures that nobody else
    may have."""
