"""What was measured of one model and one set of questions: the files, and readers that check them.

- ``{questions}.parquet``: one row per question, flow and window: ``question_id``, ``image_id``, ``type``, ``flow``,
  ``window`` (the block at its centre, from 1), ``n_layers``, ``p`` and ``p_blocked`` (probability of the answer's first
  token, free and blocked), ``change`` in percent. A flow is missing where a question has no source for it. With
  distractors also ``logit_difference`` and ``logit_difference_blocked``: how far the answer's logit is above the
  distractor's, NaN where a question has no distractor that begins otherwise.
- ``{questions}.tracing.parquet``: one row per question, layer (0 is the embedding output), ``norm`` (whether the final
  norm came before the head) and ``casing`` (lower, capitalised): ``p``.
- ``{questions}.answers.parquet``: one row per question that was asked: the gold ``answer``, what was ``given``, its
  ``outcome``, how many tokens the image has, and how many of them show the object.
- ``{questions}.json``: the cell; by type, how many questions were asked and kept, and why others were left out; the
  flows, if they are not those of the paper.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from layerwise.errors import InputError
from layerwise.flow.flows import FLOWS, Flow
from layerwise.jobs.command import finished_file

log = logging.getLogger(__name__)

# The outcome of a question.
KEPT, WRONG, NO_TOKEN = range(3)
OUTCOMES = ("kept", "answered wrongly", "its answer is not in the vocabulary")
NORMS, CASINGS = (True, False), ("lower", "capitalised")

DIFFERENCE_COLUMNS = ["logit_difference", "logit_difference_blocked"]
CHANGE_COLUMNS = ["question_id", "image_id", "type", "flow", "window", "n_layers", "p", "p_blocked", "change"]
TRACING_COLUMNS = ["question_id", "image_id", "type", "layer", "n_layers", "norm", "casing", "p"]
ANSWER_COLUMNS = ["question_id", "image_id", "type", "answer", "given", "outcome", "image_tokens", "object_tokens"]
ASKED = ["question_id", "image_id", "type"]


class ResultFiles(NamedTuple):
    """The files of one cell. The description is written last. ``heads`` is there if heads are blocked."""

    changes: Path
    tracing: Path
    answers: Path
    description: Path
    heads: Path | None = None

    @property
    def written(self) -> list[Path]:
        """Those that there are; the one that is written last comes last."""
        return [*(file for file in self if file not in (None, self.description)), self.description]


def write_results(
    files: ResultFiles,
    measured: Sequence[dict[str, Any]],
    asked: pd.DataFrame,
    questions: dict[str, Any],
    cell: dict[str, Any],
    flows: Sequence[Flow] = FLOWS,
) -> None:
    """Write the tables and the description of one cell.

    Args:
        files: where to write.
        measured: what was measured of each question, see :func:`layerwise.flow.measuring.measure`.
        asked: the same questions: rows of ``questions.parquet``.
        questions: ``questions.json``.
        cell: all that decides the results.
        flows: that were blocked.
    """
    outcomes = [OUTCOMES[row["outcome"]] for row in measured]
    answers = asked[[*ASKED, "answer"]].assign(given=[row["given"] for row in measured], outcome=outcomes)
    for name in ("image_tokens", "object_tokens"):
        answers[name] = [int(row[name]) for row in measured]
    kept = [i for i, row in enumerate(measured) if row["outcome"] == KEPT]
    if not kept:
        log.warning(
            "%s answers none of the %d questions of %s correctly; it says %s: is this a prompt that it knows?",
            *(cell["model"], len(asked), cell["questions"], ", ".join(map(repr, answers["given"].unique()[:5]))),
        )
    rows, right = [measured[i] for i in kept], asked.iloc[kept].reset_index(drop=True)
    n_layers = measured[0]["blocked"].shape[1]
    blocked = np.array([row["blocked"] for row in rows]).reshape(len(rows), len(flows), n_layers)
    traced = np.array([row["traced"] for row in rows]).reshape(len(rows), len(NORMS), len(CASINGS), n_layers + 1)
    names = [flow.name for flow in flows]
    changes = changes_table(right, np.array([row["p"] for row in rows]), blocked, names)
    if "differences" in measured[0]:
        differences = np.array([row["differences"] for row in rows]).reshape(blocked.shape)
        free = np.array([row["difference"] for row in rows])
        changes = with_differences(changes, right, free, differences, names)
    tables = {
        files.changes: changes,
        files.tracing: tracing_table(right, traced, NORMS, CASINGS),
        files.answers: answers,
    }
    for path, table in tables.items():
        with finished_file(path) as partial:
            table.to_parquet(partial, index=False)
    with finished_file(files.description) as partial:
        partial.write_text(json.dumps(describe(cell, questions, answers, rows, names), indent=2) + "\n")


def change_in_percent(p: np.ndarray, blocked: np.ndarray) -> np.ndarray:
    """Change of the answer's probability when attention is blocked, 100 (p_blocked - p) / p."""
    return 100 * (blocked - p) / p


