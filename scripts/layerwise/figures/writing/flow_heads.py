"""The table of the strongest heads, and of groups of heads."""

import pandas as pd

from layerwise.compare.statistics.flow_means import FEWEST_IMAGES
from layerwise.figures.names import arrow
from layerwise.figures.writing.sections import Section, number
from layerwise.flow.head_results import ALL

STRONGEST = (
    "The single head whose blocking lowers the answer's probability most, and the mean change in percent over the "
    "questions answered rightly. Brackets are 95 % intervals over images that allow for picking the head among all and "
    f"for skewed changes. There are none (–) for fewer than {FEWEST_IMAGES} images, nor where nearly all images change "
    "alike."
)
OTHERS = (
    "Groups of heads, blocked at once, and the single heads that lower the answer's probability most. Each interval is "
    "that of its row alone: it allows neither for picking these heads nor for how many were tried, and of many "
    f"intervals about one in twenty misses the truth. For fewer than {FEWEST_IMAGES} images it is Student's, which is "
    "too short where changes are skewed."
)
# So many single heads follow the groups.
FIRST = 5


def head_sections(strongest: pd.DataFrame, heads: pd.DataFrame) -> list[Section]:
    """Per cell: the strongest heads by type and flow; then groups, and the first heads, over all questions.

    Args:
        strongest: of all cells, see :mod:`layerwise.compare.flow_strongest_heads`.
        heads: of the same, see :mod:`layerwise.compare.flow_heads`.
    """
    sections = []
    for (model, questions), rows in strongest.groupby(["model", "questions"], sort=False):
        of_cell = heads[(heads["model"] == model) & (heads["questions"] == questions)]
        n_heads = rows["n_heads"].iloc[0]
        name = f"{model} on {questions}"
        frame = _frame(rows.assign(group="", mean=rows["change"]))
        sections.append(_section(f"{name}: strongest of {n_heads} heads", frame, STRONGEST))
        sections.append(_section(f"{name}: groups and heads", _frame(_first(of_cell)), OTHERS))
    return sections


def _first(heads: pd.DataFrame) -> pd.DataFrame:
    """Groups and the first heads of each flow, over all types of questions."""
    heads = heads[heads["type"] == (ALL if ALL in set(heads["type"]) else heads["type"].iloc[0])]
    parts = []
    for _, rows in heads.groupby("flow", sort=False):
        parts += [rows[rows["group"] != ""], rows[rows["group"] == ""].nsmallest(FIRST, "mean")]
    return pd.concat(parts, ignore_index=True)


def _frame(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "type": rows["type"],
            "flow": rows["flow"].map(arrow),
            "blocked": [row.group or f"block {row.layer}, head {row.head}" for row in rows.itertuples()],
            "change (%)": [
                f"{number(row.mean, '.1f')} [{number(row.low, '.1f')}, {number(row.high, '.1f')}]"
                for row in rows.itertuples()
            ],
            "questions": rows["n"],
            "images": rows["n_images"],
        }
    )


def _section(title: str, frame: pd.DataFrame, note: str) -> Section:
    return Section(title, frame, note, ("change (%)", "questions", "images"), row_names=3)
