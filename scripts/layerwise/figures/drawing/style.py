"""One look for every figure: colours, markers, names, and files that come out the same byte for byte."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from matplotlib.typing import LineStyleType, RcKeyType

from layerwise.errors import InputError

# Okabe and Ito (2008), "Color Universal Design", https://jfly.uni-koeln.de/color/. Their yellow is left out: it is
# too pale for a line on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
RANDOM_GREYS = ("#7A7A7A", "#A0A0A0", "#555555")
DASHES: tuple[LineStyleType, ...] = ("-", "-.", (0, (6, 1, 1, 1, 1, 1)))
# Of the language model that the model of the same colour was made from.
PAIRED: LineStyleType = (0, (4, 2))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
CHANCE_COLOUR = "#444444"
NOTE_COLOUR, NOTE_SIZE = "#B00020", 8
FORMATS = ("png", "svg", "pdf")

_RC: dict[RcKeyType, Any] = {
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
    # TrueType (42) rather than Type 3, so that text stays text in editors and for submission systems.
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    # Without a fixed salt matplotlib draws random ids, and the same figure differs from run to run.
    "svg.hashsalt": "layerwise",
}
# A date would make two runs differ.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "ModDate": None},
}


@dataclass(frozen=True)
class LineStyle:
    """How one line is drawn; ``dash`` is a matplotlib line style, ``width`` in points."""

    colour: str
    marker: str
    dash: LineStyleType
    width: float = 1.4


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw and save within this context; the caller's matplotlib settings come back afterwards."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def line_styles(names: Iterable[str], random: Iterable[str] = ()) -> dict[str, LineStyle]:
    """A colour and a marker per name, by its place in ``names``; names in ``random`` are grey and dashed."""
    random = set(random)
    styles: dict[str, LineStyle] = {}
    trained = twins = 0
    for i, name in enumerate(names):
        marker = MARKERS[i % len(MARKERS)]
        if name in random:
            styles[name] = LineStyle(RANDOM_GREYS[twins % len(RANDOM_GREYS)], marker, (0, (4, 2)))
            twins += 1
        else:
            styles[name] = LineStyle(PALETTE[trained % len(PALETTE)], marker, DASHES[trained // len(PALETTE) % 3])
            trained += 1
    return styles


def paired_styles(
    styles: Mapping[str, LineStyle], pairs: Mapping[str, Sequence[str]], notes: Mapping[str, str]
) -> tuple[dict[str, LineStyle], dict[str, str]]:
    """The styles with each language model dashed in the colour of a model that was made from it, and what legends add.

    Args:
        styles: by model.
        pairs: by language model the names of the models that were made from it; the first one's colour is taken.
        notes: what legends add to other names.
    """
    paired = {base: replace(styles[base], colour=styles[made[0]].colour, dash=PAIRED) for base, made in pairs.items()}
    said = {base: f"language model of {', '.join(made)}" for base, made in pairs.items()}
    return dict(styles) | paired, dict(notes) | said


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


def draw_reason(text: str) -> Figure:
    """A figure that only gives the reason why there is nothing to show."""
    drawing = Figure(layout="constrained", figsize=(4.6, 1.2))
    drawing.text(0.02, 0.5, wrap_name(text, 70), va="center")
    return drawing


def check_formats(paths: Sequence[str | Path]) -> None:
    """Refuse an unknown format before anything is drawn.

    Raises:
        InputError: A suffix is not png, svg or pdf.
    """
    for path in paths:
        if Path(path).suffix.lstrip(".") not in FORMATS:
            raise InputError(f"{path}: figures are written as {', '.join(FORMATS)}; choose one of these suffixes")


def save_figure(figure: Figure, path: str | Path, note: str = "") -> None:
    """Write a figure in the format of its suffix: png at 200 dpi, svg and pdf the same in every run.

    Args:
        figure: the figure.
        path: .png, .svg or .pdf.
        note: a line in red above the figure; the page grows by its height.
    """
    form = Path(path).suffix.lstrip(".")
    check_formats([path])
    # fontTools logs every table of every font that it embeds.
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    with figure_style():
        if not note:
            figure.savefig(path, format=form, metadata=_METADATA[form])
            return
        wide, high = figure.get_size_inches()
        # A letter is about half as wide as it is high.
        lines = wrap(note, int(wide * 72 / (0.5 * NOTE_SIZE)), break_on_hyphens=False)
        added = (len(lines) + 0.5) * NOTE_SIZE * 1.2 / 72
        above = 1 + 0.2 * NOTE_SIZE / 72 / high
        text = figure.text(0.01, above, "\n".join(lines), color=NOTE_COLOUR, fontsize=NOTE_SIZE, va="bottom")
        text.set_in_layout(False)
        page = Bbox.from_bounds(0, 0, wide, high + added)
        figure.savefig(path, format=form, metadata=_METADATA[form], bbox_inches=page)
        text.remove()
