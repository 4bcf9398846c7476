"""Statements about sequences of frames: balance in the finite set, sampling, and what is refused."""

import copy
import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from layerwise.datasets.frame_events import CAUSE_PARTS, KINDS
from layerwise.datasets.frames import check_pictures, read_part
from layerwise.datasets.world.build import make_world
from layerwise.datasets.world.frames.files import pairs_by_part
from layerwise.errors import InputError
from layerwise.several_pictures import each
from layerwise.stimuli.building import Sources, Stimuli
from layerwise.stimuli.kinds.frames import FRAMES
from layerwise.stimuli.making import build_stimuli, read_entry
from layerwise.study import Study

ALL = {"train": "all", "val": "all", "test": "all"}
SEQUENCES = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("world")
    make_world(out, 1, 1, 3, seed=1, frame_sequences=SEQUENCES)
    return out / "frames"


def built(folder: Path, about: str | list[str], seed: int = 0, **keys: object) -> Stimuli:
    entry = read_entry({"kind": "frames", "dataset": "d", "images": ALL, "about": about} | keys)
    return build_stimuli(entry, Sources("frames", str(folder), str(folder)), seed)[0]


def items_of(stimuli: Stimuli, kind: str) -> pd.DataFrame:
    items = stimuli.shown.merge(stimuli.provenance, on="item_id").rename(columns={f"label:{kind}": "label"})
    frames = items["image"].map(each)
    return items.assign(
        frames=frames, in_any_order=frames.map(sorted).map(tuple), first=frames.str[0], last=frames.str[-1]
    )


def is_even(items: pd.DataFrame, *columns: str) -> bool:
    """Whether each content of some columns has as many items of either class."""
    counts = items.groupby([*columns, "label"]).size().unstack(fill_value=0)
    return bool((counts["no"] == counts["yes"]).all())


