"""Read the rows of a table that a stimulus set is made of, and find out which picture each of them shows.

Pictures inside rows may be gigabytes. They are looked at one after the other and told apart by their content; none is
kept in memory.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from layerwise.datasets.disk import is_file
from layerwise.datasets.tables import Picture, Row, check_readable, read_rows
from layerwise.datasets.tables.files import ending_of
from layerwise.datasets.tables.parquet import holds_bytes, schema_of
from layerwise.datasets.text_files import shown as short
from layerwise.errors import InputError
from layerwise.stimuli.cell_values import as_list, has_keys, key_of, wanted_keys
from layerwise.stimuli.sampling import sample_ids
from layerwise.stimuli.table_entry import COLUMN, Entry, Spec

# How many values of a column a message lists.
LISTED = 10


class TablePart(NamedTuple):
    """Files whose rows are one part of a stimulus set.

    Attributes:
        name: of the part; "all" for a user's own files that are in no official split.
        files: of its rows.
        roots: folders that relative image paths start from; none where no picture is looked for.
        prefix: of the ids of its items and images.
        images: how many to sample, or "all".
        own: whether the rows are the user's own. Paths in a stranger's rows must not lead out of the folders.
    """

    name: str
    files: list[Path]
    roots: list[Path]
    prefix: str = ""
    images: int | str = "all"
    own: bool = True


class RowImage(NamedTuple):
    """The picture that a row shows.

    Attributes:
        name: its id.
        path: of its file; "" for a picture that the table holds.
        sha256: of a picture that the table holds; else "".
        size: of that picture, in bytes.
    """

    name: str
    path: str
    sha256: str = ""
    size: int = 0


@dataclass(frozen=True)
class TableRow:
    """A row of a table.

    Attributes:
        where: its file and row, for messages.
        number: of the row in its part, from 0.
        part: that it is in.
        cells: by column; pictures are left out.
        images: by how the entry says them.
    """

    where: str
    number: int
    part: TablePart
    cells: Mapping[str, Any]
    images: Mapping[Spec, RowImage]

    @property
    def image(self) -> RowImage:
        """Its first picture."""
        return next(iter(self.images.values()))

    def text(self, column: str) -> str:
        """A cell as text.

        Raises:
            InputError: when it is empty, or holds anything but text or a number.
        """
        cell = self.cells[column]
        if is_empty(cell):
            raise InputError(f"{self.where}: the column {column!r} is empty")
        return as_text(cell, column, self.where)

    def group(self, column: str) -> str:
        """The group that a cell names: blanks at its ends make no difference, nor does 7.0 for 7, as a column of whole
        numbers with a gap has it.

        Raises:
            InputError: as :meth:`text`.
        """
        text = self.text(column).strip()
        cell = self.cells[column]
        return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else text

    def text_of(self, spec: Spec) -> str:
        """The text that a column or a template says. In a template, empty cells leave nothing behind.

        Raises:
            InputError: when it is empty, or a cell holds anything but text or a number.
        """
        if spec.column is not None:
            return self.text(spec.column)
        found = COLUMN.sub(lambda match: self._in_text(match[1], match[2]), str(spec.template)).strip()
        if not found:
            said = " and ".join(map(repr, spec.columns))
            raise InputError(f"{self.where}: the columns {said} are empty, and with them the text")
        return found

    def _in_text(self, column: str, digits: str | None) -> str:
        cell = self.cells[column]
        return "" if is_empty(cell) else _padded(as_text(cell, column, self.where), digits, column, self.where)


def sampled_rows(entry: Entry, parts: Sequence[TablePart], seed: int) -> tuple[list[TableRow], dict[str, int]]:
    """The rows of the images that are sampled from each part, and what was counted.

    Another part changes nothing in the others.

    Raises:
        InputError: when a row has no picture, a file is missing, or no row is left; naming file and row.
    """
    kept: list[TableRow] = []
    counts = {"rows": 0, "rows_without_image": 0, "rows_with_other_pictures": 0}
    for part in parts:
        rows = _rows_of(entry, part, counts)
        units = [_unit(entry, row) for row in rows]
        rng = np.random.default_rng([seed, *part.name.encode()])
        sampled = set(sample_ids(list(dict.fromkeys(units)), part.images, rng))
        kept += [row for row, unit in zip(rows, units, strict=True) if unit in sampled]
    return kept, {name: count for name, count in counts.items() if count or name == "rows"}


def pictures_of(entry: Entry, rows: Sequence[TableRow]) -> Iterator[tuple[str, RowImage, bytes]]:
    """The pictures that the table itself holds, each once: the row that it is first in, what it is, and its content."""
    waiting = {image.sha256 for row in rows for image in row.images.values() if image.sha256}
    for part in {row.part.name: row.part for row in rows}.values():
        of_part = {row.number: row for row in rows if row.part.name == part.name}
        for number, read in enumerate(read_rows(part.files, entry.picture_columns())):
            if not waiting:
                return
            for spec, image in of_part[number].images.items() if number in of_part else ():
                if image.sha256 in waiting:
                    waiting.remove(image.sha256)
                    yield read.where, image, _held(read.cells[str(spec.column)], spec.place).content


def is_empty(cell: Any) -> bool:
    """Whether a cell holds nothing."""
    if isinstance(cell, Picture):
        return not cell.content and not (cell.path or "").strip()
    return cell is None or cell != cell or (isinstance(cell, str) and not cell.strip())


def as_text(cell: Any, column: str, where: str) -> str:
    """A cell that is text, a number, or true or false, as text.

    Raises:
        InputError: when it is anything else.
    """
    if isinstance(cell, str | bool | int | float):
        return str(cell)
    held = "a picture" if isinstance(cell, Picture) else short(cell)
    raise InputError(f"{where}: the column {column!r} holds {held}, not text or a number")


def _rows_of(entry: Entry, part: TablePart, counts: dict[str, int]) -> list[TableRow]:
    """The rows of a part that ``only`` keeps, with pictures told apart over all of them."""
    wanted = wanted_keys(entry.only)
    met: dict[str, dict[str, None]] = {column: {} for column in wanted}
    others, specs = entry.other_columns(), entry.image_specs
    rows, numbers = [], 0
    check_readable(part.files, entry.all_columns(), entry.column_fixes())
    for number, read in enumerate(read_rows(part.files, entry.all_columns())):
        numbers += 1
        for column in wanted:
            met[column].setdefault(key_of(read.cells[column]))
        if not has_keys(read.cells, wanted):
            continue
        if other := _other_number(entry, read):
            if entry.without_image != "leave-out":
                raise InputError(other)
            counts["rows_with_other_pictures"] += 1
            continue
        images = {spec: _image(spec, part, read.where, read.cells) for spec in specs}
        if missing := [spec for spec, image in images.items() if image is None]:
            if entry.without_image != "leave-out":
                said = " and ".join(repr(column) for column in missing[0].columns)
                raise InputError(
                    f"{read.where}: the row has no {_picture(entry, missing[0])} (the column {said} is empty); to "
                    "leave such rows out, write `without_image: leave-out`"
                )
            counts["rows_without_image"] += 1
            continue
        for column in (column for column in others if isinstance(read.cells[column], Picture)):
            as_text(read.cells[column], column, read.where)
        # The content of pictures stays on disk.
        cells = {column: read.cells[column] for column in others}
        found = {spec: image for spec, image in images.items() if image is not None}
        rows.append(TableRow(read.where, number, part, cells, found))
    counts["rows"] += len(rows)
    if not numbers:
        raise InputError(f"{part.files[0]}: the table has no rows")
    if not rows:
        _refuse_empty(entry, part, wanted, met)
    return _named(rows)


def _refuse_empty(
    entry: Entry, part: TablePart, wanted: Mapping[str, Collection[str]], met: Mapping[str, Collection[str]]
) -> None:
    file = part.files[0]
    for column, values in wanted.items():
        if not set(values) & set(met[column]):
            known = ", ".join(map(repr, list(met[column])[:LISTED])) + (", ..." if len(met[column]) > LISTED else "")
            # YAML reads a bare yes as true.
            quotes = "; put quotes round yes and no" if {"true", "false"} & set(values) else ""
            raise InputError(f"{file}: `only` asks for {column!r} to be {min(values)!r}, but it is {known}{quotes}")
    what = "`only` asks for" if wanted else "has a picture"
    raise InputError(f"{file}: no row {'has all that ' * bool(wanted)}{what}")


def cell_path(spec: Spec, cells: Mapping[str, Any], where: str) -> str | None:
    """The path of a row's picture as the row says it; None where its cells are empty, or hold the picture itself.

    Raises:
        InputError: when a cell holds anything but text, a number or a picture.
    """
    if any(is_empty(_held(cells[column], spec.place)) for column in spec.columns):
        return None
    if spec.column is None:
        template = str(spec.template)
        return COLUMN.sub(lambda match: _in_path(cells[match[1]], match[1], match[2], where), template)
    cell = _held(cells[spec.column], spec.place)
    if isinstance(cell, Picture):
        return None if cell.content else cell.path
    # A list may be written as text, as in a CSV.
    listed = as_list(cell) if spec.place is None else None
    if listed is not None and len(listed) > 1:
        raise InputError(
            f"{where}: the column {spec.column!r} holds {len(listed)} pictures, and an item shows one; to show all of "
            f"them, write `pictures: {len(listed)}`, or give each a column of its own"
        )
    return as_text(cell, spec.column, where)


def holds_pictures(file: Path, columns: Sequence[str]) -> bool:
    """Whether some columns of a table may hold pictures themselves, by its header alone."""
    if ending_of(file) != ".parquet":
        return False
    schema = schema_of(file)
    return any(holds_bytes(schema.field(column).type) for column in columns if column in schema.names)


def _image(spec: Spec, part: TablePart, where: str, cells: Mapping[str, Any]) -> RowImage | None:
    """The picture of a row; None where its cells are empty."""
    path = cell_path(spec, cells, where)
    if path is not None:
        return RowImage(part.prefix + _one_line(path, where), _found(path, part, where))
    cell = None if spec.column is None else _held(cells[spec.column], spec.place)
    if not isinstance(cell, Picture) or not cell.content:
        return None
    # Named by its path for now; see `_named`.
    name = _one_line(cell.path or "", where)
    return RowImage(name, "", hashlib.sha256(cell.content).hexdigest(), len(cell.content))


def _one_line(path: str, where: str) -> str:
    """A path that can be one of several in a cell, one a line."""
    if "\n" in path:
        raise InputError(f"{where}: the picture's path {short(path)} has a line break; rename the file")
    return path


def _held(cell: Any, place: int | None) -> Any:
    """What a cell holds at a place of its list; without a place the cell itself, or of a list of one, what it holds."""
    if place is not None:
        pictures = _pictures(cell)
        return pictures[place] if place < len(pictures) else None
    return (cell or [None])[0] if isinstance(cell, list) and len(cell) < 2 else cell


def _pictures(cell: Any) -> list[Any]:
    """The pictures in a cell; empty ones at the end are none."""
    found = as_list(cell)
    found = [cell] if found is None else list(found)
    while found and is_empty(found[-1]):
        found.pop()
    return found


def _other_number(entry: Entry, row: Row) -> str:
    """What is wrong with a row whose cells hold another number of pictures than items show; empty if nothing is."""
    for column in entry.picture_columns() if entry.pictures is not None else ():
        if (number := len(_pictures(row.cells[column]))) != entry.pictures:
            return (
                f"{row.where}: the column {column!r} holds {number} picture{'s' * (number != 1)}, and items show "
                f"{entry.pictures} (`pictures`); correct the row, or write `without_image: leave-out` to leave such "
                "rows out"
            )
    return ""


def _picture(entry: Entry, spec: Spec) -> str:
    """A picture of a row as messages call it."""
    of_item = next(specs for item in entry.made if spec in (specs := entry.specs_of(item)))
    return "picture" if len(of_item) == 1 else f"picture {of_item.index(spec) + 1} of {len(of_item)}"


def _in_path(cell: Any, column: str, digits: str | None, where: str) -> str:
    """A cell in a file name. A column of whole numbers with a gap comes as 7.0, and means 7."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return _padded(as_text(cell, column, where).strip(), digits, column, where)


