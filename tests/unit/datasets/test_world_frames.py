"""Sequences of frames: what tells a statement's truth and what cannot, over everything that the generator can draw."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from layerwise.config.data import World
from layerwise.datasets.frame_events import KINDS, Event, true_statements
from layerwise.datasets.world import render
from layerwise.datasets.world.build import make_world
from layerwise.datasets.world.frames import pairs
from layerwise.datasets.world.frames.actors import Actor, scene
from layerwise.datasets.world.frames.files import pairs_by_part
from layerwise.datasets.world.frames.pairs import arranged_pair, draw_sequence, paused
from layerwise.datasets.world.frames.ring import MIDDLE, RING, cell
from layerwise.datasets.world.frames.sequences import FrameSequence, found_events
from layerwise.datasets.world.scenes import Scene
from layerwise.errors import InputError

# Two objects; what else is drawn does not depend on what these look like.
ACTORS = Actor("circle", "red", "blue", 6, (7, 7)), Actor("square", "green", "yellow", 5, (8, 7))

# What may be seen of a sequence, besides the text.
VIEWS: dict[str, Callable[[FrameSequence], object]] = {
    "nothing": lambda sequence: None,
    "frame 1": lambda sequence: sequence.frames[0],
    "frame 2": lambda sequence: sequence.frames[1],
    "last frame": lambda sequence: sequence.frames[-1],
    "first and last": lambda sequence: (sequence.frames[0], sequence.frames[-1]),
    "random order": lambda sequence: frozenset(Counter(sequence.frames).items()),
}
# Views that tell nothing. All others tell everything.
TELL_NOTHING = {
    "first": {"nothing", "frame 1", "frame 2", "last frame", "first and last", "random order"},
    "moved": {"nothing", "frame 1", "frame 2", "last frame"},
    "direction": {"nothing", "frame 1", "frame 2", "last frame", "random order"},
    "cause": {"nothing", "frame 1", "frame 2", "last frame", "random order"},
    "contact": {"nothing", "frame 1", "last frame"},
    "outcome": {"nothing", "frame 1", "last frame", "first and last"},
}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


class EveryChoice:
    """Goes through all that can be drawn: each choice is one of a list, and the last one changes first."""

    def __init__(self):
        self._taken, self._options, self._place = [], [], 0

    def integers(self, number: int) -> int:
        if self._place == len(self._taken):
            self._taken.append(0)
            self._options.append(number)
        self._place += 1
        return self._taken[self._place - 1]

    def runs(self) -> Iterator[Fraction]:
        """The probability of each run, once it has drawn."""
        while True:
            self._place = 0
            yield Fraction(1)
            while self._taken and self._taken[-1] + 1 == self._options[-1]:
                self._taken.pop()
                self._options.pop()
            if not self._taken:
                return
            self._taken[-1] += 1

    @property
    def probability(self) -> Fraction:
        return Fraction(1, int(np.prod(self._options, dtype=object)))


Drawn = Iterator[tuple[Fraction, tuple[FrameSequence, FrameSequence]]]
Views = Mapping[str, Callable[[FrameSequence], object]]


def every_pair(kind: str, pause: bool = False) -> Drawn:
    """All pairs of two objects, each with its probability."""
    chance = EveryChoice()
    for _ in chance.runs():
        pair = arranged_pair(kind, ACTORS, chance)
        pair = paused(*pair, chance) if pause else pair
        yield chance.probability, pair


def labels_by_view(drawn: Drawn, views: Views) -> dict[str, list[tuple[Fraction, Fraction]]]:
    """By view and content with a text: how probable it is that the text is wrong, and that it is right."""
    seen: dict[str, dict[object, list[Fraction]]] = {view: defaultdict(lambda: [Fraction(0)] * 2) for view in views}
    total = Fraction(0)
    for probability, pair in drawn:
        total += probability
        for sequence, partner in (pair, pair[::-1]):
            for text, holds in sequence.statements(partner).items():
                for view, look in views.items():
                    seen[view][look(sequence), text][holds] += probability
    assert total == 1
    return {view: [(no, yes) for no, yes in counts.values()] for view, counts in seen.items()}


def check_views(kind: str) -> None:
    for view, labels in labels_by_view(every_pair(kind), VIEWS).items():
        if view in TELL_NOTHING[kind]:
            assert all(no == yes for no, yes in labels), view
        else:
            assert all(0 in both for both in labels), view


@pytest.mark.parametrize("kind", KINDS)
def test_what_should_tell_nothing_tells_nothing_and_the_rest_tells_all(kind, monkeypatch):
    if kind == "first":
        # The tests below have all changes.
        monkeypatch.setattr(pairs, "STEPS", (1,))
        monkeypatch.setattr(pairs, "CHANGES", ("cell", "presence"))
    check_views(kind)


@pytest.mark.slow
def test_so_it_is_for_all_changes(monkeypatch):
    monkeypatch.setattr(pairs, "STEPS", (3,))
    check_views("first")


@pytest.mark.whole
def test_so_it_is_for_all_changes_and_distances():
    check_views("first")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "frame 2" in TELL_NOTHING[kind]])
def test_a_pause_tells_nothing(kind, monkeypatch):
    monkeypatch.setattr(pairs, "STEPS", (1,))
    monkeypatch.setattr(pairs, "CHANGES", ("colour",))
    number = len(next(every_pair(kind))[1][0].frames)
    views = {str(place): lambda sequence, place=place: sequence.frames[place] for place in range(number + 1)}
    views |= {"random order": VIEWS["random order"]} if "random order" in TELL_NOTHING[kind] else {}
    for view, labels in labels_by_view(every_pair(kind, pause=True), views).items():
        assert all(no == yes for no, yes in labels), view


@pytest.mark.parametrize("kind", KINDS)
def test_frames_without_a_text_tell_nothing_where_two_texts_are_asked(kind, rng):
    for _ in range(20):
        one, other = draw_sequence(kind, rng)
        for asked in (one.statements(other), other.statements(one)):
            assert list(asked.values()).count(True) == 1 if len(asked) == 2 else kind in ("contact", "outcome")


def moved_first(sequence: FrameSequence, pusher: str) -> bool:
    return sequence.events[0].who == pusher


def touched(sequence: FrameSequence, pusher: str) -> bool:
    places = [[RING.index((item.column, item.row)) for item in frame.objects] for frame in sequence.frames]
    return any((one - other) % len(RING) in (1, len(RING) - 1) for one, other in places)


@pytest.mark.parametrize(
    ("rule", "right"),
    [
        (moved_first, {"cause": 1, "contact": Fraction(1, 2), "outcome": 1}),
        (touched, {"cause": Fraction(1, 2), "contact": 1, "outcome": 1}),
    ],
)
def test_simple_rules_about_a_cause_fail_in_one_of_its_kinds(rule, right):
    found = {}
    for kind in right:
        hits = [
            probability * (rule(sequence, text.split()[1]) == holds) / len(sequence.statements(partner))
            for probability, pair in every_pair(kind)
            for sequence, partner in (pair, pair[::-1])
            for text, holds in sequence.statements(partner).items()
        ]
        found[kind] = sum(hits) / 2
    assert found == right


def place(at: int | None, other_at: int | None, **changed: object) -> Scene:
    """The circle and the square on the ring, or not there."""
    cells = [None if at is None else cell(at) for at in (at, other_at)]
    return scene(replace(ACTORS[0], cell=cells[0], **changed), replace(ACTORS[1], cell=cells[1]))


def test_the_ring_is_the_border_and_goes_round():
    assert len(set(RING)) == 12
    assert not set(RING) & set(MIDDLE)
    steps = [(abs(a - c), abs(b - d)) for (a, b), (c, d) in pairwise([*RING, RING[0]])]
    assert set(steps) == {(0, 1), (1, 0)}
    # To the right along the upper border.
    assert (RING[0], RING[1]) == ((0, 0), (1, 0))


def moved(who: str, after: int, caused_by: str | None = None) -> Event:
    return Event("moved", who, after, "clockwise", caused_by)


@pytest.mark.parametrize(
    ("frames", "events"),
    [
        ([place(0, 5), place(2, 5)], [moved("circle", 1)]),
        ([place(11, 5), place(1, 5)], [moved("circle", 1)]),
        ([place(1, 5), place(10, 5)], [Event("moved", "circle", 1, "anticlockwise")]),
        ([place(0, 5), place(0, 5), place(0, 5, radius=7)], [Event("grew", "circle", 2)]),
        ([place(0, 5), place(0, 5, radius=5)], [Event("shrank", "circle", 1)]),
        ([place(0, 5), place(0, 5, colour="blue")], [Event("changed colour", "circle", 1)]),
        ([place(0, 5), place(None, 5)], [Event("disappeared", "circle", 1)]),
        ([place(0, None), place(0, 5)], [Event("appeared", "square", 1)]),
        # Came to the next cell, and the other one went on in the same direction.
        ([place(0, 5), place(4, 5), place(4, 6)], [moved("circle", 1), moved("square", 2, "circle")]),
        ([place(0, 5), place(4, 5), place(4, 5), place(4, 6)], [moved("circle", 1), moved("square", 3, "circle")]),
        # Stopped short; came too late; was there all the time; came, and the other one went the other way.
        ([place(0, 5), place(3, 5), place(3, 6)], [moved("circle", 1), moved("square", 2)]),
        ([place(0, 5), place(0, 6), place(5, 6)], [moved("square", 1), moved("circle", 2)]),
        ([place(4, 5), place(4, 6)], [moved("square", 1)]),
        ([place(0, 5), place(4, 5), place(4, 3)], [moved("circle", 1), Event("moved", "square", 2, "anticlockwise")]),
    ],
)
def test_events_are_read_off_the_frames(frames, events):
    assert list(found_events(frames)) == events


def test_an_object_that_changes_twice_counts_from_its_first_change():
    events = [Event("grew", "circle", 3), Event("grew", "square", 2), Event("shrank", "circle", 1)]
    assert true_statements("first", events) == ["The circle changed before the square."]
    at_once = [Event("grew", "circle", 1), Event("grew", "square", 1)]
    assert true_statements("first", at_once) == []


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_changes_looks_different(kind, rng):
    for _ in range(20):
        for sequence in draw_sequence(kind, rng):
            for number, (before, after) in enumerate(pairwise(sequence.frames), start=1):
                who = {event.who for event in sequence.events if event.after == number}
                assert len(who) == 1
                drawn = [item for frame in (before, after) for item in frame.objects if item.shape in who]
                changed = np.logical_or.reduce([render.mask(item) for item in drawn])
                differ = (render.render(before) != render.render(after)).any(axis=2)
                assert differ.any()
                assert not (differ & ~changed).any()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("world")
    make_world(out, 4, 3, 3, seed=7, frame_sequences=22)
    return out


def test_a_world_without_sequences_is_what_it_was(folder, tmp_path):
    without = make_world(tmp_path, 4, 3, 3, seed=7)
    told = json.loads((folder / "world.json").read_text())
    assert without["counts"].items() == {(name, n) for name, n in told["counts"].items() if "frames/" not in name}
    for file in tmp_path.rglob("*"):
        if file.is_file() and file.name != "world.json":
            assert file.read_bytes() == (folder / file.relative_to(tmp_path)).read_bytes()
    assert World().entry() == {"train_images": 1200, "val_images": 400, "flickr_images": 800}
    assert World(frame_sequences=6).entry()["frame_sequences"] == 6


def test_annotations_say_what_the_pictures_show(folder):
    files = []
    for part, number in pairs_by_part(22).items():
        content = json.loads((folder / f"frames/{part}.json").read_text())["sequences"]
        assert len(content) == 4 * number * len(KINDS)
        for sequence in content:
            assert {event["between"][1] - event["between"][0] for event in sequence["events"]} == {1}
            for frame in sequence["frames"]:
                picture = np.asarray(Image.open(folder / "frames" / frame["file"])).astype(int)
                files.append((part, sequence["id"].removesuffix("-paused").rpartition("-")[0], frame["file"]))
                shown = (picture != render.BACKGROUND).any(axis=2)
                for item in frame["objects"]:
                    x, y, width, height = item["box"]
                    box = shown[y : y + height, x : x + width]
                    assert box.any(axis=0).all()
                    assert box.any(axis=1).all()
                    assert (x // 16, y // 16) == tuple(item["cell"])
                    shown[y : y + height, x : x + width] = False
                assert not shown.any()
    # No picture is in two pairs, and none in two parts.
    pixels = defaultdict(set)
    for _, pair, file in set(files):
        pixels[(folder / "frames" / file).read_bytes()].add(pair.split("-paused")[0])
    assert all(len(of_picture) == 1 for of_picture in pixels.values())
    told = json.loads((folder / "world.json").read_text())
    assert told["counts"]["frames/train"] == len({file for part, _, file in files if part == "train"})
    assert "frames/test.json" in told["sha256"]


def test_a_seed_decides_the_sequences(folder, tmp_path):
    for seed in (7, 8):
        make_world(tmp_path / str(seed), 4, 3, 3, seed=seed, frame_sequences=22)
        alike = (tmp_path / str(seed) / "frames/val.json").read_bytes() == (folder / "frames/val.json").read_bytes()
        assert alike == (seed == 7)


@pytest.mark.parametrize("number", [-2, 1, 5])
def test_too_few_sequences_are_the_users_error(tmp_path, number):
    with pytest.raises(InputError, match=rf"--frame-sequences {number}: give 0, or 6 or more"):
        make_world(tmp_path, 1, 1, 3, seed=0, frame_sequences=number)
    with pytest.raises(ValueError, match="0, or a whole number of at least 6"):
        World(frame_sequences=number)
    assert all(pairs_by_part(6).values())
