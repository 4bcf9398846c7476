"""The table of what layers know and what models say, for reading."""

import pandas as pd

from layerwise.compare.inputs import CELL
from layerwise.compare.readings import SAID, SHARES, THRESHOLD, WRITTEN
from layerwise.figures.names import metric_name
from layerwise.figures.writing.sections import Section, number, with_interval
from layerwise.figures.writing.words import HOLDS_FOR, HOW_TESTED, TOO_FEW, p_in_words

KNOWN_NOT_SAID = SHARES[1]
COMPARED = (
    "Test scores × 100 with 95 % intervals over images. "
    f"{HOLDS_FOR} Known: the probe of the layer with the best validation score. Said: the model's own answer, as said "
    "(the most probable class) or at threshold (the same after an offset per class that is best on validation). Known, "
    "not said: the share of test items that the probe has right and the model has wrong; in round brackets, what it "
    f"would be if the two were independent. {HOW_TESTED} A dash: there are {TOO_FEW}; or the metric ranks items and "
    "needs no threshold."
)
ANSWERS = (
    "The model's own answers, as said, on the test split. Says: for how many items in a hundred each class is the most "
    "probable one. Brier score: mean squared error of the probabilities, from 0 to 1; 0.25 if both of two classes "
    "always have 1/2. Calibration error: how far the probability of the said class is from the share that is right, on "
    "average over ten bins of equally many items. Mass: the probability of all answers together, among all tokens."
)
BOUNDS = ("", "_low", "_high")
# As figures and captions call it.
NAMES = {THRESHOLD: "at threshold"}


def known_said_table(top: pd.DataFrame, shares: pd.DataFrame, said: pd.DataFrame) -> pd.DataFrame:
    """The numbers of the table: a row per cell and way to read the answer.

    Args:
        top: see :mod:`layerwise.compare.known_said_top`.
        shares: see :mod:`layerwise.compare.known_said`.
        said: see :mod:`layerwise.compare.said`.
    """
    kept = shares[shares["share"] == KNOWN_NOT_SAID].rename(
        columns={"layer": "best_layer", "value": "not_said", "low": "not_said_low", "high": "not_said_high"}
    )
    kept = kept.rename(columns={"independent": "not_said_independent"})
    columns = ["not_said", "not_said_low", "not_said_high", "not_said_independent", "phi"]
    keys = [*CELL, "label", "answer", "best_layer"]
    table = top.merge(kept[[*keys, *columns]], on=keys, how="left", validate="one_to_one")
    own = said[(said["split"] == "test") & (said["layer"] == said["n_layers"] + 1)]
    for metric in ("roc_auc", "brier", "calibration_error", "mass"):
        of_metric = own[(own["metric"] == metric) & (own["answer"] == SAID)]
        table = _joined(table, of_metric, metric)
    for metric, name in (("accuracy", "written"), ("unmatched", "unmatched")):
        table = _joined(table, own[(own["metric"] == metric) & (own["answer"] == WRITTEN)], name)
    says = own[own["metric"].str.startswith("says:") & (own["answer"] != WRITTEN)]
    for metric, of_class in says.groupby("metric", sort=False):
        table = _joined(table, of_class, str(metric), ("answer",))
    return table


def _joined(table: pd.DataFrame, rows: pd.DataFrame, name: str, keys: tuple[str, ...] = ()) -> pd.DataFrame:
    """The table with the value and the interval of some rows as columns."""
    named = rows.rename(columns={"value": name, "low": f"{name}_low", "high": f"{name}_high"})
    on = [*CELL, "label", *keys]
    columns = [*on, *(f"{name}{bound}" for bound in BOUNDS)]
    return table.merge(named[columns], on=on, how="left", validate="many_to_one")


def known_said_sections(table: pd.DataFrame) -> list[Section]:
    """A section per task of known against said, then one per task of what the model's own answers are like.

    Args:
        table: of :func:`known_said_table`.
    """
    # In this order, because a note is written once for sections that follow each other.
    compared, answers = [], []
    for task, rows in table.groupby("task", sort=False):
        shown = pd.DataFrame(
            {
                "Model": rows["model"],
                "Prompt": rows["prompt"],
                "Answer": rows["answer"].replace(NAMES),
                "Best layer": [
                    f"{best} / {top}" for best, top in zip(rows["best_layer"], rows["n_layers"], strict=True)
                ],
                "Known": with_interval(rows, "known"),
                "Said": with_interval(rows, "said"),
                "Known − said": with_interval(rows, "difference", sign="+"),
                "p (Holm)": list(map(p_in_words, rows["p_holm"], rows["p_holm_is_bound"])),
                "Known, not said": [
                    f"{share} ({number(100 * independent, '.1f')})"
                    for share, independent in zip(
                        with_interval(rows, "not_said"), rows["not_said_independent"], strict=True
                    )
                ],
                "Majority": [number(100 * value, ".1f") for value in rows["chance"]],
            }
        )
        names = (("Model", 0.12), ("Prompt", 0.11))
        title = f"{task}: {metric_name(rows['metric'].iloc[0])}"
        compared.append(Section(title, shown, COMPARED, tuple(shown.columns[3:]), names, row_names=3))
        as_said = rows[rows["answer"] == SAID]
        own = pd.DataFrame(
            {
                "Model": as_said["model"],
                "Prompt": as_said["prompt"],
                "Says": _says(as_said),
                "ROC AUC": with_interval(as_said, "roc_auc"),
                "Brier score": [number(value, ".3f") for value in as_said["brier"]],
                "Calibration error": [number(value, ".3f") for value in as_said["calibration_error"]],
                "Mass": [number(100 * value, ".1f") for value in as_said["mass"]],
            }
        )
        if as_said["written"].notna().any():
            written = as_said["written"].notna()
            own["Written"] = [
                shares if there else "–"
                for shares, there in zip(with_interval(as_said, "written"), written, strict=True)
            ]
            own["No answer written"] = [number(100 * value, ".1f") for value in as_said["unmatched"]]
        answers.append(Section(f"{task}: answers", own, ANSWERS, tuple(own.columns[3:]), names, row_names=2))
    return compared + answers


def _says(rows: pd.DataFrame) -> list[str]:
    classes = [name for name in rows.columns if name.startswith("says:") and not name.endswith(("_low", "_high"))]
    return [
        ", ".join(
            f"{name.removeprefix('says:')} {number(100 * row[name], '.0f')}" for name in classes if pd.notna(row[name])
        )
        for _, row in rows.iterrows()
    ]
