"""Is this statement true of these frames? What changed first, what moved, which way, and what made it move.

Items are (sequence of frames, statement). Sequences come in matched pairs, and each statement is asked of both partners
and true of one, so that the text alone tells nothing. Most pairs are asked two statements, each the other one's
opposite, so that the frames alone tell nothing either. ``docs/method.md`` says what single frames, and frames in random
order, tell.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pandas as pd

from layerwise.config.base import Each, Either, Maybe, whole
from layerwise.config.stimuli import Images, ImagesEntry
from layerwise.datasets import frames
from layerwise.datasets.format import DataSize
from layerwise.datasets.frame_events import CAUSE_PARTS, KINDS, statements
from layerwise.datasets.frames import AnnotatedSequence
from layerwise.errors import InputError
from layerwise.several_pictures import joined
from layerwise.stimuli.building import Sources, Stimuli
from layerwise.stimuli.kind import ExpectedItems, ImagesKind
from layerwise.stimuli.sampling import sample_ids

if TYPE_CHECKING:
    from layerwise.datasets.locations import Locations

Question = Literal["first", "moved", "direction", "cause", "contact", "outcome"]
# How many frames sequences of a kind have, unless an entry says otherwise.
FRAMES = dict.fromkeys(KINDS, 3) | {"moved": 2, "direction": 2}
Pair = tuple[AnnotatedSequence, AnnotatedSequence]


class Entry(ImagesEntry):
    """A stimulus set of statements about sequences of frames."""

    kind: Literal["frames"]
    """How items are made."""
    images: dict[str, Images]
    """How many sequences of each kind in `about` to sample from each official part of the data set (by seed), rounded
    down to matched pairs; the word `all` takes every sequence. Parts that are not named are left out."""
    about: Annotated[Question | Annotated[list[Question], Each(1)], Either(f"one or a list of {', '.join(KINDS)}")]
    """What is asked: first (what changed first), moved (what moved), direction (which way), cause (what made it move),
    or one of the two further parts of cause, contact and outcome. A list makes a label of each, for tasks to choose
    from by `labels`."""
    frames: Maybe[Annotated[int, whole(2)]] = None
    """Sample sequences of so many frames. In a drawn world, sequences with one frame more than usual have a pause, in
    which a frame is shown twice in a row. Default: 2 for moved and direction, 3 for the others."""

    def kinds(self) -> list[str]:
        """What is asked, as a list."""
        return [self.about] if isinstance(self.about, str) else list(self.about)


class _Frames(ImagesKind[Entry]):
    entry_class = Entry
    formats = ("frames",)
    allowed = required = frozenset({"text"})
    classes = ("no", "yes")

    def build(self, entry: Entry, sources: Sources, seed: int) -> tuple[Stimuli, list[Path]]:
        parts = {part: frames.read_part(sources.annotations, part) for part in entry.images}
        files = [frames.annotation_file(sources.annotations, part) for part in parts]
        pairs = {
            part: [
                pair
                for kind in entry.kinds()
                for pair in sample_pairs(
                    sequences, kind, self.pictures(entry), entry.images[part], [seed, *part.encode()]
                )
            ]
            for part, sequences in parts.items()
        }
        frames.check_pictures((one for of_part in pairs.values() for pair in of_part for one in pair), sources.images)
        return build_statements(pairs, sources.images), files

    def check(self, where: str, entry: Entry, data: "Locations") -> None:
        super().check(where, entry, data)
        numbers = {kind: FRAMES[kind] for kind in entry.kinds()}
        if entry.frames is None and len(set(numbers.values())) > 1:
            said = ", ".join(f"{kind} {number}" for kind, number in numbers.items())
            raise InputError(
                f"{where}.about: items of one stimulus set have as many frames, but these have: {said}; give `frames`, "
                "or make a stimulus set for each number"
            )

    def pictures(self, entry: Entry) -> int:
        return entry.frames or FRAMES[entry.kinds()[0]]

    def expected(self, entry: Entry, size: DataSize) -> ExpectedItems:
        kinds = entry.kinds()
        sequences = self.sampled(entry, size) * len(kinds)
        texts = sum(1 if kind in CAUSE_PARTS else size.texts_per_image for kind in kinds) / len(kinds)
        return ExpectedItems(sequences, texts, size.characters, distinct_texts=min(sequences * texts, 60 * len(kinds)))


def sample_pairs(
    sequences: Mapping[str, AnnotatedSequence], kind: str, n_frames: int, number: int | str, seed: Sequence[int]
) -> list[Pair]:
    """Matched pairs of a part, in the file's order.

    Args:
        sequences: of the part, by id.
        kind: of the sequences.
        n_frames: of each.
        number: of sequences, or ``"all"``.
        seed: of the choice.

    Raises:
        InputError: when the part has no such sequence.
    """
    of_kind = [sequence for sequence in sequences.values() if sequence.kind == kind]
    fitting = [sequence for sequence in of_kind if len(sequence.frames) == n_frames]
    if not fitting:
        file = next(iter(sequences.values())).place.partition(": sequence ")[0] if sequences else "the data set"
        others = ", ".join(map(str, sorted({len(sequence.frames) for sequence in of_kind})))
        has = f"those of this kind have {others}; say so as `frames`" if others else "it has none of this kind"
        raise InputError(f"{file}: there is no sequence of the kind {kind} with {n_frames} frames; {has}")
    pairs = [(one, sequences[one.matched]) for one in fitting if one.id < one.matched]
    chosen = number if isinstance(number, str) else max(1, number // 2)
    rng = np.random.default_rng([*seed, *kind.encode()])
    return [pairs[place] for place in sample_ids(list(range(len(pairs))), chosen, rng)]


def build_statements(parts: Mapping[str, Sequence[Pair]], images: str | Path) -> Stimuli:
    """Items of all statements about the pairs of each part.

    Args:
        parts: matched pairs by official part.
        images: the folder that their frames' files are in.

    Raises:
        InputError: when no statement tells two partners apart.
    """
    items = pd.DataFrame([item for part, pairs in parts.items() for pair in pairs for item in _items(part, pair)])
    kinds = list(dict.fromkeys(items["kind"]))
    paths = {names: joined([str(Path(images) / name) for name in names]) for names in set(items["frames"])}
    of_parts = zip(items["part"], items["frames"], strict=True)
    ids = [joined([f"{part}/{name}" for name in names]) for part, names in of_parts]
    shown = pd.DataFrame({"item_id": items["item_id"], "image": items["frames"].map(paths), "text": items["text"]})
    provenance = pd.DataFrame(
        {
            "item_id": items["item_id"],
            "image_id": ids,
            "group": items["part"] + "/" + items["pair"],
            "part": items["part"],
        }
        | {f"label:{kind}": items["label"].where(items["kind"] == kind, None) for kind in kinds}
    )
    pairs = Counter(pair[0].kind for of_part in parts.values() for pair in of_part)
    return Stimuli(shown, provenance, categories=[], notes={"matched_pairs": dict(pairs)})


def _items(part: str, pair: Pair) -> Iterator[dict[str, Any]]:
    for one, other in (pair, pair[::-1]):
        asked = statements(one.kind, one.events, other.events)
        if not asked:
            raise InputError(
                f"{one.place} ({one.kind}) and its partner {other.id!r}: no statement is true of one of them alone; "
                f"correct their events: {NEEDED[one.kind]}"
            )
        for number, (text, holds) in enumerate(asked.items(), start=1):
            yield {
                "item_id": f"{part}/{one.id}/{number}",
                "frames": one.frames,
                "text": text,
                "kind": one.kind,
                "label": "yes" if holds else "no",
                "part": part,
                "pair": min(one.id, other.id),
            }


# What the events of two partners must tell apart, for messages.
_CAUSED = "what moved needs a 'caused_by' that differs between the two"
NEEDED = dict.fromkeys(KINDS, _CAUSED) | {
    "first": "two objects change, one before the other, in another order in each of the two",
    "moved": "another object moved in each of the two",
    "direction": "what moved needs a 'way' that differs between the two",
}
KIND = _Frames()
