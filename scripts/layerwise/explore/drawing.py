"""What the charts of the page are made of: lines, maps, and the colours of the figures in the page's theme.

Every chart reads data named "rows" and, where it has an axis of layers, the chosen layer from a parameter ``layer``,
which is -1 while none is chosen. The marks that stand for one row each are named :data:`MARKS`, those of the chosen
layer :data:`IS_CHOSEN`.
"""

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from layerwise.figures.drawing.style import PALETTE, LineStyle

ROWS = alt.NamedData("rows")
# What altair may make of layers.
Drawn = alt.LayerChart | alt.FacetChart
MARKS, IS_CHOSEN = "marks", "chosen"
LAYER = "layer (0 = embeddings)"
BLOCK = "block"
# A map of no more cells shows its numbers, where the page is not narrower.
MOST_NUMBERS, LEAST_WIDTH = 96, 400
# Vega's symbols and dashes for matplotlib's.
SHAPES = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "P": "cross"}
SHAPES |= {"X": "wedge", "<": "triangle-left", ">": "triangle-right", "*": "arrow"}
DASHES = {"-": [1, 0], "-.": [6, 2, 1, 2], ":": [1, 2]}
# For charts whose height is that of their rows, without axes.
IN_WIDTH = alt.AutoSizeParams(type="fit-x", contains="padding")
CHOSEN, FAINT, EDGE = "var(--text)", "var(--quiet)", "var(--panel)"
# Of cells of maps, which may be as blue as the accent and as dark or light as the text.
FRAME = "var(--c2)"


def themed(colour: str) -> str:
    """A colour of the figures as CSS: the page's variable for it. Greys are for what stands back."""
    return f"var(--c{PALETTE.index(colour) + 1})" if colour in PALETTE else "var(--quiet)"


def said(field: str, title: str, form: str = "") -> alt.Tooltip:
    """A line of what hovering shows: a column, or, with a format, a number."""
    if form:
        return alt.Tooltip(field=field, type="quantitative", title=title, format=form)
    return alt.Tooltip(field=field, type="nominal", title=title)


def interval(low: str = "low", high: str = "high", form: str = ".3f") -> str:
    """A Vega expression that writes a 95 % interval."""
    ends = f"format(datum.{low}, '{form}') + ' to ' + format(datum.{high}, '{form}')"
    return f"isValid(datum.{low}) && isValid(datum.{high}) ? {ends} : 'none'"


INTERVAL = said("interval", "95 % interval")


def gradient() -> alt.Legend:
    """A legend below a map."""
    return alt.Legend(
        orient="bottom", gradientLength=alt.ExprRef("min(200, width - 15)"), titleLimit=alt.ExprRef("width")
    )


def line_chart(
    x: alt.X,
    y: alt.Y,
    styles: Mapping[str, LineStyle],
    tooltip: Sequence[alt.Tooltip],
    *,
    by: str = "line",
    low: str = "low",
    high: str = "high",
    baseline: str | None = None,
    dashed: str | None = None,
    below: Sequence[alt.Chart] = (),
    by_layer: bool = True,
    form: str = ".3f",
    height: int = 300,
) -> Drawn:
    """A line with its band of intervals for each value of a column, and a mark for every row.

    Args:
        x, y: the axes, with fields and titles.
        styles: by value of the column ``by``, which is to be the view's ``legend``: the page writes it.
        tooltip: what hovering shows before the interval.
        by: the column whose values are lines.
        low, high: columns of the interval.
        baseline: a column that is drawn as a dotted line across.
        dashed: a column that is drawn as thin dashes in the colour of its line.
        below: what is drawn first.
        by_layer: whether x is a layer, so that the chosen one is marked.
        form: of the numbers of the interval.
        height: in pixels.
    """
    names = list(styles)
    colour = alt.Color(field=by, type="nominal", legend=None).scale(
        domain=names, range=[themed(style.colour) for style in styles.values()]
    )
    dash = alt.StrokeDash(field=by, type="nominal", legend=None).scale(
        domain=names, range=[_dash(style) for style in styles.values()]
    )
    shape = alt.Shape(field=by, type="nominal", legend=None).scale(
        domain=names, range=[SHAPES.get(style.marker, "circle") for style in styles.values()]
    )
    base = alt.Chart(ROWS).encode(x=x)
    layers = [*below, base.mark_area(opacity=0.15, clip=True).encode(y=y.field(low), y2=alt.Y2(high), color=colour)]
    if baseline:
        across = alt.Chart(ROWS).transform_aggregate(groupby=[baseline])
        layers.append(across.mark_rule(strokeDash=[1, 3], color=FAINT, size=1.5).encode(y=y.field(baseline)))
    if by_layer:
        layers += [chosen_rule(x), _places(x)]
    if dashed:
        thin = base.mark_line(strokeDash=[2, 2], size=1)
        layers.append(thin.encode(y=y.field(dashed), color=colour))
    layers.append(base.mark_line(size=2).encode(y=y, color=colour, strokeDash=dash))
    points = base.transform_calculate(interval=interval(low, high, form)).properties(name=MARKS)
    layers.append(
        points.mark_point(filled=True, size=45, opacity=1).encode(
            y=y, color=colour, shape=shape, tooltip=[*tooltip, INTERVAL]
        )
    )
    drawn = alt.layer(*layers).properties(width="container", height=height)
    return with_layer(drawn) if by_layer else drawn


