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
DIFFERENCES = (
    "The same for the difference of logits: how far the answer's logit is above that of its distractor. The change is "
    "blocked minus free, so that a change below 0 says that blocking brings the two answers closer."
)
KEPT = (
    "Only questions that a model answers rightly are measured: what was asked, what was kept, and why the rest was not."
)


def flow_sections(
    strongest: pd.DataFrame, descriptions: Sequence[Mapping[str, Mapping]], differences: pd.DataFrame | None = None
) -> list[Section]:
    """Per cell: strongest windows, also by the difference of logits where it is measured, and questions asked and kept.

    Args:
        strongest: of all cells, see :mod:`layerwise.compare.flow_strongest`.
        descriptions: of the cells, in their order.
        differences: of the cells with distractors, see :mod:`layerwise.compare.flow_strongest_differences`.
    """
    sections = []
    for description in descriptions:
        cell = description["cell"]
        name = f"{cell['model']} on {cell['questions']}"
        title = f"{name}: strongest windows of {cell['window']} block{'s' * (cell['window'] > 1)}"
        sections.append(_windows(title, _of_cell(strongest, cell), "change (%)", ".1f", STRONGEST))
        if differences is not None and "without_logit_difference" in description:
            rows = _of_cell(differences, cell)
            sections.append(_windows(f"{title}, by logits", rows, "change of logits", ".2f", DIFFERENCES))
        sections.append(Section(f"{name}: questions", _kept(description), KEPT, numbers=("asked", "kept", "share (%)")))
    return sections


def both_measures(strongest: pd.DataFrame, differences: pd.DataFrame) -> pd.DataFrame:
    """Both tables in one, with the column ``measure``."""
    measures = {"probability (%)": strongest, "logit difference": differences}
    filled = [table.assign(measure=measure) for measure, table in measures.items() if not table.empty]
    return pd.concat(filled, ignore_index=True) if filled else strongest.assign(measure=[])


def _of_cell(table: pd.DataFrame, cell: Mapping[str, str]) -> pd.DataFrame:
    return table[(table["model"] == cell["model"]) & (table["questions"] == cell["questions"])]


def _windows(title: str, rows: pd.DataFrame, change: str, form: str, note: str) -> Section:
    frame = pd.DataFrame(
        {
            "type": rows["type"],
            "flow": rows["flow"].map(arrow),
            "window": [f"{row.window} of {row.n_layers}" for row in rows.itertuples()],
            change: [
                f"{number(row.change, form)} [{number(row.low, form)}, {number(row.high, form)}]"
                for row in rows.itertuples()
            ],
            "questions": rows["n"],
            "images": rows["n_images"],
        }
    )
    return Section(title, frame, note, ("window", change, "questions", "images"), row_names=2)


def _kept(description: Mapping[str, Mapping]) -> pd.DataFrame:
    rows = []
    for kind, counts in description["types"].items():
        share = "" if counts["kept_share"] is None else f"{100 * counts['kept_share']:.1f}"
        reasons = "; ".join(f"{times}: {reason}" for reason, times in counts["left_out"].items())
        rows.append([kind, counts["asked"], counts["kept"], share, reasons])
    for reason, times in description["without_object_patches"].items():
        rows.append(["all", "", times, "", f"without object patches: {reason}"])
    for reason, times in description.get("without_logit_difference", {}).items():
        rows.append(["all", "", times, "", f"without logit difference: {reason}"])
    return pd.DataFrame(rows, columns=["type", "asked", "kept", "share (%)", "left out"])
