"""A new kind of stimuli and a new data format: tests/extending has a module of each, as someone would write it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from layerwise.catalogue import Catalogue
from layerwise.datasets.catalogue import ANNOTATED, FORMATS
from layerwise.stimuli.catalogue import KINDS
from tests.conftest import REPOSITORY
from tests.unit.test_catalogues import with_entry

EXTENDING = REPOSITORY / "tests/extending"
# Plans a study, and says what each of its stimulus sets is made by.
PLAN = """
import json, sys
from layerwise.cost.inputs import count_inputs
from layerwise.recipes import as_before, as_json, without
from layerwise.stimuli.catalogue import KINDS
from layerwise.study import Study

study, jobs = Study.load(sys.argv[1]), {}
for name, entry in study.config.stimuli.items():
    inputs = {prompt: count_inputs(study, name, prompt).count for prompt in entry.prompts}
    job = as_json(without(as_before("stimuli", entry.entry()), "prompts"))
    jobs[name] = [job, KINDS[entry.kind].options(entry, study.data), inputs, KINDS[entry.kind].files(entry, study.data)]
print(json.dumps(jobs))
"""


class Extended:
    """A copy of the programs, with modules and lines of one's own."""

    def __init__(self, folder: Path):
        self.scripts, self.folder = folder / "scripts", folder
        for name in ("scripts", "config"):
            shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))

    def add(self, module: str, package: str, name: str, *catalogues: Catalogue) -> None:
        """Put a module of tests/extending into a package, and a line into each of some catalogues."""
        target = self.scripts / package / f"{name.replace('-', '_')}.py"
        shutil.copy(EXTENDING / module, target)
        listing = target.parent.parent / "catalogue.py"
        for catalogue in catalogues:
            dotted = ".".join(target.relative_to(self.scripts).with_suffix("").parts)
            listing.write_text(with_entry(listing.read_text(), catalogue, name, dotted))

    def run(self, *command: str) -> subprocess.CompletedProcess:
        """Run a program of the copy."""
        environment = {"PYTHONPATH": str(self.scripts), "OMP_NUM_THREADS": "1"}
        return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, check=False)

    def plan(self, study: dict) -> subprocess.CompletedProcess:
        """Plan a study."""
        file = self.folder / "study.yaml"
        file.write_text(yaml.safe_dump(study))
        return self.run("-c", PLAN, str(file))

    def make(self, study: dict) -> tuple[dict, dict[str, tuple[pd.DataFrame, pd.DataFrame, dict]]]:
        """The jobs of a study's stimulus sets, and items, provenance and description that they make."""
        planned = self.plan(study)
        assert planned.returncode == 0, planned.stderr
        jobs, made = json.loads(planned.stdout), {}
        for name, (entry, options, _, _) in jobs.items():
            out = self.folder / "made" / name
            command = [str(self.scripts / "make_stimuli.py"), "--name", name, "--entry", entry, *options]
            done = self.run(*command, "--seed", "1", "--out", str(out))
            assert done.returncode == 0, done.stderr
            tables = (pd.read_parquet(out / f"{table}.parquet") for table in ("items", "provenance"))
            made[name] = (*tables, json.loads((out / "stimuli.json").read_text()))
        return jobs, made


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> Extended:
    copy = Extended(tmp_path_factory.mktemp("extended"))
    copy.add("stimulus_kind.py", "layerwise/stimuli/kinds", "coco-numbers", KINDS)
    copy.add("data_format.py", "layerwise/datasets/formats", "rows", FORMATS, ANNOTATED)
    return copy


def study_of(dataset: dict, images: dict, **stimuli: dict) -> dict:
    every = {"dataset": "mine", "images": images}
    return {
        "datasets": {"mine": dataset},
        "prompts": {"coco-numbers": {"how-many": {"text": "Are there {number} objects? Answer yes or no."}}},
        "stimuli": {name: every | entry for name, entry in stimuli.items()},
        "tasks": {name: {"stimuli": name, "question": "local"} for name in stimuli},
        "models": {"any": {"source": "some/model"}},
    }


