"""Read one part of a data set of frame sequences, ``PART.json``; docs/formats.md describes it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from layerwise.datasets.frame_events import EVENTS, KINDS, MOVED, Event
from layerwise.datasets.text_files import is_text, read_json, shown
from layerwise.errors import InputError

WHAT = "a file of frame sequences (docs/formats.md)"


@dataclass(frozen=True)
class AnnotatedSequence:
    """A sequence of frames and what happens in it.

    Attributes:
        place: its file and id, for messages.
        id: unique in its part.
        kind: of :data:`layerwise.datasets.frame_events.KINDS`.
        frames: the files, in order, relative to the folder of images.
        events: between them.
        matched: id of its partner.
    """

    place: str
    id: str
    kind: str
    frames: tuple[str, ...]
    events: tuple[Event, ...]
    matched: str


def annotation_file(annotations: str | Path, part: str) -> Path:
    """The file that :func:`read_part` reads."""
    return Path(annotations) / f"{part}.json"


def read_part(annotations: str | Path, part: str) -> dict[str, AnnotatedSequence]:
    """The sequences of a part by id, in the file's order, each with its partner. No picture is opened.

    Raises:
        InputError: on a missing or malformed file, an unknown event, or a partner that is not there or does not fit,
            naming file and sequence.
    """
    file = annotation_file(annotations, part)
    records = read_json(file, WHAT).get("sequences")
    if not isinstance(records, list):
        raise InputError(f"{file}: there is no list 'sequences'; it should be {WHAT}")
    if not records:
        raise InputError(f"{file}: 'sequences' is empty; add sequences, or leave the part {part!r} out of `images`")
    found: dict[str, AnnotatedSequence] = {}
    for position, record in enumerate(records):
        sequence = _sequence(file, position, record)
        if sequence.id in found:
            raise InputError(f"{sequence.place}: two sequences have this id; give each one of its own")
        found[sequence.id] = sequence
    for sequence in found.values():
        _check_partner(sequence, found)
    return found


def check_pictures(sequences: Iterable[AnnotatedSequence], images: str | Path) -> None:
    """Refuse sequences whose frames are missing, or not of one size. Only the beginning of each file is read.

    Raises:
        InputError: naming sequence and file.
    """
    sizes: dict[str, tuple[int, int]] = {}
    for sequence in sequences:
        for name in sequence.frames:
            if name not in sizes:
                sizes[name] = _size(sequence, Path(images) / name)
            if sizes[name] != sizes[sequence.frames[0]]:
                first, other = ("x".join(map(str, sizes[one])) for one in (sequence.frames[0], name))
                raise InputError(
                    f"{sequence.place}: its frame {Path(images) / name} has {other} pixels, and its first frame "
                    f"{first}; save all frames of a sequence in one size"
                )


def _size(sequence: AnnotatedSequence, file: Path) -> tuple[int, int]:
    try:
        with Image.open(file) as picture:
            return picture.size
    except FileNotFoundError as error:
        raise InputError(
            f"{sequence.place}: there is no frame {file}; add the picture, or take the sequence and its partner out"
        ) from error
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{sequence.place}: {file} is not a readable image ({error}); replace the file") from error


def _sequence(file: Path, position: int, record: Any) -> AnnotatedSequence:
    if not isinstance(record, dict) or not is_text(record.get("id")):
        raise InputError(f"{file}: record {position} of 'sequences' has no text as 'id'; give each sequence an id")
    place = f"{file}: sequence {record['id']!r}"
    if record.get("kind") not in KINDS:
        raise InputError(f"{place} has the kind {shown(record.get('kind'))}; kinds are {', '.join(KINDS)}")
    if not is_text(record.get("matched")):
        raise InputError(f"{place} has no text as 'matched'; give the id of its partner")
    frames = record.get("frames")
    if not isinstance(frames, list) or len(frames) < 2:
        raise InputError(f"{place} has no list 'frames' of two frames or more")
    names = set()
    for number, frame in enumerate(frames, start=1):
        if not isinstance(frame, dict) or not is_text(frame.get("file")) or "\n" in frame["file"]:
            raise InputError(f"{place}: its frame {number} has no 'file'; give the name of a picture")
        names |= _names(f"{place}: its frame {number}", frame.get("objects", []))
    events = record.get("events")
    if not isinstance(events, list):
        raise InputError(f"{place} has no list 'events'; say what happens between its frames")
    described = tuple(_event(f"{place}: event {number}", event, frames) for number, event in enumerate(events))
    # Objects may be left out, but those that are there must be the ones that events speak of.
    for event in described:
        for who in (event.who, event.caused_by):
            if names and who is not None and who not in names:
                raise InputError(f"{place}: an event speaks of {who!r}, but its frames show {', '.join(sorted(names))}")
    return AnnotatedSequence(
        place, record["id"], record["kind"], tuple(frame["file"] for frame in frames), described, record["matched"]
    )


def _names(place: str, objects: Any) -> set[str]:
    if not isinstance(objects, list) or not all(
        isinstance(item, dict) and is_text(item.get("name")) for item in objects
    ):
        raise InputError(
            f"{place} has 'objects' that are no list of objects with a 'name'; correct them, or leave them out"
        )
    names = [item["name"] for item in objects]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"{place} has two objects named {twice[0]!r}; give each a name of its own")
    for item in objects:
        box = item.get("box", [0, 0, 0, 0])
        numbers = isinstance(box, list) and len(box) == 4 and all(type(side) in (int, float) for side in box)
        if not numbers or min(box[2:]) < 0:
            raise InputError(
                f"{place} has the box {shown(box)} of {item['name']!r}; give x, y, width and height in pixels"
            )
    return set(names)


def _event(place: str, event: Any, frames: list[Any]) -> Event:
    if not isinstance(event, dict) or event.get("what") not in EVENTS:
        what = event.get("what") if isinstance(event, dict) else event
        raise InputError(f"{place} is {shown(what)}; events are {', '.join(EVENTS)}")
    for key in ("who", "way", "caused_by"):
        if not is_text(event.get(key)) and (key == "who" or event.get(key) is not None):
            raise InputError(f"{place} has {shown(event.get(key))} as {key!r}; give a word, such as the object's name")
    between = event.get("between")
    after = next((number for number in range(1, len(frames)) if between == [number, number + 1]), None)
    if after is None:
        raise InputError(
            f"{place} is between {shown(between)}; give the numbers of two frames in a row, such as [1, 2], of "
            f"{len(frames)}"
        )
    if event["what"] != MOVED and (event.get("way") or event.get("caused_by")):
        raise InputError(f"{place}: only what moved has 'way' and 'caused_by'; leave them out")
    return Event(event["what"], event["who"], after, event.get("way"), event.get("caused_by"))


def _check_partner(sequence: AnnotatedSequence, found: dict[str, AnnotatedSequence]) -> None:
    partner = found.get(sequence.matched)
    if partner is None:
        raise InputError(
            f"{sequence.place}: its partner {sequence.matched!r} is not in the file; add it, or take this sequence out"
        )
    if partner is sequence or partner.matched != sequence.id:
        raise InputError(
            f"{sequence.place}: its partner {sequence.matched!r} is matched with {partner.matched!r}; two partners "
            "must name each other"
        )
    if (partner.kind, len(partner.frames)) != (sequence.kind, len(sequence.frames)):
        raise InputError(
            f"{sequence.place} is {sequence.kind} with {len(sequence.frames)} frames, and its partner {partner.id!r} "
            f"{partner.kind} with {len(partner.frames)}; partners have one kind, and as many frames"
        )
