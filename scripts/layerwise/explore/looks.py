"""How models look in the charts of the page: in the colours and with the markers of the figures."""

from collections.abc import Collection, Iterable

from layerwise.figures.drawing.style import PALETTE, line_styles

# Vega's symbols for matplotlib's markers.
SHAPES = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "P": "cross"}
SHAPES |= {"X": "wedge", "<": "triangle-left", ">": "triangle-right", "*": "arrow"}


def themed(colour: str) -> str:
    """A colour of the figures as CSS: the page's variable for it. Greys are for what stands back."""
    return f"var(--c{PALETTE.index(colour) + 1})" if colour in PALETTE else "var(--quiet)"


def model_looks(models: Iterable[str], random: Collection[str]) -> dict[str, tuple[str, str]]:
    """By model its colour and its symbol.

    Args:
        models: in the order of the study, which decides their colours.
        random: those of them that are untrained.
    """
    styles = line_styles(models, random)
    return {name: (themed(style.colour), SHAPES[style.marker]) for name, style in styles.items()}
