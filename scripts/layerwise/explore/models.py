"""How models look: the colours that they have in the figures, whatever a chart shows of them."""

import pandas as pd
from matplotlib.typing import LineStyleType

from layerwise.compare.inputs import Given, as_they_are, language_models, with_draws
from layerwise.figures.drawing.style import PAIRED, LineStyle, line_styles, paired_styles


def with_styles(rows: pd.DataFrame, given: Given) -> pd.DataFrame:
    """The rows with the columns ``colour``, ``marker`` and ``dash`` of their models.

    Args:
        rows: with a column ``model``.
        given: the models and the headline scores, also of numbers. Colours are chosen over all models.
    """
    tables = [name for name in ("headline", "number-headline") if name in given.files]
    headline = pd.concat([given.comparison(name) for name in tables], ignore_index=True)
    _, models = as_they_are(headline, with_draws(given.models, headline))
    random = [name for name, model in models.items() if model.is_random]
    found, _ = paired_styles(line_styles(list(models), random), language_models(headline), {})
    return rows.assign(
        colour=[found[model].colour for model in rows["model"]],
        marker=[found[model].marker for model in rows["model"]],
        dash=["-" if found[model].dash == "-" else "- -" for model in rows["model"]],
    )


def styles(rows: pd.DataFrame) -> dict[str, LineStyle]:
    """The styles of the models of such rows."""
    looks = rows.drop_duplicates("model")
    dashes: dict[str, LineStyleType] = {"-": "-", "- -": PAIRED}
    return {row.model: LineStyle(row.colour, row.marker, dashes[row.dash]) for row in looks.itertuples()}
