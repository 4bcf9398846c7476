"""The recipes of config/recipes on stand-ins of their data sets: planned, downloaded, made into items and tasks by the
programs that the workflow runs.
"""

import json
import re
import runpy
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml

from layerwise.compare.statistics.consistency import set_numbers
from layerwise.datasets.catalogue import FORMATS
from layerwise.errors import InputError
from layerwise.stimuli.catalogue import KINDS
from layerwise.study import Study
from tests.conftest import REPOSITORY
from tests.hub import in_this_process, serve
from tests.standins import PICTURES, PLACES, STAND_INS, recipe_of

MODEL = {"models": {"llava": {"source": "lab/llava"}}}
# The stimulus set of each recipe that has everything that the others have.
FIRST = {
    "pope": "pope-adversarial",
    "vsr": "vsr",
    "whatsup": "whatsup-photos",
    "sugarcrepe": "sugarcrepe-swap-object",
    "winoground": "winoground",
    "cv-bench": "cv-bench-count",
    "mmvp": "mmvp",
    "scienceqa": "scienceqa-natural",
    "a-okvqa": "a-okvqa",
    "nlvr2": "nlvr2",
    "blink": "blink-multi-view",
    "temporal-vqa": "temporal-vqa",
}
# Whose items have other words than a text.
WORDS = {"whatsup": ["choice"]} | {name: ["choices", "text"] for name in ("cv-bench", "scienceqa", "a-okvqa")}
# Of items with two pictures, what prompts besides the plain one and the text alone show.
CONTROLS = {
    "nlvr2": {"left-alone": [1, "none"], "right-alone": ["none", 2], "swapped": [2, 1]},
    "blink": {"first-alone": [1, "none"], "second-alone": ["none", 2], "swapped": [2, 1]},
    "temporal-vqa": {"first-alone": [1, "none"], "random-order": "random-order"},
}
# Whose items come in pairs: the same words about other pictures, or the same pictures in another order.
IN_SETS = {"winoground", "mmvp", "nlvr2", "temporal-vqa"}
# All items have the same text, so that there is no prompt with the text alone, and no shortcut through words.
NO_WORDS = {"temporal-vqa"}


def test_there_is_a_stand_in_for_each_recipe():
    assert {file.stem for file in (REPOSITORY / "config/recipes").glob("*.yaml")} == set(STAND_INS)


def test_a_study_needs_models_alone(tmp_path):
    for name in STAND_INS:
        STAND_INS[name]().write(tmp_path)
    study = load(tmp_path, *STAND_INS)
    assert study.notes == []
    for name in STAND_INS:
        own = recipe_of(name)
        for section in ("datasets", "stimuli", "tasks"):
            # So that several recipes may stand in one study.
            assert all(entry == name or entry.startswith(f"{name}-") for entry in own.get(section, {}))
        places = [f"{name}-places"] if name in CONTROLS else []
        controls = {f"{name}-{control}": shown for control, shown in CONTROLS.get(name, {}).items()}
        alone = [] if name in NO_WORDS else [f"{name}-text-only"]
        asks = [name, *places, *alone, *controls]
        assert list(own["prompts"]["table"]) == asks
        prompts = {prompt: study.config.prompts["table"][prompt] for prompt in asks}
        assert {prompt.text for at, prompt in prompts.items() if at not in places} == {prompts[name].text}
        assert all(prompt.answers == prompts[name].answers for prompt in prompts.values())
        assert prompts[name].image is None
        assert all(prompts[at].image == "none" for at in alone)
        for at, shown in controls.items():
            assert shown == (prompts[at].images or prompts[at].image)
        for at in places:
            assert all(f"{{image {number}}}" in prompts[at].text for number in (1, 2))
        for task in own["tasks"]:
            cells = [cell.prompt for cell in study.grid.probe_cells() if cell.task == task]
            assert cells == asks
            # So are the shortcuts through its words, whatever its words are.
            compared = study.grid.shortcut_prompts().get(task)
            if name in NO_WORDS:
                assert compared is None
                continue
            assert compared == {"shown": [name, *places], "text": alone}
            assert study.grid.shortcut_columns(task) == WORDS.get(name, ["text"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("vsr", r"stimuli\.vsr\.image_root.*: there is no folder 'coco/train2017', neither in the study's folder"),
        ("whatsup", r"stimuli\.whatsup-photos\.file.*'whatsup/data/controlled_images_dataset\.json'"),
        ("sugarcrepe", r"stimuli\.sugarcrepe-add-attribute\.image_root: there is no folder 'coco/val2017'"),
        ("winoground", r"stimuli\.winoground\.image_root: there is no folder 'winoground'"),
    ],
)
def test_what_the_user_must_have_is_asked_for_when_a_study_is_planned(tmp_path, name, said):
    with pytest.raises(InputError, match=said):
        load(tmp_path, name)


