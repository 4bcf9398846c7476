"""Read finished results as arrays and data frames, with the ids already joined.

:class:`layerwise.Study` knows where the results of a study lie and offers these readers as methods. Here they take
explicit paths, and ``made_by``: the command that makes what is missing, for the error message.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from PIL import Image

from layerwise import several_pictures
from layerwise.answers.table import read_answers as read_said
from layerwise.errors import InputError
from layerwise.flow.head_results import read_heads
from layerwise.flow.questions import read_questions
from layerwise.flow.results import read_answers, read_changes, read_tracing
from layerwise.planning.grid import KindCell
from layerwise.planning.pooled_grid import PooledCell
from layerwise.planning.shortcut_grid import ShortcutCell
from layerwise.planning.tower_grid import TowerProbeCell
from layerwise.probes.kept import KeptProbes, LayerProbe, digest_of_labels
from layerwise.states.images import read_image
from layerwise.states.shards import open_states
from layerwise.stimuli.items import further_columns, read_items
from layerwise.stimuli.prompts import render_prompts
from layerwise.tasks.labels import read_task
from layerwise.used.results import read_above, read_sweep

SPLITS = ("val", "test")
# The name of a folder of stimuli, questions or models: its recipe. See layerwise.planning.recipes.
RECIPE = re.compile("[0-9a-f]{8}")
# The first columns of the gathered tables of probes.
CELL_COLUMNS = ["model", "task", "prompt"]
# Between pictures that are shown side by side, a gap of this share of their height.
GAP = 0.05


@dataclass(frozen=True)
class ItemStates:
    """Hidden states of items.

    Attributes:
        values: float32, shape (items, width) for one layer, (layers, items, width) for all.
        item_ids: shape (items,), in the order of the stimulus set.
        layers: the names of the layers in ``values``; one for a single layer.
    """

    values: np.ndarray
    item_ids: pd.Index
    layers: list[str]

    def of(self, item_ids: Iterable[str]) -> np.ndarray:
        """The states of some items, in the order given; an item may occur more than once.

        Returns:
            Shape (n, width) for one layer, (layers, n, width) for all.

        Raises:
            InputError: naming an item that has no states here.
        """
        wanted = pd.Index(item_ids)
        places = self.item_ids.get_indexer(wanted)
        if (places < 0).any():
            raise InputError(f"there are no states of item {wanted[places < 0][0]!r}; is it of another stimulus set?")
        return self.values[..., places, :]


class FlowTables(NamedTuple):
    """What was measured for one model and one set of questions.

    Each table has ``question_id``, ``image_id``, ``type``, ``image``, ``question``, ``answer`` (the true one), then:

    Attributes:
        answers: a row per question: ``given``, ``outcome`` ("kept", or why not), ``image_tokens``, ``object_tokens``.
        knockout: a row per kept question, flow and window: ``flow`` (``image->question``), ``window`` (the block at its
            centre, from 1), ``n_layers``, ``p`` and ``p_blocked`` (probability of the answer), ``change`` (percent);
            with distractors ``logit_difference`` and ``logit_difference_blocked``.
        tracing: a row per kept question, layer, norm and casing: ``layer`` (0 is the embedding output), ``n_layers``,
            ``norm``, ``casing``, ``p``.
        heads: None unless ``flow.heads`` is given. A row per kept question, flow and head or group: ``layer`` and
            ``head`` (from 1; 0 for a group), ``group`` (its name, else empty), and as in ``knockout``.
    """

    answers: pd.DataFrame
    knockout: pd.DataFrame
    tracing: pd.DataFrame
    heads: pd.DataFrame | None = None


class UsedTables(NamedTuple):
    """What becomes of a cell's answers, and of the layers above, when its classes are erased or states are steered.

    Both tables have ``item_id``, ``image_id``, ``image`` (path), ``question``, ``y`` and ``truth`` (the item's class),
    ``block`` (whose output was changed, from 1; 0 for the free run), ``source`` (``own``, ``control``, ``other``) and
    ``draw`` (of a control, else -1). Then:

    Attributes:
        answers: a row per item and run: ``change`` (``free``, ``erase``, ``steer``), ``strength``, ``of`` (task/prompt
            of the concept), ``p:CLASS`` for each class (the probability of its answers among the answers of all
            classes), ``said`` (the most probable class), ``mass`` (the probability of all answers among all tokens),
            ``margin`` (log odds of the item's own class).
        above: a row per item, erasing run and layer above: ``above`` (the block whose output is read), ``margins`` (an
            array of the kept probe's: one margin for two classes, otherwise one per class), ``predicted``.
    """

    answers: pd.DataFrame
    above: pd.DataFrame


def states(
    files: Sequence[Path],
    position: str = "last",
    layer: int | str | None = None,
    *,
    cell: Mapping[str, Any] | None = None,
    made_by: str,
) -> ItemStates:
    """The hidden states of a cell, per item.

    One layer is read contiguously. All layers of a large model can be too much for memory: L + 2 layers of n items and
    width d take 4 (L + 2) n d bytes.

    Args:
        files: the cell's file, or all of its shards.
        position: token position (``last``, ``image-mean``, ``image-1-mean``), or a site such as ``last-attention``.
        layer: its index (0 is the embedding output), its name (``block 3``, ``final norm``), or None for all.
        cell: the content that the states must have; see :func:`layerwise.states.cells.planned_content`.

    Raises:
        InputError: when a file is missing, damaged or of another cell, or lacks the position or layer.
    """
    check_there(files, made_by)
    with open_states(files, dict(cell or {})) as found:
        rows, width = found.shape(position)
        names = found.layers_at(position)
        numbers = range(len(names)) if layer is None else [_layer_number(names, layer, position)]
        row_of_item = found.row_of_item
        # If no two items share an input, rows are items, and no second copy is needed.
        is_own_row = np.array_equal(row_of_item, np.arange(rows))
        values = np.empty((len(numbers), len(row_of_item), width), np.float32)
        room = None if is_own_row else np.empty((rows, width), np.float32)
        for place, number in enumerate(numbers):
            if room is None:
                found.layer(position, number, out=values[place])
            else:
                np.take(found.layer(position, number, out=room), row_of_item, axis=0, out=values[place])
        index = pd.Index(found.item_ids, name="item_id")
    return ItemStates(values if layer is None else values[0], index, [names[number] for number in numbers])


def _layer_number(names: Sequence[str], layer: int | str, position: str) -> int:
    if layer in names:
        return names.index(str(layer))
    if isinstance(layer, str) or not 0 <= layer < len(names):
        known = ", ".join(f"{number} ({name})" for number, name in enumerate(names))
        raise InputError(f"there is no layer {layer!r} at the position {position}; give one of {known}")
    return int(layer)


def answers(file: Path, *, made_by: str) -> pd.DataFrame:
    """How probable a model's answers are in every layer; see :meth:`layerwise.Study.answers`.

    Raises:
        InputError: when the table is missing or damaged.
    """
    check_there([file], made_by)
    found = read_said(file)
    p = np.exp(np.stack(found.table["scores"].to_numpy()))
    said = np.asarray(found.classes, dtype=object)[p.argmax(1)]
    of_classes = {f"p:{name}": p[:, place] for place, name in enumerate(found.classes)}
    return found.table[["layer", "item_id"]].assign(**of_classes, said=said, mass=found.table["mass"])


def generated(file: Path, *, made_by: str) -> pd.DataFrame:
    """What a model wrote, and which class it says; see :meth:`layerwise.Study.generated`.

    Raises:
        InputError: when the table is missing.
    """
    check_there([file], made_by)
    return pd.read_parquet(file)


def items(
    folder: Path, root: Path, prompts: Mapping[str, Mapping[str, Any]] | None = None, *, made_by: str
) -> pd.DataFrame:
    """The items of a stimulus set: what a model is shown, and where it comes from.

    Args:
        folder: the stimulus set's folder.
        root: the folder in which the workflow runs; relative image paths start there.
        prompts: prompt entries by name; each adds a column ``prompt:NAME`` with the user's turn of each item.

    Returns:
        A row per item: ``item_id``, ``image_id``, ``group`` (what a split keeps together), ``part`` (official part of
        the data set), ``image`` (path; of several pictures one a line), ``text``, ``category``, further placeholders of
        the kind (such as ``first`` and ``second`` of relations), ``label:...`` and ``prompt:...``.

    Raises:
        InputError: when the set is missing or damaged.
    """
    check_there([folder / "stimuli.json", folder / "items.parquet", folder / "provenance.parquet"], made_by)
    shown, description = read_items(folder)
    provenance = pd.read_parquet(folder / "provenance.parquet")
    # Both tables have the category of a pair.
    provenance = provenance.drop(columns=[name for name in shown if name in provenance and name != "item_id"])
    joined = shown.merge(provenance, on="item_id", how="left", validate="one_to_one")
    labels = [column for column in joined if column.startswith("label:")]
    first = ["item_id", "image_id", "group", "part", "image", "text", "category"]
    joined = joined[[*first, *further_columns(shown), *labels]]
    for name, entry in (prompts or {}).items():
        turns = render_prompts(dict(entry), shown, description["categories"])
        joined[f"prompt:{name}"] = list(map(several_pictures.shown, turns))
    return joined.assign(image=_from_root(joined["image"], root))


def labels(folder: Path, *, made_by: str) -> pd.DataFrame:
    """The labels of a task, with their splits and groups.

    Returns:
        A row per item and label: ``item_id``, ``image_id``, ``group`` (what a split keeps together), ``label``, ``y``
        (index of the class), ``truth`` (its name), ``split`` (train, val, test), and ``split:SEED`` for further seeds.
        Tasks with unseen texts have ``text`` and ``test_part`` too, and a split is missing for what it leaves out.

    Raises:
        InputError: when the task is missing or damaged.
    """
    check_there([folder / "labels.parquet", folder / "task.json"], made_by)
    found, task = read_task(folder)
    # Numbers have no classes.
    if task["classes"]:
        found.insert(found.columns.get_loc("y") + 1, "truth", _class_names(found["y"], task["classes"]))
    return found


def gathered(files: Mapping[tuple[str, str, str], Path], *, made_by: str) -> pd.DataFrame:
    """The scores, learning curves or sites of several probe cells as one table. docs/formats.md lists the columns.

    Args:
        files: the file of each cell, by model, task and prompt.

    Raises:
        InputError: when there are no cells, or a cell is missing.
    """
    if not files:
        raise InputError("there are no cells to read: the study names no `tasks`")
    check_there(files.values(), made_by)
    tables = [
        pd.read_parquet(file).assign(model=model, task=task, prompt=prompt)
        for (model, task, prompt), file in files.items()
    ]
    table = pd.concat(tables, ignore_index=True)
    return table[CELL_COLUMNS + [column for column in table if column not in CELL_COLUMNS]]


def comparison(file: Path, *, made_by: str) -> pd.DataFrame:
    """A table of comparisons; the module of each in layerwise.compare says what its columns hold.

    Raises:
        InputError: when it is not there yet.
    """
    check_there([file], made_by)
    return pd.read_parquet(file)


def flow_comparison(files: Mapping[tuple[str, str], Path], *, made_by: str) -> pd.DataFrame:
    """The same of information flow, of all models and questions as one table.

    Args:
        files: by model and questions.

    Raises:
        InputError: when there are no cells, or a cell is missing.
    """
    if not files:
        raise InputError("there are no cells to read: the study names no models under `flow`")
    check_there(files.values(), made_by)
    tables = [
        pd.read_parquet(file).assign(model=model, questions=questions) for (model, questions), file in files.items()
    ]
    table = pd.concat(tables, ignore_index=True)
    first = ["model", "questions"]
    return table[first + [column for column in table if column not in first]]


def gathered_kinds(files: Mapping[KindCell, Path], *, made_by: str) -> pd.DataFrame:
    """The scores of further kinds of probes as one table; see :func:`gathered`.

    Args:
        files: the file of each cell, by model, task, prompt and kind.

    Raises:
        InputError: when a cell is missing.
    """
    check_there(files.values(), made_by)
    tables = [pd.read_parquet(file).assign(**cell._asdict()) for cell, file in files.items()]
    table = pd.concat(tables, ignore_index=True)
    first = [*CELL_COLUMNS, "kind"]
    return table[first + [column for column in table if column not in first]]


def gathered_by_task(
    files: Mapping[ShortcutCell, Path] | Mapping[TowerProbeCell, Path] | Mapping[PooledCell, Path], *, made_by: str
) -> pd.DataFrame:
    """What shortcuts reach, or probes in towers or over image tokens, as one table; docs/formats.md lists the columns.

    Args:
        files: the file of each model and task.

    Raises:
        InputError: when a file is missing.
    """
    check_there(files.values(), made_by)
    tables = [pd.read_parquet(file).assign(**cell._asdict()) for cell, file in files.items()]
    table = pd.concat(tables, ignore_index=True)
    keys = list(ShortcutCell._fields)
    return table[[*keys, *table.columns.drop(keys)]]


def predictions(
    file: Path,
    task_folder: Path,
    shown: pd.DataFrame,
    layer: int | None = None,
    split: str | None = None,
    *,
    made_by: str,
) -> pd.DataFrame:
    """The predictions of a cell's probes for each held-out item, beside what the item shows.

    Args:
        file: the cell's ``.predictions.parquet``.
        task_folder: the folder of the cell's task, for the names of its classes.
        shown: :func:`items` of the task's stimuli.
        layer: index of one layer; None for all.
        split: ``val`` or ``test``; None for both.

    Returns:
        A row per layer, label and item: ``layer``, ``label``, ``split``, ``item_id``, ``group``, ``y`` and ``pred``
        (indices of classes), ``truth`` and ``predicted`` (their names), ``scores`` (an array of margins: one margin for
        two classes, otherwise one per class), then the columns of ``shown``.

    Raises:
        InputError: when the cell is missing, has no such layer or split, or has other items.
    """
    check_there([file, task_folder / "task.json"], made_by)
    if split not in (None, *SPLITS):
        raise InputError(f"there are no predictions of the split {split!r}; give one of {', '.join(SPLITS)}")
    wanted = {"layer": layer, "split": split}
    filters = [(name, "=", value) for name, value in wanted.items() if value is not None]
    found = pq.read_table(file, filters=filters or None).to_pandas()
    if found.empty:
        raise InputError(f"{file}: has no predictions of layer {layer}; layers count from 0, the embedding output")
    _, task = read_task(task_folder)
    found = found.assign(
        truth=_class_names(found["y"], task["classes"]), predicted=_class_names(found["pred"], task["classes"])
    )
    first = ["layer", "label", "split", "item_id", "group", "y", "pred", "truth", "predicted", "scores"]
    added = shown[[column for column in shown if column == "item_id" or column not in first]]
    joined = found[first].merge(added, on="item_id", how="left", validate="many_to_one")
    if (unknown := joined["image_id"].isna()).any():
        item = joined.loc[unknown, "item_id"].iloc[0]
        raise InputError(f"{file}: item {item!r} is not among the stimuli of its task; run again: {made_by}")
    return joined


def probe(
    file: Path,
    task_folder: Path,
    layer: int | str,
    label: str | None = None,
    *,
    cell: Mapping[str, Any] | None = None,
    position: str | None = None,
    made_by: str,
) -> LayerProbe:
    """The kept probes of one layer of a cell.

    Args:
        file: the cell's ``.probes.h5``.
        task_folder: the folder of the cell's task.
        layer: its index (0 is the embedding output), or its name (``block 3``, ``final norm``).
        label: of the task; None for all.
        cell: the content of the states that the probes must be fitted on, see
            :func:`layerwise.states.cells.planned_content`.
        position: of these states.

    Raises:
        InputError: when the file is missing, damaged or of another cell or task, or has no such layer or label.
    """
    check_there([file, task_folder / "labels.parquet", task_folder / "task.json"], made_by)
    found, task = read_task(task_folder)
    with KeptProbes(file) as kept:
        changed = [key for key, value in (cell or {}).items() if kept.cell.get("states", {}).get(key) != value]
        wanted = {"labels_digest": digest_of_labels(found), "classes": task["classes"]}
        wanted |= {} if position is None else {"position": position}
        changed += [key for key, value in wanted.items() if kept.cell.get(key) != value]
        if changed:
            raise InputError(
                f"{file}: these probes were fitted on another cell or task ({', '.join(changed)} changed since); run "
                f"`{made_by}`"
            )
        of_layer = kept.layer(_layer_number(kept.layers, layer, kept.cell["position"]))
    return of_layer if label is None else of_layer.of(label)


def flow(files: Mapping[str, Path], questions_folder: Path, root: Path, *, made_by: str) -> FlowTables:
    """The tables of information flow of one model and one set of questions.

    Args:
        files: the tables by name: ``knockout``, ``tracing`` and ``answers``, and ``heads`` if there is one.
        questions_folder: the folder of the set of questions.
        root: the folder in which the workflow runs; relative image paths start there.

    Raises:
        InputError: when a table is missing or damaged.
    """
    check_there([*files.values(), questions_folder / "questions.json"], made_by)
    asked, _ = read_questions(questions_folder)
    asked = asked[["question_id", "image", "question", "answer"]].assign(image=_from_root(asked["image"], root))
    keys = ["question_id", "image_id", "type"]

    def joined(table: pd.DataFrame) -> pd.DataFrame:
        measured = table.drop(columns="answer", errors="ignore")
        both = measured.merge(asked, on="question_id", how="left", validate="many_to_one")
        return both[[*keys, "image", "question", "answer", *(name for name in measured if name not in keys)]]

    return FlowTables(
        answers=joined(read_answers(files["answers"])),
        knockout=joined(read_changes(files["knockout"])),
        tracing=joined(read_tracing(files["tracing"])),
        heads=joined(read_heads(files["heads"])) if "heads" in files else None,
    )


def used(answers: Path, above: Path, shown: pd.DataFrame, *, made_by: str) -> UsedTables:
    """The tables of one sweep.

    Args:
        answers: the cell's ``.parquet``.
        above: the cell's ``.above.parquet``.
        shown: :func:`items` of the task's stimuli, the user's turn as ``question``.

    Raises:
        InputError: when a table is missing or damaged, or has other items.
    """
    check_there([answers, above], made_by)
    swept, read = read_sweep(answers), read_above(above)
    classes = np.asarray(swept.told.classes, dtype=object)
    p, margins = np.exp(swept.scores), read.margins
    predicted = margins.argmax(1) if margins.shape[1] > 1 else (margins[:, 0] > 0).astype(int)
    of_classes = {f"p:{name}": p[:, place] for place, name in enumerate(classes)}
    found = swept.table.assign(**of_classes, said=classes[p.argmax(1)], margin=swept.gold_margins)
    found_above = read.table.assign(margins=list(margins), predicted=classes[predicted])

    def joined(file: Path, table: pd.DataFrame) -> pd.DataFrame:
        measured = table.astype({"item_id": object}).drop(columns="image")
        measured.insert(measured.columns.get_loc("y") + 1, "truth", _class_names(measured["y"], swept.told.classes))
        keys = ["item_id", "image_id", "image", "question"]
        both = measured.merge(shown[keys], on="item_id", how="left", validate="many_to_one")
        if (unknown := both["image_id"].isna()).any():
            item = both.loc[unknown, "item_id"].iloc[0]
            raise InputError(f"{file}: item {item!r} is not among the stimuli of its task; run again: {made_by}")
        return both[[*keys, *(name for name in measured if name not in keys)]]

    return UsedTables(joined(answers, found), joined(above, found_above))


def check_there(files: Iterable[Path], made_by: str) -> None:
    """Refuse missing files: name the first one, how many more are missing, and the command that makes them."""
    missing = [file for file in files if not file.exists()]
    if not missing:
        return
    more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
    folder = missing[0].parent
    made_otherwise = ""
    if RECIPE.fullmatch(folder.name) and not folder.exists() and any(folder.parent.glob("*/")):
        made_otherwise = f"; the files in {folder.parent} were made by another config or by other code"
    raise InputError(f"{missing[0]}: not there yet{more}{made_otherwise}; run `{made_by}`")


def _class_names(y: pd.Series, classes: Sequence[str]) -> np.ndarray:
    """The name of each class index."""
    return np.asarray(classes, dtype=object)[y.to_numpy()]


def picture(image: str) -> Image.Image:
    """What a cell of the column ``image`` shows, to look at; see :meth:`layerwise.study.Study.picture`."""
    shown = [read_image(path) for path in several_pictures.each(image)]
    if len(shown) == 1:
        return shown[0]
    height = max(one.height for one in shown)
    scaled = [one.resize((max(1, round(one.width * height / one.height)), height)) for one in shown]
    gap = max(1, round(GAP * height))
    found = Image.new("RGB", (sum(one.width + gap for one in scaled) - gap, height), "white")
    left = 0
    for one in scaled:
        found.paste(one, (left, 0))
        left += one.width + gap
    return found


def _from_root(images: pd.Series, root: Path) -> pd.Series:
    # Without an image there is no path. An absolute path stays as it is.
    return images.map(
        lambda cell: several_pictures.joined([str(root / path) for path in several_pictures.each(cell)]),
        na_action="ignore",
    )