def changes_table(asked: pd.DataFrame, p: np.ndarray, blocked: np.ndarray, flows: Iterable[str]) -> pd.DataFrame:
    """The long table of all blocked runs.

    Args:
        asked: the kept questions, n rows.
        p: shape (n,).
        blocked: shape (n, flows, L); NaN where a question has no such flow.
        flows: their names.
    """
    flows, n_layers = list(flows), blocked.shape[2]
    keys = asked[ASKED].loc[asked.index.repeat(len(flows) * n_layers)].reset_index(drop=True)
    keys["flow"] = np.tile(np.repeat(flows, n_layers), len(asked))
    keys["window"] = np.tile(np.arange(1, n_layers + 1, dtype=np.int32), len(asked) * len(flows))
    keys["n_layers"] = np.int32(n_layers)
    keys["p"] = np.repeat(p, len(flows) * n_layers)
    keys["p_blocked"] = blocked.reshape(-1)
    keys["change"] = change_in_percent(keys["p"], keys["p_blocked"])
    return keys[keys["p_blocked"].notna()].reset_index(drop=True)[CHANGE_COLUMNS]


def with_differences(
    changes: pd.DataFrame, asked: pd.DataFrame, free: np.ndarray, blocked: np.ndarray, flows: Sequence[str]
) -> pd.DataFrame:
    """The table of blocked runs with the differences of logits.

    Args:
        changes: see :func:`changes_table`.
        asked, flows: as there.
        free: shape (n,); NaN where there is none.
        blocked: shape (n, flows, L).
    """
    question = changes["question_id"].map({name: place for place, name in enumerate(asked["question_id"])})
    flow = changes["flow"].map({name: place for place, name in enumerate(flows)})
    free_column, blocked_column = DIFFERENCE_COLUMNS
    place = question.to_numpy(), flow.to_numpy(), changes["window"].to_numpy() - 1
    return changes.assign(**{free_column: free[place[0]], blocked_column: blocked[place]})


def tracing_table(
    asked: pd.DataFrame, traced: np.ndarray, norms: Iterable[bool], casings: Iterable[str]
) -> pd.DataFrame:
    """The long table of what the layers say; ``traced``: shape (n, norms, casings, L + 1)."""
    norms, casings = list(norms), list(casings)
    n, layers = len(asked), traced.shape[3]
    keys = asked[ASKED].loc[asked.index.repeat(len(norms) * len(casings) * layers)].reset_index(drop=True)
    keys["layer"] = np.tile(np.arange(layers, dtype=np.int32), n * len(norms) * len(casings))
    keys["n_layers"] = np.int32(layers - 1)
    keys["norm"] = np.tile(np.repeat(norms, len(casings) * layers), n)
    keys["casing"] = np.tile(np.repeat(casings, layers), n * len(norms))
    keys["p"] = traced.reshape(-1)
    return keys[TRACING_COLUMNS]


