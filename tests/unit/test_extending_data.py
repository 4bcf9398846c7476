"""The new kind of stimuli and the new data format of docs/extending.md, planned and read in more ways than there."""

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from layerwise.code_digest import SCRIPTS, _closure
from layerwise.datasets.catalogue import ANNOTATED, FORMATS, QUESTIONS
from layerwise.stimuli.catalogue import KINDS
from layerwise.stimuli.prompts import render_prompts
from tests.conftest import REPOSITORY
from tests.extending_page import add_code

# Plans studies. Of each it says what its stimulus sets are made by, or what is wrong with it.
PLAN = """
import json, sys
from layerwise.cost.inputs import count_inputs
from layerwise.errors import InputError
from layerwise.planning.recipes import as_before, as_json, without
from layerwise.stimuli.catalogue import KINDS
from layerwise.study import Study

def job(study, name, entry):
    inputs = {prompt: count_inputs(study, name, prompt).count for prompt in entry.prompts}
    told = as_json(without(as_before("stimuli", entry.entry()), "prompts"))
    return told, KINDS[entry.kind].options(entry, study.data), inputs, KINDS[entry.kind].files(entry, study.data)

said = []
for config in json.load(sys.stdin):
    try:
        study = Study.from_config(config)
        said.append({name: job(study, name, entry) for name, entry in study.config.stimuli.items()})
    except InputError as error:
        said.append(str(error))
print(json.dumps(said))
"""


class Extended:
    """A copy of the programs, with the code of sections of docs/extending.md."""

    def __init__(self, folder: Path, *sections: str):
        self.scripts, self.folder = folder / "scripts", folder
        for name in ("scripts", "config"):
            shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        add_code(folder, *sections)

    def run(self, *command: str, told: str = "") -> str:
        """What a program of the copy prints."""
        environment = {"PYTHONPATH": str(self.scripts), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, *command], input=told, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def plan(self, *studies: dict) -> list:
        """The jobs of studies by stimulus set, or what is wrong with them."""
        return json.loads(self.run("-c", PLAN, told=json.dumps(studies)))

    def make(self, name: str, job: list) -> tuple[pd.DataFrame, pd.DataFrame, dict]:
        """Items, provenance and description of a stimulus set that is made."""
        entry, options, _, _ = job
        out = self.folder / "made" / name
        command = [str(self.scripts / "make_stimuli.py"), "--name", name, "--entry", entry, *options]
        self.run(*command, "--seed", "1", "--out", str(out))
        items, provenance = (pd.read_parquet(out / f"{table}.parquet") for table in ("items", "provenance"))
        return items, provenance, json.loads((out / "stimuli.json").read_text())


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> Extended:
    return Extended(tmp_path_factory.mktemp("extended"), "A kind of stimulus", "A data format")


def study_of(dataset: dict, images: dict, **stimuli: dict) -> dict:
    every = {"dataset": "mine", "images": images}
    return {
        "datasets": {"mine": dataset},
        "prompts": {
            "coco-numbers": {"how-many": {"text": "Are there {number} objects? Answer yes or no."}},
            "coco-objects": {"no-cue": {"text": "What is there?"}},
        },
        "stimuli": {name: every | entry for name, entry in stimuli.items()},
        "tasks": {name: {"stimuli": name, "question": "local"} for name in stimuli},
        "models": {"any": {"source": "some/model"}},
    }


def test_a_new_kind_is_a_module_and_a_line(extended, world):
    mine = {"format": "coco", "annotations": str(world / "coco/annotations"), "images": str(world / "coco")}
    numbers = {"kind": "coco-numbers", "prompts": ["how-many"]}
    study = study_of(mine, {"train2017": "all", "val2017": 20}, numbers=numbers)
    unfit, wordless = copy.deepcopy(study), copy.deepcopy(study)
    unfit["stimuli"]["numbers"]["most"] = 1
    wordless["prompts"]["coco-numbers"]["how-many"]["text"] = "How many?"
    jobs, *refused = extended.plan(study, unfit, wordless)
    assert "stimuli.numbers.most: must be a whole number of at least 2, not 1" in refused[0]
    assert "prompts.coco-numbers.how-many: the prompt needs {number}" in refused[1]
    entry, options, expected, files = jobs["numbers"]
    assert json.loads(entry)["most"] == 3
    assert options == [f"--annotations={mine['annotations']}", f"--images={mine['images']}"]
    assert files == ["layerwise/stimuli/kinds/coco_numbers.py", "layerwise/datasets/coco.py"]
    # The official part is not as small as the world's; two numbers for each image.
    assert expected == {"how-many": 2 * (118_287 + 20)}

    items, provenance, description = extended.make("numbers", jobs["numbers"])
    assert description["kind"] == "coco-numbers"
    told = json.loads((world / "coco/annotations/instances_train2017.json").read_text())["annotations"]
    of_image = pd.Series([f"train2017/{record['image_id']}" for record in told]).value_counts()
    both = items.merge(provenance, on="item_id").query("part == 'train2017'")
    assert ((both["number"].astype(int) == both["image_id"].map(of_image)) == (both["label:number"] == "right")).all()
    assert both.groupby("number")["label:number"].value_counts().nunique() == 1
    assert len(both) >= 6
    # What is annotated is kept for tasks about it.
    assert len(pd.read_parquet(extended.folder / "made/numbers/objects.parquet"))
    prompt = study["prompts"]["coco-numbers"]["how-many"]
    assert render_prompts(prompt, items.head(1), []) == [f"Are there {items['number'][0]} objects? Answer yes or no."]


