"""The table of the strongest windows, and of what was asked and kept."""

from collections.abc import Mapping, Sequence

import pandas as pd

from layerwise.compare.statistics.flow_means import FEWEST_IMAGES
from layerwise.figures.names import arrow
from layerwise.figures.writing.sections import Section, number

STRONGEST = (
    "The window of blocks in which blocking the attention lowers the answer's probability most, by its centre, and "
    "the mean change in percent over the questions answered rightly. Brackets are 95 % intervals over images that "
    "allow for picking the window and for skewed changes. There are none (–) for fewer than "
    f"{FEWEST_IMAGES} images, nor where nearly all images change alike."
)
KEPT = (
    "Only questions that a model answers rightly are measured: what was asked, what was kept, and why the rest was not."
)


def flow_sections(strongest: pd.DataFrame, descriptions: Sequence[Mapping[str, Mapping]]) -> list[Section]:
    """Two sections per cell: strongest windows, and questions asked and kept.

    Args:
        strongest: of all cells, see :mod:`layerwise.compare.flow_strongest`.
        descriptions: of the cells, in their order.
    """
    sections = []
    for description in descriptions:
        cell = description["cell"]
        name = f"{cell['model']} on {cell['questions']}"
        rows = strongest[(strongest["model"] == cell["model"]) & (strongest["questions"] == cell["questions"])]
        frame = pd.DataFrame(
            {
                "type": rows["type"],
                "flow": rows["flow"].map(arrow),
                "window": [f"{row.window} of {row.n_layers}" for row in rows.itertuples()],
                "change (%)": [
                    f"{number(row.change, '.1f')} [{number(row.low, '.1f')}, {number(row.high, '.1f')}]"
                    for row in rows.itertuples()
                ],
                "questions": rows["n"],
                "images": rows["n_images"],
            }
        )
        title = f"{name}: strongest windows of {cell['window']} block{'s' * (cell['window'] > 1)}"
        numbers = ("window", "change (%)", "questions", "images")
        sections.append(Section(title, frame, STRONGEST, numbers, row_names=2))
        sections.append(Section(f"{name}: questions", _kept(description), KEPT, numbers=("asked", "kept", "share (%)")))
    return sections


def _kept(description: Mapping[str, Mapping]) -> pd.DataFrame:
    rows = []
    for kind, counts in description["types"].items():
        share = "" if counts["kept_share"] is None else f"{100 * counts['kept_share']:.1f}"
        reasons = "; ".join(f"{times}: {reason}" for reason, times in counts["left_out"].items())
        rows.append([kind, counts["asked"], counts["kept"], share, reasons])
    for reason, times in description["without_object_patches"].items():
        rows.append(["all", "", times, "", f"without object patches: {reason}"])
    return pd.DataFrame(rows, columns=["type", "asked", "kept", "share (%)", "left out"])