def describe(
    cell: dict[str, Any],
    questions: dict[str, Any],
    answers: pd.DataFrame,
    kept_rows: Sequence[dict[str, Any]],
    flows: Sequence[str],
) -> dict[str, Any]:
    """What the JSON file holds.

    Args:
        cell: all that decides the results.
        questions: ``questions.json``.
        answers: the table of answers.
        kept_rows: what was measured of the kept questions.
        flows: names of those that were blocked.
    """
    types = {}
    for kind, left_out in questions["left_out"].items():
        of_kind = answers[answers["type"] == kind]
        kept = int((of_kind["outcome"] == "kept").sum())
        reasons = Counter(left_out) + Counter(of_kind.loc[of_kind["outcome"] != "kept", "outcome"])
        share = kept / len(of_kind) if len(of_kind) else None
        types[kind] = {
            "asked": len(of_kind),
            "kept": kept,
            "kept_share": share,
            "left_out": dict(sorted(reasons.items())),
        }
    described: dict[str, Any] = {
        "cell": cell,
        "types": types,
        "without_object_patches": _reasons(kept_rows, "unmapped"),
    }
    # Only what is not as in every set of questions of a data set, so that descriptions of these stay as they were.
    if flows != [flow.name for flow in FLOWS]:
        described["flows"] = list(flows)
    if questions.get("own", {}).get("distractors"):
        described["without_logit_difference"] = _reasons(kept_rows, "undecided")
    return described


def _reasons(rows: Sequence[dict[str, Any]], name: str) -> dict[str, int]:
    """How many questions lack something, by the reason."""
    return dict(sorted(Counter(row[name] for row in rows if row[name]).items()))


def flows_of_cell(description: Mapping[str, Any]) -> list[str]:
    """The names of the flows that were blocked, in order; ``description``: a cell's JSON file."""
    return description.get("flows", [flow.name for flow in FLOWS])


def read_changes(path: str | Path) -> pd.DataFrame:
    """Read the table of blocked runs.

    Raises:
        InputError: when the file is no such table, a probability is outside 0 to 1, or a window outside the model.
    """
    table = read_table(path, CHANGE_COLUMNS)
    check_probabilities(path, table, ["p", "p_blocked"])
    bad = ~table["window"].between(1, table["n_layers"])
    if bad.any():
        raise InputError(f"{path}: row {int(bad.idxmax())} has a window that is not in the model's blocks")
    return table


def read_differences(path: str | Path) -> pd.DataFrame:
    """Read the table of blocked runs of questions with distractors.

    Raises:
        InputError: as :func:`read_changes`; or when the table has no differences of logits.
    """
    table = read_changes(path)
    if missing := [column for column in DIFFERENCE_COLUMNS if column not in table]:
        raise InputError(f"{path}: lacks the columns {', '.join(missing)}; its questions have no distractors")
    return table


def read_tracing(path: str | Path) -> pd.DataFrame:
    """Read the table of what the layers say.

    Raises:
        InputError: when the file is no such table, or a probability is outside 0 to 1.
    """
    table = read_table(path, TRACING_COLUMNS)
    check_probabilities(path, table, ["p"])
    return table


def read_answers(path: str | Path) -> pd.DataFrame:
    """Read the table of answers.

    Raises:
        InputError: when the file is no such table.
    """
    return read_table(path, ANSWER_COLUMNS)


def read_flow_description(path: str | Path) -> dict[str, Any]:
    """Read the JSON file of a cell.

    Raises:
        InputError: when the file is something else.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    if missing := [key for key in ("cell", "types") if key not in found]:
        raise InputError(f"{path}: has no {missing[0]!r}; it is not the description of a flow cell")
    return found


def holds(path: str | Path, cell: dict[str, Any]) -> bool:
    """Whether ``path`` is the description of a finished cell."""
    if not Path(path).exists():
        return False
    written = read_flow_description(path)["cell"]
    return all(written.get(key) == value for key, value in cell.items())


def read_table(path: str | Path, columns: list[str]) -> pd.DataFrame:
    """Read a table with at least these columns.

    Raises:
        InputError: when the file is no such table.
    """
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a table ({error})") from error
    if missing := [column for column in columns if column not in table]:
        raise InputError(f"{path}: lacks the columns {', '.join(missing)}; it has {', '.join(table.columns)}")
    return table


def check_probabilities(path: str | Path, table: pd.DataFrame, columns: list[str]) -> None:
    """Refuse a table with a number that is no probability.

    Raises:
        InputError: naming the row.
    """
    for column in columns:
        # Sums over two tokens may round to a little more than one.
        bad = ~table[column].between(0, 1 + 1e-5)
        if bad.any():
            row = int(bad.idxmax())
            raise InputError(f"{path}: row {row} has {column} = {table.at[row, column]}, which is no probability")