def rows_of(folder: Path, part: str) -> pd.DataFrame:
    """A part of the world as rows."""
    instances = json.loads((folder / f"annotations/instances_{part}.json").read_text())
    captions = json.loads((folder / f"annotations/captions_{part}.json").read_text())
    file = {record["id"]: f"{part}/{record['file_name']}" for record in instances["images"]}
    name = {record["id"]: record["name"] for record in instances["categories"]}
    rows = [(file[r["image_id"]], "object", name[r["category_id"]]) for r in instances["annotations"]]
    rows += [(file[r["image_id"]], "caption", r["caption"]) for r in captions["annotations"]]
    return pd.DataFrame(rows, columns=["image", "kind", "value"])


def test_a_new_format_is_a_module_and_its_lines_in_the_catalogue(extended, world, tmp_path):
    """Kinds over annotated images read it as they read COCO's."""
    for part, called in (("train2017", "train"), ("val2017", "test")):
        rows_of(world / "coco", part).to_csv(tmp_path / f"{called}.csv", index=False)
    mine = {"format": "rows", "annotations": str(tmp_path), "images": str(world / "coco")}
    objects = {"kind": "coco-objects", "prompts": ["no-cue"], "pairs_per_category": 8}
    study = study_of(mine, {"train": 50, "test": 20}, objects=objects)
    refused = {
        "datasets.mine.world: no world is drawn in the format rows": {"format": "rows", "world": "shapes"},
        "datasets.mine.download: the format rows is not downloaded": {"format": "rows", "download": "coco-2017"},
        "datasets.mine: unknown key 'splits'; known keys of the kind rows": mine | {"splits": "."},
    }
    others = [study | {"datasets": {"mine": entry}, "worlds": {"shapes": {}}} for entry in refused.values()]
    whole = study_of(mine, {"train": "all", "test": 20}, objects=objects)
    jobs, of_unknown_size, *said = extended.plan(study, whole, *others)
    assert "datasets.mine: the size of the part 'train' is not known" in of_unknown_size
    assert all(says in line for says, line in zip(refused, said, strict=True)), said
    _, options, expected, files = jobs["objects"]
    assert options[-1] == "--format=rows"
    assert files[-1] == "layerwise/datasets/formats/rows.py"
    assert expected == {"no-cue": 70}

    items, provenance, description = extended.make("objects", jobs["objects"])
    assert {Path(source["file"]).name for source in description["sources"]} == {"train.csv", "test.csv"}
    assert set(provenance["part"]) == {"train", "test"}
    told = rows_of(world / "coco", "train2017").query("kind == 'object'")
    present = set(zip(told["image"], told["value"], strict=True))
    both = items.merge(provenance.drop(columns="category"), on="item_id").query("part == 'train'")
    shown = [tuple(item_id.removeprefix("train/").rsplit("/", 1)) for item_id in both["item_id"]]
    assert [pair in present for pair in shown] == list(both["label:presence"] == "present")


@pytest.mark.parametrize("catalogue", [KINDS, FORMATS, ANNOTATED, QUESTIONS], ids=lambda one: one.attribute)
def test_programs_reach_kinds_and_formats_by_their_catalogues_alone(catalogue):
    """Else an edit of one would make stale what another one made."""
    entries = {name: SCRIPTS / catalogue.file(name) for name in catalogue}
    for program in sorted(SCRIPTS.glob("*.py")):
        assert not set(entries.values()) & _closure([program]), program.name
    for name, file in entries.items():
        assert _closure([file]) & set(entries.values()) == {file}, name
