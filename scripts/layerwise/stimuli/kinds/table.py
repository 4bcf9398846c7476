"""Stimuli from the rows of a table: a user's own file, or a data set of the hub."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerwise.config.prompts import Prompt
from layerwise.config.tasks import Task
from layerwise.datasets.disk import check_free_space, is_dir, is_file
from layerwise.datasets.format import DataSize
from layerwise.datasets.hub_files import HubFiles, read_receipt
from layerwise.datasets.tables import check_columns, check_readable, read_rows
from layerwise.errors import InputError
from layerwise.stimuli.building import Sources, Stimuli
from layerwise.stimuli.kind import DataParts, ExpectedItems, StimulusKind, placeholders
from layerwise.stimuli.label_columns import (
    check_labels,
    check_several,
    classes_told,
    columns_of,
    label_cell,
    labels_read,
    others_told,
)
from layerwise.stimuli.picture_files import bytes_missing, write_picture
from layerwise.stimuli.table_entry import Entry, item_classes, item_columns
from layerwise.stimuli.table_files import downloaded_parts, files_of, own_parts, roots_of, table_mark
from layerwise.stimuli.table_items import table_items
from layerwise.stimuli.table_rows import TableRow, pictures_of, sampled_rows

if TYPE_CHECKING:
    from layerwise.datasets.locations import Locations

__all__ = ["KIND", "Entry"]

# The folder of pictures that tables hold, below that of downloads.
PICTURES = "pictures"
# The placeholder of each way to make items of choices.
OF_CHOICES = {"row": "choices", "choice": "choice"}


class _Table(StimulusKind[Entry]):
    entry_class = Entry
    allowed = frozenset({"text", *OF_CHOICES.values()})
    formats = ("hub",)
    not_shown = frozenset({"prompts", "file", "dataset", "image_root", "labels", "split_column", "group_column"})

    @property
    def parts(self) -> Mapping[str, str]:
        # As the hub calls it.
        return {"validation": "val"}

    def build(self, entry: Entry, sources: Sources, seed: int) -> tuple[Stimuli, list[Path]]:
        receipt = read_receipt(sources.annotations) if entry.dataset is not None else None
        return build_table(entry, seed, Path(sources.images) if sources.images else None, receipt)

    def reads(self, entry: Entry) -> DataParts | None:
        return None if entry.dataset is None else DataParts(entry.dataset, list(entry.images or ()))

    def options(self, entry: Entry, data: "Locations") -> list[str]:
        reads = self.reads(entry)
        of_dataset = [] if reads is None else data.options(*reads)
        return [*of_dataset, f"--images={data.root}/{PICTURES}"]

    def source_files(self, entry: Entry, data: "Locations") -> list[str]:
        reads = self.reads(entry)
        return list(map(str, files_of(entry))) if reads is None else data.source_files(*reads)

    def mark(self, entry: Entry, data: "Locations") -> list[Any]:
        reads = self.reads(entry)
        return [table_mark(entry)] if reads is None else [data.mark(*reads), data.seed]

    def shown(self, entry: Entry, data: "Locations") -> dict[str, Any]:
        found = super().shown(entry, data)
        if (reads := self.reads(entry)) is not None:
            # Groups decide which images are sampled, and nothing else of what is shown.
            sampled = {} if entry.group_column is None else {"group_column": entry.group_column}
            found |= sampled | data.shown(*reads)
        if entry.each is not None:
            found["each"] = [_without(item, "labels", "answer") for item in found["each"]]
        if entry.choices is not None:
            found["choices"] = _without(found["choices"], "answer", "answer_is", "first")
        return found

    def check(self, where: str, entry: Entry, data: "Locations") -> None:
        if (reads := self.reads(entry)) is not None:
            if reads.dataset not in data.datasets:
                known = ", ".join(data.datasets) or "nothing"
                raise InputError(f"{where}.dataset: there is no {reads.dataset!r}; the config has {known}")
            if (found := data.datasets[reads.dataset].format) not in self.formats:
                raise InputError(
                    f"{where}.dataset: {reads.dataset} has the format {found}; a table reads data sets of format "
                    f"{' or '.join(self.formats)}, or a `file`"
                )
            data.check_parts(where, *reads)
        for root in roots_of(entry) if entry.image_root is not None else ():
            if not is_dir(root):
                raise InputError(f"{where}.image_root: there is no folder {str(root)!r}")
        try:
            # Of a data set, as soon as it is there.
            if tables := _tables_there(entry, data):
                _check_columns(entry, tables)
        except InputError as error:
            raise InputError(f"{where}.{'file' if entry.dataset is None else 'dataset'}: {error}") from error

    def check_prompt(self, where: str, prompt: Prompt, entry: Entry) -> None:
        super().check_prompt(where, prompt, entry)
        found = placeholders(prompt)
        if "text" in found and (lacking := [item for item in entry.made if item.text_spec is None]):
            in_each = "an item of `each`" if entry.each and len(lacking) < len(entry.made) else "its stimulus set"
            raise InputError(f"{where}: the prompt has {{text}}, but {in_each} names no `text_column`")
        needed = None if entry.choices is None else OF_CHOICES[entry.choices.items]
        for name in sorted(found & set(OF_CHOICES.values()) - {needed}):
            fix = "names no `choices`" if entry.choices is None else f"makes one item per {entry.choices.items}"
            raise InputError(
                f"{where}: the prompt has {{{name}}}, but its stimulus set {fix}"
                + ("" if needed is None else f"; write {{{needed}}}, or change `choices.items`")
            )
        if needed is not None and needed not in found:
            what = "nobody can answer with a letter" if needed == "choices" else "all choices of a row read the same"
            raise InputError(f"{where}: without {{{needed}}} in the prompt, {what}; add it")

    def check_task(self, where: str, task: Task, entry: Entry, stimuli: str) -> None:
        super().check_task(where, task, entry, stimuli)
        labels = entry.all_labels
        check_labels(where, task, labels, stimuli)
        read = labels_read(labels, task)
        if len(read) > 1 and entry.file is not None:
            check_several(where, task, read, _label_cells(entry, list(read)))
        if task.split.by == "official" and not entry.has_official_parts:
            raise InputError(
                f"{where}.split.by: official needs `split_column` in stimuli.{stimuli}, a column with the words train, "
                "val and test; or files for each split, such as `file: {train: a.csv, test: b.csv}`"
            )

    def unused(self, where: str, entry: Entry, prompts: Sequence[Prompt]) -> list[str]:
        named = [spec for item in entry.made if (spec := item.text_spec) is not None]
        if not named or any("text" in placeholders(prompt) for prompt in prompts):
            return []
        key = "text" if named[0].column is None else "text_column"
        return [f"{where}.{key}: none of its prompts shows {{text}}, so models see the image alone"]

    def labels(self, entry: Entry, task: Task) -> int:
        return len(labels_read(entry.all_labels, task))

    def classes_of(self, entry: Entry, task: Task | None) -> Sequence[str] | None:
        return classes_told(labels_read(entry.all_labels, task), entry.class_orders)

    def asks_of_others(self, entry: Entry, task: Task, answers: Collection[str]) -> bool:
        return others_told(entry.all_labels, task, answers)

    def pictures(self, entry: Entry) -> int:
        return entry.pictures_per_item

    def numbers(self, entry: Entry) -> list[str]:
        return [name for name, column in entry.all_labels.items() if column.is_number]

    def expected(self, entry: Entry, size: DataSize) -> ExpectedItems:
        if entry.dataset is not None:
            raise InputError(
                f"datasets.{entry.dataset}: how many rows it has is not known before the stimuli are made; make them "
                "first (`snakemake stimuli`)"
            )
        # Who asks what a run will cost may have no pictures yet.
        rows, _ = sampled_rows(entry, [part._replace(roots=[]) for part in own_parts(entry)], 0)
        made = table_items(entry, rows, {})
        words = made.shown.drop(columns=["item_id", "image"], errors="ignore")
        texts = words.agg("".join, axis=1) if len(words.columns) else None
        images = made.provenance["image_id"].nunique()
        return ExpectedItems(
            images,
            len(made.shown) / images,
            characters=0 if texts is None else texts.str.len().mean(),
            distinct_texts=len(made.shown) if texts is None else texts.nunique(),
        )


def build_table(
    entry: Entry, seed: int = 0, pictures: Path | None = None, receipt: HubFiles | None = None
) -> tuple[Stimuli, list[Path]]:
    """The items of a table, and its files.

    Args:
        entry: of the config.
        seed: that images are sampled by.
        pictures: folder that pictures inside rows are written to; may be None for a table without.
        receipt: of the download, for an entry with ``dataset``.

    Raises:
        InputError: on a missing column or image, an empty cell, a repeated id, or an unknown word in the split column.
    """
    parts = own_parts(entry) if receipt is None else downloaded_parts(entry, receipt)
    rows, counts = sampled_rows(entry, parts, seed)
    made = table_items(entry, rows, _written(entry, rows, pictures))
    notes = made.notes | {name: count for name, count in counts.items() if count}
    return replace(made, notes=notes), [file for part in parts for file in part.files]


def _written(entry: Entry, rows: Sequence[TableRow], folder: Path | None) -> dict[str, str]:
    """The files of the pictures that the table holds, by SHA-256."""
    held = {image.sha256: image.size for row in rows for image in row.images.values() if image.sha256}
    if not held:
        return {}
    if folder is None:
        raise InputError(f"{rows[0].where}: the table holds its pictures; name a folder to write them to with --images")
    folder.mkdir(parents=True, exist_ok=True)
    check_free_space(folder, bytes_missing(folder, held), f"writing {len(held)} pictures")
    return {
        image.sha256: str(write_picture(folder, image.sha256, content, where))
        for where, image, content in pictures_of(entry, rows)
    }


def _tables_there(entry: Entry, data: "Locations") -> list[list[Path]]:
    """The files of each part, if they are there when a study is planned."""
    if entry.dataset is None:
        return [part.files for part in own_parts(entry)]
    (receipt,) = data.receipts(entry.dataset, list(entry.images or ()))
    if not is_file(receipt):
        return []
    found, splits = read_receipt(receipt), list(entry.images or ())
    # Finished results need no tables, so the hub's cache may be cleared. A job that needs them says so.
    return [found.files(split) for split in splits] if found.are_there(splits) else []


def _check_columns(entry: Entry, tables: Sequence[Sequence[Path]]) -> None:
    """Refuse what headers alone tell: columns that are missing, or hold what is no text."""
    for files in tables:
        check_readable(files, entry.all_columns(), entry.column_fixes())
        for file in files:
            check_columns(file, entry.text_columns())


def _label_columns(entry: Entry) -> list[str]:
    return list(dict.fromkeys([*columns_of(entry.row_labels), *entry.item_label_columns()]))


def _label_cells(entry: Entry, labels: Sequence[str]) -> Iterator[list[Any]]:
    """The cells of some labels, item by item; None where choices decide them, or the row lacks them."""
    told = [(entry.row_labels | item_columns(item), dict(item_classes(item))) for item in entry.made]
    for row in read_rows(files_of(entry), _label_columns(entry)):
        for columns, classes in told:
            yield [
                label_cell(name, columns[name], row.cells) if name in columns else classes.get(name) for name in labels
            ]


def _without(entry: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in keys}


KIND = _Table()