def test_a_new_kind_is_a_module_and_a_line(extended, world):
    mine = {"format": "coco", "annotations": str(world / "coco/annotations"), "images": str(world / "coco")}
    numbers = {"kind": "coco-numbers", "prompts": ["how-many"]}
    study = study_of(mine, {"train2017": "all", "val2017": 20}, numbers=numbers)
    jobs, made = extended.make(study)
    entry, options, expected, files = jobs["numbers"]
    assert json.loads(entry)["most"] == 3
    assert options == [f"--annotations={mine['annotations']}", f"--images={mine['images']}"]
    assert files == ["layerwise/stimuli/kinds/coco_numbers.py", "layerwise/datasets/coco.py"]
    # The official part is not as small as the world's; two numbers for each image.
    assert expected == {"how-many": 2 * (118_287 + 20)}

    items, provenance, description = made["numbers"]
    assert description["kind"] == "coco-numbers"
    told = json.loads((world / "coco/annotations/instances_train2017.json").read_text())["annotations"]
    of_image = pd.Series([f"train2017/{record['image_id']}" for record in told]).value_counts()
    both = items.merge(provenance, on="item_id").query("part == 'train2017'")
    assert ((both["number"].astype(int) == both["image_id"].map(of_image)) == (both["label:number"] == "right")).all()
    assert both.groupby("number")["label:number"].value_counts().nunique() == 1
    assert len(both) >= 6
    # What is annotated is kept for tasks about it.
    assert len(pd.read_parquet(extended.folder / "made/numbers/objects.parquet"))

    prompts = json.dumps({"how-many": study["prompts"]["coco-numbers"]["how-many"]})
    out = extended.folder / "prompts.json"
    command = [str(extended.scripts / "check_prompts.py"), "--stimuli", str(extended.folder / "made/numbers")]
    assert extended.run(*command, "--prompts", prompts, "--out", str(out)).returncode == 0
    first = items["number"].iloc[0]
    assert json.loads(out.read_text())[0]["example"] == f"Are there {first} objects? Answer yes or no."

    study["prompts"]["coco-numbers"]["how-many"]["text"] = "How many?"
    assert "prompts.coco-numbers.how-many: the prompt needs {number}" in extended.plan(study).stderr
    study["stimuli"]["numbers"]["most"] = 1
    assert "stimuli.numbers.most: must be a whole number of at least 2, not 1" in extended.plan(study).stderr


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
    captions = {"kind": "coco-entailment", "prompts": ["agree"]}
    study = study_of(mine, {"train": 50, "test": 20}, objects=objects, captions=captions)
    jobs, made = extended.make(study)
    _, options, expected, files = jobs["objects"]
    assert options[-1] == "--format=rows"
    assert files[-1] == "layerwise/datasets/formats/rows.py"
    assert expected == {"no-cue": 70}

    items, provenance, description = made["objects"]
    assert {Path(source["file"]).name for source in description["sources"]} == {"train.csv", "test.csv"}
    assert set(provenance["part"]) == {"train", "test"}
    told = rows_of(world / "coco", "train2017").query("kind == 'object'")
    present = set(zip(told["image"], told["value"], strict=True))
    both = items.merge(provenance.drop(columns="category"), on="item_id").query("part == 'train'")
    shown = [tuple(item_id.removeprefix("train/").rsplit("/", 1)) for item_id in both["item_id"]]
    assert [pair in present for pair in shown] == list(both["label:presence"] == "present")
    assert set(made["captions"][1]["label:match"]) == {"match", "mismatch"}

    for entry, says in (
        ({"format": "rows", "world": "shapes"}, "datasets.mine.world: no world is drawn in the format rows"),
        ({"format": "rows", "download": "coco-2017"}, "datasets.mine.download: the format rows is not downloaded"),
        ({"format": "rows", "splits": "."}, "datasets.mine: unknown key 'splits'; known keys of the kind rows"),
    ):
        assert says in extended.plan(study | {"datasets": {"mine": entry}, "worlds": {"shapes": {}}}).stderr
    study["stimuli"]["objects"]["images"]["train"] = "all"
    assert "datasets.mine: the size of the part 'train' is not known" in extended.plan(study).stderr