def _padded(text: str, digits: str | None, column: str, where: str) -> str:
    """A whole number with zeros in front, if so many digits are asked for."""
    if digits is None:
        return text
    if not text.isdecimal():
        raise InputError(
            f"{where}: the column {column!r} is {short(text)}, no whole number that `{{{column}:0{digits}}}` could put "
            "zeros in front of"
        )
    return text.zfill(int(digits))


def _found(path: str, part: TablePart, where: str) -> str:
    """The file of a picture, in the first folder that has it."""
    if not part.own and (Path(path).is_absolute() or ".." in Path(path).parts):
        raise InputError(
            f"{where}: the picture's path {short(path)} leads out of the data set's folder, and is not read"
        )
    if not part.roots:
        return path
    places = [str(root / path) for root in part.roots]
    found = next((place for place in places if is_file(place)), None)
    if found is not None:
        return found
    roots = ", then ".join(map(str, part.roots))
    # Longer than any path, as pictures in the text of a table are.
    base64 = "; is it a picture in base64? Write it into a file" if len(path) > 4096 else ""
    raise InputError(f"{where}: there is no image {places[0][:300]}; relative paths start from {roots}{base64}")


def _named(rows: list[TableRow]) -> list[TableRow]:
    """Give pictures that the table holds their ids: the path in the cell where path and content belong to each other
    alone, else the first digits of the content's SHA-256."""
    paths: dict[str, set[str]] = {}
    contents: dict[str, set[str]] = {}
    for row in rows:
        for image in row.images.values():
            if image.sha256:
                paths.setdefault(image.sha256, set()).add(image.name)
            # An image of a file has its prefix already.
            path = image.name if image.sha256 else image.name.removeprefix(row.part.prefix)
            contents.setdefault(path, set()).add(image.sha256)

    def name(image: RowImage, prefix: str) -> RowImage:
        if not image.sha256:
            return image
        own = bool(image.name) and len(paths[image.sha256]) == 1 == len(contents[image.name])
        return image._replace(name=prefix + (image.name if own else image.sha256[:16]))

    return [
        replace(row, images={spec: name(image, row.part.prefix) for spec, image in row.images.items()}) for row in rows
    ]


def _unit(entry: Entry, row: TableRow) -> str:
    """What is sampled: the group of a row, or its picture."""
    return row.image.name if entry.group_column is None else row.group(entry.group_column)
