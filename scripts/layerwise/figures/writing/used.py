"""Table 4 for reading: is a concept used, in which blocks, and how much of the answer goes with it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from layerwise.figures.names import metric_name
from layerwise.figures.writing.best_layers import ranges
from layerwise.figures.writing.sections import Section, number
from layerwise.figures.writing.words import p_in_words

CELL = ["model", "task", "prompt"]
EFFECTS = (
    "One row per model and prompt, at the block in which erasing the concept takes most of the right answer's margin "
    "beyond random directions of the same size. Effect: how far the margin falls, in log odds, with its 95 % interval "
    "over images. Random: the mean over draws of random directions [least, greatest draw]. Difference: effect less "
    "that mean, with its 95 % interval over images and draws. Intervals are of this block, as if it had not been "
    "chosen. p: one-sided, of an effect no greater than that of one more draw, corrected over all blocks. Flips: % of "
    "items whose "
    "answer changes. Right: % of items answered rightly, before and after. In round brackets: with random "
    "directions. A dash: not tested, or nothing was steered."
)
FOUND = (
    "In the same block. Margin: log odds of the right answer in the unchanged run, with its 95 % interval over images. "
    "Complete: % of the margin that erasing takes. Selective: 100 less the mean % that it takes of other tasks' "
    "margins. Product: of both. Probe at the top: score × 100 of the kept probe of the "
    "topmost block, before and after erasing; in round brackets, with random directions. A dash: not defined, because "
    "the model does not answer, or no other task is answered."
)
WORDS = (
    "Used: the effect is above 0, above that of every random draw, and above what every draw does to the classes that "
    "it itself gives the items; p is below 0.05; and the model answers the task at all. Steered: at every strength, "
    "the effect of steering is above 0 and above that of every random draw, with such a p and such answers."
)


def used_table(used: pd.DataFrame, above: pd.DataFrame) -> pd.DataFrame:
    """The numbers of Table 4: a row per cell, at the block of the greatest effect beyond the controls.

    Args:
        used: see :mod:`layerwise.compare.used`.
        above: see :mod:`layerwise.compare.used_above`.

    Returns:
        The columns of ``used`` for erasing, without those of a strength, and ``used_at`` and ``steered_at`` (blocks
        with a verdict, separated by spaces), ``steered`` (whether there was any steering), ``sentence``, and what the
        kept probe of the topmost block finds: ``metric``, ``top_free``, ``top_erased``, ``top_control``.
    """
    peaks = used[used["peak"]].drop(columns=["change", "strength", "used", "peak"])
    rows = [row | _blocks(used, row) for row in peaks.to_dict("records")]
    table = pd.DataFrame(rows)
    top = above[above["above"] == above["n_layers"]]
    kept = top.rename(columns={"free": "top_free", "erased": "top_erased", "control": "top_control"})
    columns = ["metric", "top_free", "top_erased", "top_control"]
    table = table.merge(kept[[*CELL, "block", *columns]], on=[*CELL, "block"], how="left", validate="one_to_one")
    return table.assign(sentence=[sentence(row) for row in table.to_dict("records")])


def _blocks(used: pd.DataFrame, row: Mapping[str, Any]) -> dict[str, Any]:
    """The blocks with a verdict of a cell."""
    here = used[(used["model"] == row["model"]) & (used["task"] == row["task"]) & (used["prompt"] == row["prompt"])]
    steer = here[here["change"] == "steer"].groupby("block")["used"].all()
    erase = here[here["change"] == "erase"].set_index("block")["used"]
    return {
        "used_at": " ".join(map(str, sorted(erase.index[erase]))),
        "steered_at": " ".join(map(str, sorted(steer.index[steer]))),
        "steered": len(steer) > 0,
        "p_least": float(here.loc[here["change"] == "erase", "p_value"].min()),
    }


def sentence(row: Mapping[str, Any]) -> str:
    """One row as a plain sentence, such as "entailment (prompt agree): llava uses it in blocks 2-4 (...)."."""
    said = f"{row['task']} (prompt {row['prompt']}): {row['model']} "
    if row["missing"]:
        return f"{said}has no verdict: {row['missing']}."
    if not row["used_at"]:
        return f"{said}is not shown to use it in any block (smallest p: {p_in_words(row['p_least'], False)})."
    where = ranges(row["used_at"])
    blocks = "blocks" if " " in row["used_at"] else "block"
    lost = f"erasing it in block {row['block']} takes {number(100 * row['completeness'], '.0f')} % of the margin"
    right = (number(100 * row[name], ".0f") for name in ("free_accuracy", "accuracy"))
    answers = f"right answers go from {' to '.join(right)} %"
    return f"{said}uses it in {blocks} {where}: {lost}, and {answers}{_steering(row)}."


def _steering(row: Mapping[str, Any]) -> str:
    if not row["steered"]:
        return ""
    if not row["steered_at"]:
        return "; steering along it is not shown to move the answer at every strength"
    blocks = "blocks" if " " in row["steered_at"] else "block"
    return f"; the answer follows steering in {blocks} {ranges(row['steered_at'])}"


def used_sections(table: pd.DataFrame, across: pd.DataFrame) -> list[Section]:
    """A section of sentences, two per task, and one of every concept against every task.

    Args:
        table: see :func:`used_table`.
        across: see :mod:`layerwise.compare.used_across`.
    """
    words = pd.DataFrame({"Verdict": table["sentence"]})
    sections = [Section("In words", words, WORDS, texts=(("Verdict", 0.95),), row_names=0)]
    effects: list[Section] = []
    shares: list[Section] = []
    for task, rows in table.groupby("task", sort=False):
        names = {"Model": rows["model"], "Prompt": rows["prompt"]}
        block = {"Block": [f"{row.block} / {row.n_layers}" for row in rows.itertuples()]}
        effect = names | {
            "Used in": [_verdict(row) for row in rows.to_dict("records")],
            "Steered in": [ranges(at) or "–" for at in rows["steered_at"]],
            **block,
            "Effect": _bounded(rows, "effect", sign="+"),
            "Random": _bounded(rows, "control", "_least", "_greatest", sign="+"),
            "Difference": _bounded(rows, "difference", sign="+"),
            "p": [p_in_words(p, False) for p in rows["p_value"]],
            "Flips": _beside(rows, "flips", "control_flips"),
            "Right": _changed(rows["free_accuracy"], rows["accuracy"], rows["control_accuracy"]),
        }
        share = names | {
            **block,
            "Margin": _bounded(rows, "free"),
            "Complete": _percent(rows["completeness"], ".0f"),
            "Selective": _percent(rows["selectivity"], ".0f"),
            "Product": _percent(rows["product"], ".0f"),
            "Probe at the top": _changed(rows["top_free"], rows["top_erased"], rows["top_control"]),
        }
        metric = ", ".join(metric_name(name) for name in rows["metric"].dropna().unique())
        found = f"{task}: shares of the answer, and what probes find ({metric})" if metric else f"{task}: shares"
        effects.append(_section(f"{task}: effects", effect, EFFECTS))
        shares.append(_section(found, share, FOUND))
    # Sections with one note stand together, because a page shows it once.
    return [*sections, *effects, *shares, *_across(table, across)]


def _section(title: str, columns: Mapping[str, Any], note: str) -> Section:
    shown, texts = pd.DataFrame(columns), (("Model", 0.14), ("Prompt", 0.1))
    return Section(title, shown, note, tuple(shown.columns[2:]), texts, row_names=2)


def _across(table: pd.DataFrame, across: pd.DataFrame) -> list[Section]:
    """The share of each task's margin that erasing each concept takes, at the concept's block of the table."""
    rows = []
    for peak in table.itertuples():
        of = f"{peak.task}/{peak.prompt}"
        at = across[(across["model"] == peak.model) & (across["of"] == of) & (across["block"] == peak.block)]
        if not at["own"].all():
            row: dict[str, Any] = {"Model": peak.model, "Erased": of.replace("/", ": "), "Block": str(peak.block)}
            rows.append(
                row | {f"{hit.task}: {hit.prompt}": number(100 * hit.completeness, ".0f") for hit in at.itertuples()}
            )
    if not rows:
        return []
    note = (
        "Share of the margin of each task (columns) that erasing a concept (rows) takes, × 100, in the block of the "
        "concept's greatest effect. A dash: the model does not answer the task, or this pair is not measured."
    )
    frame = pd.DataFrame(rows).fillna("–")
    return [Section("Between tasks", frame, note, tuple(frame.columns[2:]), row_names=2)]


def _verdict(row: Mapping[str, Any]) -> str:
    if row["missing"]:
        return "not tested" if row["answers"] else "no answer"
    return f"used: {ranges(row['used_at'])}" if row["used_at"] else "not used"


def _bounded(rows: pd.DataFrame, name: str, low: str = "_low", high: str = "_high", sign: str = "") -> list[str]:
    ends = zip(rows[name], rows[name + low], rows[name + high], strict=True)
    return [f"{number(value, f'{sign}.2f')} [{number(a, '.2f')}, {number(b, '.2f')}]" for value, a, b in ends]


def _percent(values: Sequence[float] | pd.Series, form: str = ".1f") -> list[str]:
    return [number(100 * value, form) for value in values]


def _beside(rows: pd.DataFrame, name: str, control: str) -> list[str]:
    pairs = zip(_percent(rows[name]), _percent(rows[control]), strict=True)
    return [f"{own} ({drawn})" for own, drawn in pairs]


def _changed(before: pd.Series, after: pd.Series, drawn: pd.Series) -> list[str]:
    """Shares before and after erasing, and in round brackets after random directions."""
    return [
        f"{number(100 * a, '.1f')} → {number(100 * b, '.1f')} ({number(100 * c, '.1f')})" if pd.notna(a) else "–"
        for a, b, c in zip(before, after, drawn, strict=True)
    ]
