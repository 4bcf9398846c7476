"""One look for every figure: colours, markers, names, and files that come out the same byte for byte."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

import matplotlib as mpl
from matplotlib.figure import Figure

from layerwise.errors import InputError

# Okabe and Ito (2008), "Color Universal Design", https://jfly.uni-koeln.de/color/. Their yellow is left out: it is
# too pale for a line on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
RANDOM_GREYS = ("#7A7A7A", "#A0A0A0", "#555555")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
CHANCE_COLOUR = "#444444"
FORMATS = ("png", "svg", "pdf")

_RC = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    # A dollar sign in a name or a prompt is a dollar sign.
    "text.parse_math": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "savefig.dpi": 200,
    # Editors and submission systems want outlines that stay text: TrueType (42) rather than Type 3.
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    # Without a salt of its own matplotlib draws random ids, and the same figure differs in every run.
    "svg.hashsalt": "layerwise",
}
# The date would be the only thing that differs between two runs.
_METADATA = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None, "ModDate": None}}


@dataclass(frozen=True)
class LineStyle:
    """How one line is drawn; ``dash`` is a matplotlib line style, ``width`` in points."""

    colour: str
    marker: str
    dash: str | tuple[int, tuple[int, ...]]
    width: float = 1.4


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw and save within this context; the caller's matplotlib settings come back afterwards."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def line_styles(names: Iterable[str], random: Iterable[str] = ()) -> dict[str, LineStyle]:
    """A style per name, by its place in ``names``: a colour and a marker each; names in ``random`` grey and dashed."""
    random, styles = set(random), {}
    trained = twins = 0
    for i, name in enumerate(names):
        marker = MARKERS[i % len(MARKERS)]
        if name in random:
            styles[name] = LineStyle(RANDOM_GREYS[twins % len(RANDOM_GREYS)], marker, (0, (4, 2)))
            twins += 1
        else:
            dash = ("-", "-.", (0, (6, 1, 1, 1, 1, 1)))[trained // len(PALETTE) % 3]
            styles[name] = LineStyle(PALETTE[trained % len(PALETTE)], marker, dash)
            trained += 1
    return styles


def wrap_name(name: str, width: int) -> str:
    """Break a name into lines of at most ``width`` characters, after spaces, hyphens and underscores where it can."""
    # textwrap breaks at spaces only: mark the other places, then take the marks out again.
    marked = name.replace("_", "_\0 ").replace("-", "-\0 ")
    lines: list[str] = []
    for word in marked.split(" "):
        clean = word.rstrip("\0")
        glue = "" if not lines or lines[-1].endswith("\0") else " "
        if lines and len(lines[-1].rstrip("\0") + glue + clean) <= width:
            lines[-1] = lines[-1].rstrip("\0") + glue + word
        else:
            lines.append(word)
    pieces = (piece for line in lines for piece in wrap(line.rstrip("\0"), width, break_on_hyphens=False) or [""])
    return "\n".join(pieces)


def check_formats(paths: Sequence[str | Path]) -> None:
    """Refuse a file name that no figure is written as, before the work of drawing.

    Raises:
        InputError: A suffix is not png, svg or pdf.
    """
    for path in paths:
        if Path(path).suffix.lstrip(".") not in FORMATS:
            raise InputError(f"{path}: figures are written as {', '.join(FORMATS)}; choose one of these suffixes")


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure in the format of its suffix: png at 200 dpi, svg and pdf the same in every run."""
    form = Path(path).suffix.lstrip(".")
    check_formats([path])
    # It reports every table of every font that it embeds.
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    with figure_style():
        figure.savefig(path, format=form, metadata=_METADATA[form])
