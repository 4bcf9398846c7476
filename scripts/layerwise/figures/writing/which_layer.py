"""Which layer knows it, for reading: a sentence per row, and a table per task."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from layerwise.figures.names import metric_name
from layerwise.figures.writing.best_layers import ranges
from layerwise.figures.writing.sections import Section, number, with_interval
from layerwise.figures.writing.words import HOLDS_FOR, TOO_FEW, p_in_words
from layerwise.probes.metrics.catalogue import METRICS

# Which of a row's columns say what it is compared with, and how a sentence calls that.
COMPARED = {"twins": ("twin", "its untrained twin"), "text_only": ("text", "what the text alone gives")}


def with_sentences(table: pd.DataFrame) -> pd.DataFrame:
    """The table with ``sentence``, and ``first_page``: whether it stands for its task and model in the report.

    That is the row of the prompt, among those that show the image, that lacks the fewest comparisons; the first of
    equals. Scores have no say in it.

    Args:
        table: see :mod:`layerwise.compare.which_layer`.
    """
    table = table.assign(sentence=[sentence(row) for row in table.to_dict("records")], first_page=False)
    lacks = table["missing"].map(lambda missing: len(missing.split("; ")) if missing else 0)
    order = table.assign(no_image=table["image"] != "shown", lacks=lacks)
    order = order.sort_values(["no_image", "lacks"], kind="stable")
    table.loc[order.drop_duplicates(["task", "model"]).index, "first_page"] = True
    return table


def sentence(row: Mapping[str, Any]) -> str:
    """One row as a plain sentence, such as "entailment (prompt agree): llava knows it from block 3 on (...), ...".

    Args:
        row: of the table.
    """
    said = f"{row['task']} (prompt {row['prompt']}): {row['model']} {_knows(row)}{_best(row)}"
    return "; ".join([said, *_references(row)]) + "."


def _knows(row: Mapping[str, Any]) -> str:
    chance = f"chance {_score(row, 'chance')}"
    if "too few images" in row["missing"]:
        return f"cannot be tested with so few images ({chance})"
    if not row["above_chance"]:
        return f"is not shown to be above chance in any layer ({chance})"
    compared = [column for column in COMPARED if row[column]]
    if row["above_all"]:
        verb = "knows it" if compared else "is above chance"
        return f"{verb} {_where(row, 'all')} ({_score(row, 'first')}, {chance})"
    empty = [column for column in compared if not row[f"above_{COMPARED[column][0]}"]]
    what = " and ".join(COMPARED[column][1] for column in empty[:1] or compared)
    both = "" if empty or len(compared) < 2 else "both "
    return f"is above chance {_where(row, 'chance')} ({chance}), but in no layer above {both}{what}"


def _where(row: Mapping[str, Any], reference: str) -> str:
    """The layers that are above something, from the first one on; in words."""
    first, last = int(row[f"first_above_{reference}"]), int(row["n_layers"])
    above = set(map(int, row[f"above_{reference}"].split()))
    end = first
    while end + 1 in above:
        end += 1
    if end == last:
        if first == last:
            return "in the topmost block only"
        return "in every layer" if first == 0 else f"from {_layer(first)} on"
    if first == end:
        return f"in {_layer(first)} only" if above == {first} else f"in {_layer(first)}"
    return f"from {_layer(first)} to {_layer(end)}"


def _best(row: Mapping[str, Any]) -> str:
    best, top = int(row["best_layer"]), int(row["top_layer"])
    low, high = (_score(row, f"best_{end}").removesuffix(" %") for end in ("low", "high"))
    score = f"{_score(row, 'best')} [{low}, {high}]"
    if best == top:
        return f", best in the topmost block ({score})"
    # Validation may choose a layer that is not the best on the test images.
    chosen = "best on validation in" if row["top"] > row["best"] else "best in"
    return f", {chosen} {_layer(best)} ({score}), in the topmost block {_score(row, 'top')}"


def _references(row: Mapping[str, Any]) -> list[str]:
    said = []
    draws = len(row["twins"].split())
    if draws > 1:
        said.append(f"its untrained twin, the mean of {draws} draws, reaches {_score(row, 'twin_highest')} at most")
    elif draws:
        said.append(f"its untrained twin reaches {_score(row, 'twin_highest')} at most")
    elif "twin not asked" in row["missing"]:
        said.append("its untrained twin was not asked")
    else:
        said.append("it has no untrained twin to compare with")
    if row["text_only"]:
        said.append(f"the text alone gives {_score(row, 'text_highest')} at most")
    return said


def _layer(layer: int) -> str:
    return f"block {layer}" if layer else "the embeddings"


def _score(row: Mapping[str, Any], column: str) -> str:
    """A score: shares of items in percent, others as they are."""
    value, metric = row[column], METRICS[row["metric"]]
    return f"{number(100 * value, '.0f')} %" if "accuracy" in metric.name else number(value, ".2f")


def which_layer_sections(table: pd.DataFrame) -> list[Section]:
    """The sentences, then a section per task: scores times 100, intervals in brackets.

    Args:
        table: see :func:`with_sentences`.
    """
    note = (
        "Layers: 0 for the embeddings, then the blocks. Above chance from: the first layer above the majority "
        "baseline. Above twin from: above the same layer of the untrained twin. Above text from: above the same layer "
        "when it reads the same words without the image. Above all from: above all of these that the row has. From the "
        "first layer to the best one, every layer is above. All tests of a row are one-sided, at the level of 5 %, and "
        f"corrected over its layers and comparisons. A dash: not compared, or there are {TOO_FEW}. The best layer is "
        "chosen on the validation split. As good: layers that are not worse. Test scores × 100 with 95 % intervals "
        f"over images. {HOLDS_FOR} p: of best − top, corrected over the rows of Table 2."
    )
    quoted = table[table["first_page"]]
    words = pd.DataFrame({"One prompt per task and model": quoted["sentence"]})
    sections = [Section("In words", words, texts=((words.columns[0], 0.95),), row_names=0)]
    for task, rows in table.groupby("task", sort=False):
        shown = pd.DataFrame(
            {
                "Model": rows["model"],
                "Prompt": rows["prompt"],
                "Above chance from": _firsts(rows, "chance"),
                "Above twin from": _firsts(rows, "twin"),
                "Above text from": _firsts(rows, "text"),
                "Above all from": _firsts(rows, "all"),
                "Score there": [_bounded(row, "first") for row in rows.to_dict("records")],
                "Best layer": [f"{row.best_layer} / {row.top_layer}" for row in rows.itertuples()],
                "Best": with_interval(rows, "best"),
                "As good": [ranges(layers) or "–" for layers in rows["not_worse"]],
                "Top block": with_interval(rows, "top"),
                "Best − top": [number(100 * value, "+.1f") for value in rows["difference"]],
                "p (Holm)": list(map(p_in_words, rows["p_holm"], rows["p_holm_is_bound"])),
                "Majority": [number(100 * value, ".1f") for value in rows["chance"]],
                "Twin at most": [_highest(row) for row in rows.to_dict("records")],
                "Text at most": [number(100 * value, ".1f") for value in rows["text_highest"]],
            }
        )
        title = f"{task}: {metric_name(rows['metric'].iloc[0])}"
        names = (("Model", 0.09), ("Prompt", 0.08))
        sections.append(Section(title, shown, note, tuple(shown.columns[2:]), names, row_names=2))
    return sections


def _firsts(rows: pd.DataFrame, reference: str) -> list[str]:
    """The first layers, "never" where no layer is above, a dash where it was not tested."""
    column = {"twin": "twins", "text": "text_only"}.get(reference)
    shown = []
    for row in rows.to_dict("records"):
        if "too few images" in row["missing"] or (column and not row[column]):
            shown.append("–")
        else:
            first = row[f"first_above_{reference}"]
            shown.append("never" if pd.isna(first) else str(int(first)))
    return shown


def _bounded(row: Mapping[str, Any], name: str) -> str:
    if pd.isna(row[name]):
        return "–"
    value, low, high = (number(100 * row[name + end], ".1f") for end in ("", "_low", "_high"))
    return f"{value} [{low}, {high}]"


def _highest(row: Mapping[str, Any]) -> str:
    draws = len(row["twins"].split())
    return number(100 * row["twin_highest"], ".1f") + (f" ({draws} draws)" if draws > 1 else "")