@pytest.mark.parametrize("pause", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_partners_tell_nothing_to_the_item(folder, kind, pause):
    stimuli = built(folder, kind, frames=FRAMES[kind] + pause)
    items = items_of(stimuli, kind)
    texts = 1 if kind in CAUSE_PARTS else 2
    assert len(items) == SEQUENCES * texts
    assert items["frames"].map(len).eq(FRAMES[kind] + pause).all()
    assert is_even(items, "text")
    assert is_even(items, "in_any_order", "text") == (kind in ("first", "direction", "cause"))
    assert is_even(items, "image") == (texts == 2)
    assert is_even(items, "first", "text") == (kind in ("moved", *CAUSE_PARTS))
    assert is_even(items, "last", "text") == (kind == "outcome")
    # Partners stay together: a group is a pair, with both of its sequences, in one part.
    assert items.groupby("group")["image"].nunique().eq(2).all()
    assert items.groupby("group")["part"].nunique().eq(1).all()
    assert items["image"].nunique() == SEQUENCES
    assert stimuli.notes == {"matched_pairs": {kind: SEQUENCES // 2}}


def test_statements_are_true_of_what_happens(folder):
    items = items_of(built(folder, "direction"), "direction").set_index("item_id")
    told = json.loads((folder / "val.json").read_text())["sequences"]
    sequence = next(one for one in told if one["kind"] == "direction" and len(one["frames"]) == 2)
    (event,) = sequence["events"]
    own = items[items.index.str.startswith(f"val/{sequence['id']}/")]
    assert dict(zip(own["text"], own["label"], strict=True)) == {
        f"The {event['who']} moved {way}.": "yes" if way == event["way"] else "no"
        for way in ("clockwise", "anticlockwise")
    }
    assert own["frames"].iloc[0] == [str(folder / frame["file"]) for frame in sequence["frames"]]
    assert each(own["image_id"].iloc[0]) == [f"val/{frame['file']}" for frame in sequence["frames"]]


def test_each_kind_is_a_label(folder):
    provenance = built(folder, ["cause", "contact", "outcome"]).provenance
    labels = provenance[[f"label:{kind}" for kind in ("cause", "contact", "outcome")]]
    assert labels.notna().sum().tolist() == [2 * SEQUENCES, SEQUENCES, SEQUENCES]
    assert labels.notna().sum(axis=1).eq(1).all()


def test_a_sample_is_of_whole_pairs_and_of_each_part_alone(folder):
    few = {"train": 9, "val": "all"}
    sampled = built(folder, ["first", "cause"], images=few).provenance
    of_train = sampled[sampled["part"] == "train"]
    assert of_train["group"].nunique() == 2 * (9 // 2)
    assert of_train.groupby("group")["image_id"].nunique().eq(2).all()
    assert set(sampled.loc[sampled["part"] == "val", "group"]) == set(
        built(folder, ["first", "cause"], images={"val": "all"}).provenance["group"]
    )
    assert set(of_train["group"]) == set(built(folder, ["first", "cause"], images={"train": 9}).provenance["group"])
    assert set(of_train["group"]) != set(built(folder, ["first", "cause"], 1, images={"train": 9}).provenance["group"])


def test_another_number_of_frames_is_refused(folder):
    expected = r"train.json: there is no sequence of the kind moved with 4 frames; those of this kind have 2, 3; say so"
    with pytest.raises(InputError, match=expected):
        built(folder, "moved", frames=4)


@pytest.fixture
def with_frames(study) -> dict:
    """The demo's study, with sequences."""
    study["worlds"]["shapes"]["frame_sequences"] = 50
    study["datasets"]["shapes-frames"] = {"format": "frames", "world": "shapes"}
    study["stimuli"]["causes"] = {
        "kind": "frames",
        "dataset": "shapes-frames",
        "images": {"train": "all", "val": "all", "test": 4},
        "about": ["cause", "contact"],
        "prompts": ["happened"],
    }
    study["tasks"]["cause"] = {
        "stimuli": "causes",
        "question": "global",
        "labels": ["cause"],
        "split": {"by": "official"},
    }
    return study


def test_a_study_plans_them(with_frames):
    study = Study.from_config(copy.deepcopy(with_frames))
    assert study.data.options("shapes-frames", ["train"]) == [
        "--annotations=results/worlds/shapes/frames",
        "--images=results/worlds/shapes/frames",
        "--format=frames",
    ]
    size = study.data.size("shapes-frames")
    assert size.images == {part: 2 * number for part, number in pairs_by_part(50).items()}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda c: c["worlds"]["shapes"].pop("frame_sequences"), "worlds.shapes draws no sequences of frames"),
        (lambda c: c["stimuli"]["causes"].update(about=["cause", "moved"]), "cause 3, moved 2; give `frames`"),
        (lambda c: c["stimuli"]["causes"].update(about="why"), "one or a list of first, moved, direction, cause"),
        (lambda c: c["stimuli"]["causes"].update(images={"dev": 4}), "a world has no part 'dev'; it has train, val"),
        (lambda c: c["stimuli"]["causes"].update(prompts=["then-2"]), r"then-2: .*\{image 3\}"),
        (lambda c: c["stimuli"]["causes"].update(prompts=["happened-swapped"]), "happened-swapped.*3"),
    ],
)
def test_what_does_not_fit_is_refused_when_planning(with_frames, change, expected):
    change(with_frames)
    with pytest.raises(InputError, match=expected):
        Study.from_config(with_frames)


def two_sequences() -> list[dict]:
    """A film of a person's own: who went which way."""
    frames = [{"file": name, "objects": [{"name": "man", "box": [1, 2, 3, 4]}]} for name in ("a.png", "b.png")]
    event = {"what": "moved", "who": "man", "between": [1, 2], "way": "to the left"}
    one = {"id": "one", "kind": "direction", "matched": "two", "frames": frames, "events": [event]}
    return [
        one,
        one | {"id": "two", "matched": "one", "frames": frames[::-1], "events": [event | {"way": "to the right"}]},
    ]


def written(folder: Path, sequences: object) -> Path:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 6), (name[0] == "a" and "red") or "blue").save(folder / name)
    (folder / "train.json").write_text(json.dumps({"sequences": sequences}))
    return folder


def test_a_folder_of_one_s_own(tmp_path):
    items = items_of(built(written(tmp_path, two_sequences()), "direction", images={"train": "all"}), "direction")
    assert dict(zip(items["item_id"], items["label"], strict=True)) == {
        "train/one/1": "yes",
        "train/one/2": "no",
        "train/two/1": "no",
        "train/two/2": "yes",
    }
    assert items["text"].tolist() == ["The man moved to the left.", "The man moved to the right."] * 2


def changed(first: dict) -> list[dict]:
    one, other = two_sequences()
    return [one | first, other]


def event(**keys: object) -> list[dict]:
    return [{"what": "moved", "who": "man", "between": [1, 2], "way": "to the left"} | keys]