def with_layer(chart: Drawn) -> Drawn:
    """The chart with the parameter that the page sets to the chosen layer."""
    return chart.add_params(alt.param(name="layer", value=-1))


def chosen_rule(x: alt.X) -> alt.Chart:
    """A vertical line at the chosen layer."""
    at_it = (
        alt.Chart(ROWS)
        .transform_filter(f"layer >= 0 && datum.{x['field']} === layer")
        .transform_aggregate(groupby=[x["field"]])
    )
    at_it = at_it.properties(name=IS_CHOSEN)
    return at_it.mark_rule(color=CHOSEN, strokeDash=[5, 3], size=1.5).encode(x=x)


def _places(x: alt.X) -> alt.Chart:
    """Anywhere above a layer is a place to click."""
    each = alt.Chart(ROWS).transform_aggregate(groupby=[x["field"]])
    return each.mark_rule(opacity=0, strokeWidth=12, cursor="pointer").encode(x=x)


def layer_axis(field: str = "layer", title: str = LAYER) -> alt.X:
    """An axis of layers, blocks or windows: whole numbers."""
    return alt.X(field=field, type="quantitative", title=title).axis(format="d", tickMinStep=1).scale(nice=False)


def score_axis(field: str, title: str) -> alt.Y:
    """An axis of scores or changes, from the least to the greatest."""
    return alt.Y(field=field, type="quantitative", title=title).scale(zero=False)


def no_change() -> alt.Chart:
    """A line across at zero."""
    once = alt.Chart(ROWS).transform_aggregate(n="count()")
    return once.mark_rule(color=FAINT).encode(y=alt.YDatum(0))


def map_chart(
    base: alt.Chart,
    x: alt.X,
    y: alt.Y,
    colour: alt.Color,
    tooltip: Sequence[alt.Tooltip],
    *,
    number: str,
    dark: str,
    frame: str = "false",
    height: int,
) -> Drawn:
    """A map of cells, one for each row, with its number where there are few.

    Args:
        base: of the rows, with what is computed of them.
        x, y: discrete axes.
        colour: of the cells.
        tooltip: what hovering shows.
        number: a Vega expression that writes the number of a cell.
        dark: a Vega expression that tells whether a cell is so dark that its number is white.
        frame: a Vega expression that tells which cells are framed.
        height: of the map without its axes, in pixels, see :func:`height_of`.
    """
    cells = base.mark_rect(stroke=EDGE, strokeWidth=1).encode(x=x, y=y, color=colour, tooltip=tooltip)
    few = base.transform_joinaggregate(cells="count()").transform_filter(
        f"datum.cells <= {MOST_NUMBERS} && width >= {LEAST_WIDTH}"
    )
    numbers = few.transform_calculate(number=number).mark_text(fontSize=10)
    ink = alt.condition(dark, alt.value("#FFFFFF"), alt.value("#222222"))
    framed = base.transform_filter(frame).mark_rect(fillOpacity=0, stroke=FRAME, strokeWidth=2)
    return with_layer(
        alt.layer(
            cells.properties(name=MARKS),
            numbers.encode(x=x, y=y, text="number:N", color=ink, tooltip=tooltip),
            framed.properties(name=IS_CHOSEN).encode(x=x, y=y, tooltip=tooltip),
        ).properties(width="container", height=height, autosize=IN_WIDTH)
    )


def blocks_upwards(field: str, title: str = BLOCK) -> alt.Y:
    """A discrete axis of blocks, the first at the bottom."""
    return alt.Y(field=field, type="ordinal", title=title, sort="descending").axis(labelOverlap=True)


def height_of(rows: pd.DataFrame, column: str, follows: Sequence[str], most: int = 26) -> int:
    """Height of a map, in pixels: rows of deep models are flat.

    Not a step for each row: Vega-Lite warns of that where the width is the page's.

    Args:
        rows: of all choices.
        column: whose values are the map's rows.
        follows: the choices that the rows are filtered by.
        most: pixels of a row.
    """
    n = int(rows.groupby(list(follows), observed=True)[column].nunique().max()) if len(rows) else 1
    return n * max(10, min(most, 420 // n))


def _dash(style: LineStyle) -> list[float]:
    return [*(DASHES[style.dash] if isinstance(style.dash, str) else style.dash[1])]
