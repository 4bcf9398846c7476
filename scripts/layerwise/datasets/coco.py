"""Read one part (``train2017``, ``val2017``) of a data set in COCO 2017's format.

Format: https://cocodataset.org/#format-data - ``instances_PART.json`` with images, categories and boxes,
``captions_PART.json`` with captions, and one folder of images per part. An object may have ``attributes``, a mapping
such as ``{"colour": "red"}``, which annotation tools write and COCO's own files lack.
"""

import json
import logging
import math
from pathlib import Path
from typing import Any

import pandas as pd

from layerwise.datasets.annotated import MEASURES, OBJECT_COLUMNS, AnnotatedPart
from layerwise.datasets.text_files import is_text, read_json, shown
from layerwise.errors import InputError

log = logging.getLogger(__name__)

# Official parts, and the split that each is meant for.
PARTS = {"train2017": "train", "val2017": "test"}


def annotation_files(annotations: str | Path, part: str) -> list[Path]:
    """The files that :func:`read_part` reads."""
    return [Path(annotations) / f"{kind}_{part}.json" for kind in ("instances", "captions")]


def read_parts(annotations: str | Path, images: str | Path, parts: list[str]) -> dict[str, AnnotatedPart]:
    """Read several parts by :func:`read_part`; they must annotate the same categories.

    Raises:
        InputError: when one part lists a category that another lacks: its objects would count as absent there.
    """
    read = {part: read_part(annotations, images, part) for part in parts}
    first, *others = read
    for other in others:
        for having, lacking in ((first, other), (other, first)):
            if only := [name for name in read[having].categories if name not in read[lacking].categories]:
                files = [annotation_files(annotations, part)[0] for part in (having, lacking)]
                raise InputError(
                    f"{files[0]} has the category {only[0]!r}, and {files[1]} has not: nobody looked for it there; "
                    "list the same categories in both, or sample one part alone"
                )
    return read


def read_part(annotations: str | Path, images: str | Path, part: str) -> AnnotatedPart:
    """Read images, captions and category presence of ``part``; the image files themselves need not be there yet.

    Whole numbers such as 7.0 are the id 7, as they are to pycocotools; text is no number, so "7" is another id. A
    record that repeats an earlier one - of the same id, or of the same box in all its fields - counts once.

    Raises:
        InputError: on a missing or malformed file, naming the record; on an annotation of an unknown image or
            category; on two different records of one id.
    """
    instances_file, captions_file = annotation_files(annotations, part)
    instances = read_json(instances_file, "COCO's instances_PART.json")
    captions = read_json(captions_file, "COCO's captions_PART.json")

    image_records = _Records(instances_file, "images", instances, ids=("id",), texts=("file_name",)).unique("id")
    image_records.unique("file_name")
    categories = _Records(instances_file, "categories", instances, ids=("id",), texts=("name",)).unique("id")
    categories.unique("name")
    objects = _Records(instances_file, "annotations", instances, ids=("image_id", "category_id"), may_have=("id",))
    texts = _Records(captions_file, "annotations", captions, ids=("id", "image_id"), texts=("caption",))
    objects.refer("category_id", categories)
    for records in (objects, texts):
        records.refer("image_id", image_records)
    repeated = objects.drop_repeated(("bbox", "segmentation")) + texts.drop_repeated()
    if repeated:
        log.warning("%s: %d records of %s repeat another one and count once", Path(annotations), repeated, part)

    names = {record["id"]: record["name"] for record in categories}
    known = _annotations(objects, names, {record["id"]: record for record in image_records})
    folder = Path(images) / part
    return AnnotatedPart(
        images=pd.DataFrame(
            [(record["id"], str(folder / record["file_name"])) for record in image_records],
            columns=["image_id", "image"],
        ),
        captions=pd.DataFrame(
            [(record["id"], record["image_id"], record["caption"]) for record in texts],
            columns=["caption_id", "image_id", "caption"],
        ),
        objects=known[["image_id", "category"]].drop_duplicates(ignore_index=True),
        categories=list(names.values()),
        annotations=known,
        repeated=repeated,
    )


