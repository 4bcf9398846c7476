"""Scores on parts of the test items at the best layer, for reading."""

import pandas as pd

from layerwise.compare.inputs import CELL
from layerwise.compare.parts import ALL, RIGHT, SEEN, UNSEEN, WRONG
from layerwise.figures.names import metric_name
from layerwise.figures.writing.sections import Section, number, with_interval
from layerwise.figures.writing.words import HOLDS_FOR

SHARED = f"Test scores × 100 with 95 % intervals over images, in the layer with the best validation score. {HOLDS_FOR}"
BY_TEXT = (
    f"{SHARED} Unseen texts occur in no training or validation item. The difference is measured on the same "
    "resamples; part of it may come from texts that are harder or easier. Without the image: the probe of the "
    "same layer that reads the same words."
)
BY_TEXT_ALONE = (
    f"{SHARED} Items are chosen by the errors of another probe: that of the same words without the image, in its own "
    "best layer. So chance is no baseline for either part. A probe that hangs on the words is low in one and high in "
    "the other. What speaks for the image is a score above chance in both, and above the same layer without the image. "
    "Beside them, on the same items: that layer, and the majority baseline."
)
DASHES = (
    "A dash: one of the two parts would have a single class, as where the text alone gives all items the same answer, "
    "and a constant would be right in all of it."
)
NO_PARTS = (
    f"{SHARED} The items that the text alone has wrong or right are not shown apart: one of the two parts would have a "
    "single class, as where the text alone gives all items the same answer, and a constant would be right in all of "
    "it. Minimal pairs are such a case, because each text is as often right as wrong. Beside the score of all items: "
    "the same layer without the image, and the majority baseline."
)


def test_parts_sections(table: pd.DataFrame) -> list[Section]:
    """A section per task with unseen texts, then one per task whose words are also read without the image.

    Args:
        table: see :mod:`layerwise.compare.test_parts`.
    """
    best = table[table["is_best"]]
    sections = [_by_text(of_task) for _, of_task in best.groupby("task", sort=False) if _has(of_task, SEEN, UNSEEN)]
    sections += [
        _by_text_alone(of_task[of_task["text_only_prompt"] != ""])
        for _, of_task in best.groupby("task", sort=False)
        if (of_task["text_only_prompt"] != "").any()
    ]
    return sections


def _has(rows: pd.DataFrame, *parts: str) -> bool:
    return bool(rows["part"].isin(parts).any())


def _by_text(rows: pd.DataFrame) -> Section:
    parts, shown = _beside(rows, ALL, SEEN, UNSEEN)
    shown["All"] = _or_dash(parts[ALL], "value")
    shown["Seen texts"] = _or_dash(parts[SEEN], "value")
    shown["Unseen texts"] = _or_dash(parts[UNSEEN], "value")
    shown["Unseen − seen"] = _or_dash(parts[UNSEEN], "difference", sign="+")
    shown["Without the image"] = _of_both(parts[SEEN], parts[UNSEEN], "text_only")
    shown["Majority"] = _of_both(parts[SEEN], parts[UNSEEN], "majority")
    shown["Items"] = _counts(parts[SEEN], parts[UNSEEN])
    return _section(rows, "seen and unseen texts", shown, BY_TEXT)


def _by_text_alone(rows: pd.DataFrame) -> Section:
    parts, shown = _beside(rows, ALL, WRONG, RIGHT)
    shown["All"] = _or_dash(parts[ALL], "value")
    about, note = "where the text alone is wrong or right", BY_TEXT_ALONE
    if not _has(rows, WRONG, RIGHT):
        for column, name in (("Without the image", "text_only"), ("Majority", "majority")):
            shown[column] = [_share(value) for value in parts[ALL][name]]
        shown["Items"] = [f"{n:.0f}" for n in parts[ALL]["n"]]
        return _section(rows, "beside the text alone", shown, NO_PARTS)
    if parts[WRONG]["value"].isna().any():
        note += f" {DASHES}"
    shown["Text alone wrong"] = _or_dash(parts[WRONG], "value")
    shown["Text alone right"] = _or_dash(parts[RIGHT], "value")
    shown["Without the image"] = _of_both(parts[WRONG], parts[RIGHT], "text_only")
    shown["Majority"] = _of_both(parts[WRONG], parts[RIGHT], "majority")
    shown["Items"] = _counts(parts[WRONG], parts[RIGHT])
    return _section(rows, about, shown, note)


def _beside(rows: pd.DataFrame, *names: str) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Rows of parts by their names, all in the order of the cells, and the columns that name cells and layers."""
    cells = rows.drop_duplicates(CELL)
    keys = pd.MultiIndex.from_frame(cells[CELL])
    parts = {name: rows[rows["part"] == name].set_index(CELL).reindex(keys) for name in names}
    layers = [f"{layer} / {last}" for layer, last in zip(cells["layer"], cells["n_layers"], strict=True)]
    return parts, pd.DataFrame({"Model": cells["model"], "Prompt": cells["prompt"], "Best layer": layers})


def _or_dash(rows: pd.DataFrame, name: str, sign: str = "") -> list[str]:
    """A column with its interval; a dash where a cell has no such part."""
    bounds = rows if name != "value" else rows.rename(columns={"low": "value_low", "high": "value_high"})
    shown = with_interval(bounds, name, sign)
    return ["–" if missing else text for text, missing in zip(shown, rows[name].isna(), strict=True)]


def _of_both(first: pd.DataFrame, second: pd.DataFrame, name: str) -> list[str]:
    pairs = zip(first[name], second[name], strict=True)
    return ["–" if pd.isna(one) and pd.isna(other) else f"{_share(one)} | {_share(other)}" for one, other in pairs]


def _share(value: float) -> str:
    return number(100 * value, ".1f")


def _counts(first: pd.DataFrame, second: pd.DataFrame) -> list[str]:
    pairs = zip(first["n"].fillna(0), second["n"].fillna(0), strict=True)
    return [f"{one:.0f} | {other:.0f}" for one, other in pairs]


def _section(rows: pd.DataFrame, about: str, shown: pd.DataFrame, note: str) -> Section:
    title = f"{rows['task'].iloc[0]}, {about}: {metric_name(rows['metric'].iloc[0])}"
    names = (("Model", 0.12), ("Prompt", 0.12))
    return Section(title, shown, note, tuple(shown.columns[2:]), names, row_names=2)