@pytest.mark.parametrize("name", ["vsr", "winoground", "scienceqa", "temporal-vqa"])
def test_items_and_tasks_are_made(tmp_path, name):
    made(tmp_path, name, [FIRST[name]])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(STAND_INS) - {"vsr", "winoground", "scienceqa", "temporal-vqa"}))
def test_items_and_tasks_of_the_others_are_made(tmp_path, name):
    made(tmp_path, name, [FIRST[name]])


@pytest.mark.whole
@pytest.mark.parametrize("name", STAND_INS)
def test_every_stimulus_set_is_made(tmp_path, name):
    made(tmp_path, name, list(recipe_of(name)["stimuli"]))


def made(folder: Path, name: str, stimuli: list[str]) -> None:
    """Make stimulus sets of a recipe and their tasks, and look at both."""
    stand_in = STAND_INS[name]()
    stand_in.write(folder)
    study = load(folder, name)
    hubs = stand_in.hubs(name)
    if hubs:
        with serve(*hubs) as hub, in_this_process(hub, folder):
            for dataset in study.config.datasets:
                download(study, dataset)
        # Now that rows are there, their columns are looked at.
        study = load(folder, name)
    for one in stimuli:
        items, provenance = make_stimuli(study, one)
        LOOKS[name](one, items, provenance)
        for task in (task for task, entry in study.config.tasks.items() if entry.stimuli == one):
            described, labels = make_task(study, task)
            assert described["kind"] == ("multiclass" if len(described["classes"]) > 2 else "binary")
            # No group is in two splits.
            assert labels.groupby("group")["split"].nunique().max() == 1
            assert set(labels["split"]) == {"train", "val", "test"}
            # Where items belong together, all of them do.
            if name in IN_SETS:
                assert Counter(Counter(sets_of(items, labels)).values()) == {2: len(labels) // 2}
            assert (task in study.grid.consistency_tasks()) == (name in IN_SETS)


def sets_of(items: pd.DataFrame, labels: pd.DataFrame) -> list[int]:
    """The number of the set of each item that is in one; a prompt shows all words that items have."""
    shown = items.set_index("item_id").reindex(columns=["text", "choice", "choices"]).astype(object)
    words = shown.fillna("").agg("|".join, axis=1)
    read = labels.assign(text=labels["item_id"].map(words).astype("category").cat.codes)
    return [number for number in set_numbers(read, labels) if number >= 0]


def load(folder: Path, *names: str) -> Study:
    config = {"include": [f"recipes/{name}.yaml" for name in names]} | MODEL
    (folder / "study.yaml").write_text(yaml.safe_dump(config))
    return Study.load(folder / "study.yaml", directory=folder)


def program(name: str, *arguments: object) -> None:
    """Run one of the workflow's programs in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(REPOSITORY / f"scripts/{name}.py"), run_name="__main__")


def download(study: Study, name: str) -> None:
    entry = study.config.datasets[name]
    of_dataset = [entry for entry in study.config.stimuli.values() if entry.dataset == name]
    splits = sorted({split for entry in of_dataset for split in entry.images})
    asked = FORMATS["hub"].own_download(entry, splits).asked
    (receipt,) = study.data.receipts(name, splits)
    program("download_hub_files", "--name", name, "--asked", json.dumps(asked), "--receipt", receipt)


def make_stimuli(study: Study, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    entry, out = study.config.stimuli[name], Path(study.stimuli_folder(name))
    out.mkdir(parents=True)
    options = [*KINDS[entry.kind].options(entry, study.data), "--seed", study.config.seed, "--threads", 1, "--out", out]
    program("make_stimuli", "--name", name, "--entry", json.dumps(entry.entry()), *options)
    return pd.read_parquet(out / "items.parquet"), pd.read_parquet(out / "provenance.parquet")


def make_task(study: Study, name: str) -> tuple[dict, pd.DataFrame]:
    # Stand-ins are small.
    entry = study.config.tasks[name].model_copy(update={"min_per_class": 1})
    out = Path(study.task_folder(name))
    out.mkdir(parents=True)
    of_stimuli = study.stimuli_folder(entry.stimuli)
    options = ["--stimuli", of_stimuli, "--seed", study.config.seed, "--out", out]
    program("make_task", "--name", name, "--entry", json.dumps(entry.entry()), *options)
    return json.loads((out / "task.json").read_text()), pd.read_parquet(out / "labels.parquet")


def look_at_pope(name: str, items: pd.DataFrame, provenance: pd.DataFrame) -> None:
    assert (len(items), items["image"].nunique()) == (2 * PICTURES, PICTURES)
    # The absent objects of its own kind alone, and no more than five objects are ever there.
    there = provenance["label:object"] == "present"
    assert there.sum() == PICTURES
    assert set(items["text"][there]) == {f"Is there a thing {number} in the image?" for number in range(5)}


def look_at_vsr(name: str, items: pd.DataFrame, provenance: pd.DataFrame) -> None:
    assert (provenance["label:agreement"] == "match").sum() * 2 == len(items)
    if name == "vsr-zeroshot":
        # A picture of the test part was in the training part too: it stays in the later one.
        assert Counter(provenance["part"]) == {"train": 30, "validation": 12, "test": 22}
        return
    # Two statements with each kind of relation, and with "next to"; the parts are one, so that nothing is left out.
    assert len(items) == PICTURES * 14 + 2 * 2 + 8 * 2
    relation = items["text"].str.extract("is (.*) the bed")[0]
    for label, asked in {"orientation": "facing", "topology": "inside", "adjacency": "at the left side of"}.items():
        assert (provenance[f"label:{label}"].notna() == (relation == asked)).all()
    assert provenance.loc[relation == "next to", ["label:proximity", "label:projection"]].isna().all(axis=None)


def look_at_whatsup(name: str, items: pd.DataFrame, provenance: pd.DataFrame) -> None:
    if name.endswith(("-one", "-two")):
        assert (len(items), items["image"].nunique()) == (2 * PICTURES, PICTURES)
        side = items["choice"].str.contains("left").map({True: 0, False: 1})
        # Every second picture has its object on the right. Names of COCO's pictures are padded.
        number = items["image"].str.extract(r"(\d+)\.jpg")[0]
        assert (((number.astype(int) % 2) == side) == (provenance["label:right"] == "right")).all()
        assert set(number.str.len()) == {12 if "coco" in name else 4}
        return
    assert (len(items), items["image"].nunique()) == (4 * PICTURES, PICTURES)
    right = items[(provenance["label:right"] == "right").to_numpy()]
    places = {place.replace(" ", "-"): place for place in PLACES[name.removeprefix("whatsup-")]}
    for image, caption in zip(right["image"], right["choice"], strict=True):
        thing, place, _ = Path(image).stem.split("_")
        assert caption == f"A {thing} {places[place]} a table"
    # Each caption is right for one picture of four.
    assert set(items["choice"].value_counts()) == {4}
    assert set(right["choice"].value_counts()) == {1}


def look_at_sugarcrepe(name: str, items: pd.DataFrame, provenance: pd.DataFrame) -> None:
    assert (len(items), items["image"].nunique()) == (2 * PICTURES, PICTURES)
    assert (items["text"].str.startswith("A cat") == (provenance["label:match"] == "match")).all()


def look_at_winoground(name: str, items: pd.DataFrame, provenance: pd.DataFrame) -> None:
    assert (len(items), items["image"].nunique(), provenance["group"].nunique()) == (
        4 * PICTURES,
        2 * PICTURES,
        PICTURES,
    )
    match = provenance["label:match"] == "match"
    # Neither text nor picture alone tells.
    for of in ("text", "image"):
        assert set(items[of].value_counts()) == {2}
        assert set(items.loc[match, of].value_counts()) == {1}
    of_image = items["image"].str.extract(r"_img_(\d)")[0]
    of_text = items["text"].str.contains("young cat").map({False: "0", True: "1"})
    assert ((of_image == of_text) == match).all()


def look_at_cv_bench(name: str, items: pd.DataFrame, provenance: pd.DataFrame) -> None:
    assert items["image"].nunique() == len(items) == (2 if name == "cv-bench-count" else 1) * PICTURES
    letters = Counter(provenance["label:answer"])
    assert letters == dict.fromkeys("ABCD" if name == "cv-bench-count" else "AB", 16)
    if name == "cv-bench-count":
        assert items["text"].unique().tolist() == ["How many cups are in the image?"]
        # Numbers are choices here, and an answer such as (C) is a letter.
        assert re.fullmatch(r"(?:[A-E]\. \d\n?){5}", items["choices"][0])


def look_at_mmvp(name: str, items: pd.DataFrame, provenance: pd.DataFrame) -> None:
    assert (len(items), items["image"].nunique()) == (2 * PICTURES, 2 * PICTURES)
    assert items["text"][0] == "Is the cup 0, on the table, open or closed? (a) Open (b) Closed"
    # Both pictures of a pair are in one group, with opposite answers: the text alone does not tell.
    for _, of_pair in provenance.groupby("group"):
        assert sorted(of_pair["label:answer"]) == ["a", "b"]


def look_at_scienceqa(name: str, items: pd.DataFrame, provenance: pd.DataFrame) -> None:
    # Every second question has a picture. Four pictures are in several parts, and stay in the last one.
    assert Counter(provenance["part"]) == {"train": PICTURES - 2, "validation": PICTURES - 2, "test": PICTURES}
    assert set(provenance["label:answer"]) == set("ABCDE")
    with_hint = items["text"].str.startswith("Look at the map.\n")
    assert 0 < with_hint.sum() < len(items)
    assert items["text"][~with_hint].str.startswith("Which of").all()
    assert set(items["choices"].str.count("\n") + 1) == {2, 3, 4, 5}


def look_at_a_okvqa(name: str, items: pd.DataFrame, provenance: pd.DataFrame) -> None:
    assert Counter(provenance["part"]) == {"train": 2 * PICTURES, "validation": 8}
    assert Counter(provenance["label:answer"]) == dict.fromkeys("ABCD", (2 * PICTURES + 8) // 4)
    # A choice that is a number is no index.
    assert items["choices"][0] == "A. skateboarder\nB. train\nC. 2\nD. cab"


def look_at_nlvr2(name: str, items: pd.DataFrame, provenance: pd.DataFrame) -> None:
    # The balanced subsets alone: of each set, two pairs of pictures with two sentences.
    assert (len(items), items["image"].nunique(), items["text"].nunique()) == (4 * PICTURES, 2 * PICTURES, 2 * PICTURES)
    match = provenance["label:truth"] == "match"
    # Neither the sentence nor the pair of pictures tells.
    for of in ("text", "image"):
        assert set(items[of].value_counts()) == {2}
        assert set(items.loc[match, of].value_counts()) == {1}
    assert set(provenance["group"].value_counts()) == {4}
    assert pictures_of(items) == [2] * len(items)


def look_at_blink(name: str, items: pd.DataFrame, provenance: pd.DataFrame) -> None:
    letters = "AB" if name == "blink-multi-view" else "ABCD"
    assert Counter(provenance["label:answer"]) == dict.fromkeys(letters, len(items) // len(letters))
    assert items["text"][0].endswith(f"({letters[-1]}) {'right' if letters == 'AB' else 'Point D'}")
    assert pictures_of(items) == [2] * len(items)
    # Two questions that share a frame are one group.
    assert set(provenance["group"].value_counts()) == {2}
    first, second = items["image"][:2].map(lambda image: image.split("\n"))
    assert first[1] == second[0]


def look_at_temporal_vqa(name: str, items: pd.DataFrame, provenance: pd.DataFrame) -> None:
    assert items["text"].isna().all()
    assert Counter(provenance["label:earlier"]) == {"first": PICTURES, "second": PICTURES}
    # Both orders of a pair are in one group, with opposite answers.
    for _, of_pair in items.groupby(provenance["group"]):
        one, other = of_pair["image"].map(lambda image: image.split("\n"))
        assert one == other[::-1]
        assert sorted(provenance.loc[of_pair.index, "label:earlier"]) == ["first", "second"]


def pictures_of(items: pd.DataFrame) -> list[int]:
    """How many pictures there are in each cell, all of them files."""
    images = [image.split("\n") for image in items["image"]]
    assert all(Path(file).is_file() for of_item in images for file in of_item)
    return list(map(len, images))


LOOKS = {
    "pope": look_at_pope,
    "vsr": look_at_vsr,
    "whatsup": look_at_whatsup,
    "sugarcrepe": look_at_sugarcrepe,
    "winoground": look_at_winoground,
    "cv-bench": look_at_cv_bench,
    "mmvp": look_at_mmvp,
    "scienceqa": look_at_scienceqa,
    "a-okvqa": look_at_a_okvqa,
    "nlvr2": look_at_nlvr2,
    "blink": look_at_blink,
    "temporal-vqa": look_at_temporal_vqa,
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The programs' own logging ends with them."""
    import logging

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