class _Records:
    """The records under a key of a file, checked one by one; a complaint names the record by its position.

    Iterating gives the records in the file's order, their ids as :func:`read_part` says.
    """

    def __init__(
        self,
        file: Path,
        key: str,
        content: dict[str, Any],
        ids: tuple[str, ...],
        texts: tuple[str, ...] = (),
        may_have: tuple[str, ...] = (),
    ):
        self.file, self.key = file, key
        records = content.get(key)
        if not isinstance(records, list):
            raise InputError(f"{file}: there is no list {key!r}; is this a COCO 2017 annotation file?")
        self.by_position: dict[int, dict[str, Any]] = {}
        for position, record in enumerate(records):
            for field in (*ids, *texts):
                if not isinstance(record, dict) or field not in record:
                    raise InputError(f"{self.place(position)} has no {field!r}")
            for field in texts:
                if not is_text(record[field]):
                    raise InputError(
                        f"{self.place(position)} has an empty {field!r}, or one that is no text "
                        f"({shown(record[field])}); correct the record or take it out"
                    )
            # In place: a copy of all records would take as much memory again.
            for field in (*ids, *may_have):
                if field in record:
                    record[field] = self._id(position, field, record[field])
            self.by_position[position] = record

    def __iter__(self):
        return iter(self.by_position.values())

    def place(self, position: int) -> str:
        """A record, for messages."""
        return f"{self.file}: record {position} of {self.key!r}"

    def _id(self, position: int, field: str, value: Any) -> int | str:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if is_text(value):
            return value
        raise InputError(
            f"{self.place(position)} has the {field} {shown(value)}, which is no id; give a whole number or a text"
        )

    def unique(self, field: str) -> "_Records":
        """Refuse two records of one value. (Items are named after ids: the text "7" would be taken for the number.)"""
        seen: dict[str, int] = {}
        for position, record in self.by_position.items():
            if (first := seen.setdefault(str(record[field]), position)) != position:
                raise InputError(
                    f"{self.file}: two {self.key} have the {field} {shown(record[field])} (records {first} and "
                    f"{position}); each must be there once"
                )
        if len({type(record[field]) for record in self}) > 1:
            raise InputError(f"{self.file}: some {self.key} have a number as {field}, and others a text; use one kind")
        return self

    def refer(self, field: str, known: "_Records") -> None:
        """Refuse a reference to an id that is not among the ``known``."""
        ids = {record["id"] for record in known}
        for position, record in self.by_position.items():
            if record[field] not in ids:
                other = next((one for one in ids if str(one) == str(record[field])), None)
                hint = "" if other is None else f" ({shown(other)} is there: text and number are not the same)"
                raise InputError(
                    f"{self.place(position)} has {field} {shown(record[field])}, but there is no such id in "
                    f"{known.key!r}{hint}"
                )

    def drop_repeated(self, place: tuple[str, ...] = ()) -> int:
        """Drop records that repeat an earlier one, and count them.

        Args:
            place: fields of which a record must have one to count as repeated under another id. Without a place two
                objects of one category cannot be told from one that was listed twice.

        Raises:
            InputError: on two different records of one id.
        """
        by_id: dict[Any, int] = {}
        by_place: dict[Any, list[int]] = {}
        repeated = []
        for position, record in self.by_position.items():
            first = by_id.setdefault(record["id"], position) if "id" in record else position
            if first != position:
                if self.by_position[first] != record:
                    raise InputError(
                        f"{self.place(position)} has the id {shown(record['id'])} of record {first}, but says "
                        "something else; give each annotation an id of its own"
                    )
                repeated.append(position)
            elif where := next((record[field] for field in place if record.get(field)), None):
                others = by_place.setdefault((record["image_id"], str(where)), [])
                if any(self.by_position[other] | {"id": None} == record | {"id": None} for other in others):
                    repeated.append(position)
                others.append(position)
        for position in repeated:
            del self.by_position[position]
        return len(repeated)


def _annotations(objects: _Records, names: dict[Any, str], images: dict[Any, dict[str, Any]]) -> pd.DataFrame:
    sizes = {key: _numbers([image.get("width"), image.get("height")], 2) for key, image in images.items()}
    rows = []
    for position, record in objects.by_position.items():
        width, height = (side if side > 0 else math.nan for side in sizes[record["image_id"]])
        left, top, box_width, box_height = _numbers(record.get("bbox"), 4)
        (area,) = _numbers([record.get("area")], 1)
        # COCO has boxes of no height, but none of a negative one, and none beside the image.
        if (
            box_width < 0
            or box_height < 0
            or left > width
            or top > height
            or left + box_width < 0
            or top + box_height < 0
        ):
            left = top = math.nan
        x, y = (left + box_width / 2) / width, (top + box_height / 2) / height
        share = area / (width * height) if area >= 0 else math.nan
        crowd, attributes = record.get("iscrowd", 0), record.get("attributes", {})
        if crowd not in (0, 1):
            raise InputError(f"{objects.place(position)} has 'iscrowd' {shown(crowd)}; it must be 0 or 1")
        if not isinstance(attributes, dict):
            raise InputError(
                f'{objects.place(position)} has \'attributes\' that are no mapping such as {{"colour": "red"}}'
            )
        category = names[record["category_id"]]
        row = (
            record["image_id"],
            category,
            x,
            y,
            share,
            crowd == 1,
            json.dumps(attributes),
            str(objects.file),
            position,
        )
        rows.append(row)
    return pd.DataFrame(rows, columns=OBJECT_COLUMNS).astype(dict.fromkeys(MEASURES, float) | {"crowd": bool})


def _numbers(value: Any, count: int) -> list[float]:
    """So many finite numbers, or as many NaN."""
    whole = isinstance(value, list) and len(value) == count
    if whole and all(isinstance(n, int | float) and not isinstance(n, bool) for n in value):
        try:
            numbers = [float(n) for n in value]
        except OverflowError:
            numbers = [math.inf]
        if all(map(math.isfinite, numbers)):
            return numbers
    return [math.nan] * count