FRAME = {"file": "a.png"}


@pytest.mark.parametrize(
    ("sequences", "expected"),
    [
        ({}, "there is no list 'sequences'"),
        ([], "'sequences' is empty; add sequences, or leave the part 'train' out"),
        ([{}], "record 0 of 'sequences' has no text as 'id'"),
        (changed({"id": "two"}), "sequence 'two': two sequences have this id"),
        (changed({"kind": "why"}), "sequence 'one' has the kind 'why'; kinds are first, moved"),
        (changed({"matched": None}), "sequence 'one' has no text as 'matched'"),
        (changed({"matched": "three"}), "sequence 'one': its partner 'three' is not in the file; add it"),
        (
            changed({"matched": "one"}),
            "sequence 'one': its partner 'one' is matched with 'one'; two partners must name",
        ),
        (changed({"kind": "moved"}), "sequence 'one' is moved with 2 frames, and its partner 'two' direction with 2"),
        (
            changed({"frames": [FRAME] * 3}),
            "sequence 'one' is direction with 3 frames, and its partner 'two' direction",
        ),
        (changed({"frames": [FRAME]}), "sequence 'one' has no list 'frames' of two frames or more"),
        (changed({"frames": [FRAME, {}]}), "sequence 'one': its frame 2 has no 'file'"),
        (changed({"frames": [FRAME, FRAME | {"objects": ["man"]}]}), "frame 2 has 'objects' that are no list"),
        (
            changed({"frames": [FRAME, FRAME | {"objects": [{"name": "man"}] * 2}]}),
            "frame 2 has two objects named 'man'",
        ),
        (
            changed({"frames": [FRAME | {"objects": [{"name": "man", "box": [1, 2]}]}, FRAME]}),
            "box .* of 'man'; give x, y",
        ),
        (
            changed({"frames": [FRAME | {"objects": [{"name": "dog"}]}, FRAME]}),
            "event speaks of 'man', but .* show dog",
        ),
        (changed({"events": None}), "sequence 'one' has no list 'events'"),
        (changed({"events": event(what="danced")}), "sequence 'one': event 0 is 'danced'; events are moved, grew"),
        (changed({"events": event(who=7)}), "event 0 has 7 as 'who'; give a word"),
        (changed({"events": event(way="")}), "event 0 has '' as 'way'"),
        (changed({"events": event(between=[2, 3])}), r"event 0 is between \[2, 3\]; give the numbers .* of 2"),
        (changed({"events": event(what="grew")}), "event 0: only what moved has 'way' and 'caused_by'"),
    ],
)
def test_malformed_annotations_name_file_sequence_and_fix(tmp_path, sequences, expected):
    with pytest.raises(InputError, match=rf"train\.json: .*{expected}"):
        read_part(written(tmp_path, sequences), "train")


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda folder: (folder / "b.png").unlink(), r"sequence 'one': there is no frame .*b\.png; add the picture"),
        (
            lambda folder: Image.new("RGB", (8, 7)).save(folder / "b.png"),
            r"its frame .*b\.png has 8x7 pixels, and .* 8x6",
        ),
        (
            lambda folder: (folder / "a.png").write_text("no picture"),
            r"sequence 'one': .*a\.png is not a readable image",
        ),
    ],
)
def test_frames_that_do_not_fit_name_file_sequence_and_fix(tmp_path, spoil, expected):
    sequences = read_part(written(tmp_path, two_sequences()), "train").values()
    check_pictures(sequences, tmp_path)
    spoil(tmp_path)
    with pytest.raises(InputError, match=rf"train\.json: .*{expected}"):
        check_pictures(sequences, tmp_path)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("direction", "a 'way' that differs"), ("first", "one before the other"), ("contact", "a 'caused_by'")],
)
def test_partners_of_whom_the_same_is_true_are_refused(tmp_path, kind, expected):
    alike = [one | {"kind": kind, "events": event()} for one in two_sequences()]
    with pytest.raises(
        InputError, match=rf"sequence 'one' \({kind}\) and its partner 'two': no statement .*{expected}"
    ):
        built(written(tmp_path, alike), kind, images={"train": "all"}, frames=2)


def test_several_pauses_are_of_different_frames(folder):
    frames = items_of(built(folder, "first", frames=4), "first")["frames"]
    repeated = frames.map(lambda names: next(place for place in range(3) if names[place] == names[place + 1]))
    assert Counter(repeated).keys() == {0, 1, 2}
