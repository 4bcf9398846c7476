"""What an entry of the catalogues of parts and views says of itself.

The Snakefile imports the module of every entry whenever it plans. Such a module imports libraries only within the
functions that make its content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given
    from layerwise.figures.entry import Contents


@dataclass(frozen=True)
class View:
    """One chart of the page. Its data are rows; the page shows those that fit the reader's choice.

    Attributes:
        place: on the page, from 0.
        title: above the chart.
        reading: how to read it, in one or two sentences.
        reads: names of what its rows are made from, see :class:`layerwise.compare.inputs.Given`.
        reads_too: names of what else they are made from, where a study has it.
        exists: whether a study has it.
        rows: makes the rows. Numbers are those of the tables that they come from, unrounded: the page rounds.
        chart: makes the chart, given the rows. Its data are named "rows" (``alt.Chart(alt.NamedData("rows"))``), so
            every encoding says its type. The page sets parameters of the chart that are named as a choice (``layer``,
            ``model``, ``axis``), and those named ``CHOICE_name`` to what the page calls what is chosen.
        follows: choices that the rows are filtered by, each a column of the rows. If no row has what is chosen, say a
            prompt that this table was not made for, the chart shows another, and says so. The names are those of
            :data:`layerwise.explore.parts.controls.WORDS`, or of columns that the view alone has.
        legend: a column whose values can be shown and hidden, with a colour and a shape each; empty for none. The
            scales of the chart say which, so the chart needs no legend of its own for it.
        picks: by field of a mark, the choice that a click on it makes.
    """

    place: int
    title: str
    reading: str
    reads: tuple[str, ...]
    exists: Callable[[Contents], bool]
    rows: Callable[[Given], pd.DataFrame]
    chart: Callable[[pd.DataFrame], alt.TopLevelMixin]
    follows: tuple[str, ...] = ("task", "prompt", "model")
    legend: str = ""
    picks: Mapping[str, str] = field(default_factory=dict)
    reads_too: Callable[[Contents], tuple[str, ...]] = lambda study: ()


@dataclass(frozen=True)
class Content:
    """What a part shows in one study.

    Attributes:
        context: what its template names.
        data: blocks of JSON by name, for scripts: ``layerwise.data(NAME)``.
        libraries: JavaScript of others that its script needs.
    """

    context: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    libraries: Sequence[str] = ()


@dataclass(frozen=True)
class Part:
    """One part of the page, from side to side.

    Its template is ``report/page/NAME.html.j2``. If there are files ``NAME.js`` and ``NAME.css`` beside it, they are in
    the page too.

    Attributes:
        place: on the page, from 0 at the top.
        title: in the page's own list of contents; empty to leave the part out of it.
        reads: names of what it is made from, in a study, see :class:`layerwise.compare.inputs.Given`.
        exists: whether a study has it.
        make: makes its content from that, and from the names of the study's views.
    """

    place: int
    title: str
    reads: Callable[[Contents], Sequence[str]]
    exists: Callable[[Contents], bool]
    make: Callable[[Given, Sequence[str]], Content]
