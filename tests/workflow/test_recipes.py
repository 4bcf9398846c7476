"""All recipes in one study, through the workflow: planned, and run to figures on stand-ins of their data sets."""

import shutil

import pandas as pd
import pytest

from tests.hub import environment, serve
from tests.standins import STAND_INS, recipe_of
from tests.workflow.conftest import Project, copy_project

# A task of each recipe, and one over some rows of a stimulus set.
TASKS = [
    "pope-popular",
    "vsr",
    "vsr-orientation",
    "vsr-zeroshot",
    "whatsup-photos",
    "sugarcrepe-swap-object",
    "winoground",
    "cv-bench-count",
    "mmvp",
    "scienceqa-natural",
    "a-okvqa",
    "nlvr2",
    "blink-multi-view",
    "temporal-vqa",
]
OF_TWO = {"all pictures in order", "picture 1 left out", "picture 2 left out", "pictures swapped", "text alone"}
STUDY = {
    "seed": 1,
    "include": [f"recipes/{name}.yaml" for name in STAND_INS],
    "tasks": {task: {"min_per_class": 1} for task in TASKS},
    "models": {"llava": {"source": "models/llava", "batch_size": 32, "tasks": TASKS}},
    "states": {"positions": ["last", "each-image-mean"]},
    "probes": {"C": [1.0], "resamples": 100},
}


@pytest.fixture
def project(tmp_path, tiny_llava) -> Project:
    """A copy of the project with the tiny LLaVA, the study, and what its user must have."""
    project = copy_project(tmp_path / "project")
    shutil.copytree(tiny_llava, project.folder / "models/llava")
    for stand_in in STAND_INS.values():
        stand_in().write(project.folder)
    project.configure(STUDY)
    return project


@pytest.mark.slow
def test_all_recipes_are_planned_before_anything_is_downloaded(project):
    planned = project.planned()
    recipes = [recipe_of(name) for name in STAND_INS]
    tasks = {task: entry for recipe in recipes for task, entry in recipe["tasks"].items() if task in TASKS}
    # VSR's tasks read the same states.
    asked = {entry["stimuli"] for entry in tasks.values()}
    stimuli = [entry for recipe in recipes for name, entry in recipe["stimuli"].items() if name in asked]
    assert planned["make_task"] == len(tasks) == len(TASKS)
    assert planned["make_stimuli"] == len(stimuli) == len(TASKS) - 1
    assert planned["download_hub_files"] == len({entry["dataset"] for entry in stimuli if "dataset" in entry}) == 11
    # Of sets with two pictures, six prompts or four; of the others, two.
    assert planned["extract_states"] == sum(len(entry["prompts"]) for entry in stimuli) == 2 * 10 + 6 * 2 + 4


# Some 280 jobs.
@pytest.mark.whole
@pytest.mark.timeout(1800)
def test_all_recipes_run_to_figures(project, warm, monkeypatch):
    hubs = [hub for name, stand_in in STAND_INS.items() for hub in stand_in().hubs(name)]
    with serve(*hubs) as hub:
        for key, value in environment(hub, project.folder).items():
            if key.startswith("HF_"):
                monkeypatch.setenv(key, value)
        project.snakemake("downloads")
    # What follows is offline.
    project.python = warm
    project.snakemake()
    results = project.folder / "results"
    scores = pd.read_parquet(results / "probes/scores.parquet")
    assert set(scores["task"]) == set(TASKS)
    # Both classes have the same texts: without the picture, nothing is found.
    for name in ("winoground", "mmvp", "nlvr2"):
        own = "probe == 'logistic' and split == 'test' and metric == 'accuracy'"
        alone = scores.query(f"prompt == '{name}-text-only' and {own}")
        assert len(alone) > 3
        assert (alone["value"] == 0.5).all()
    shortcuts = pd.read_parquet(results / "probes/shortcuts.parquet")
    # The text is the same for all pairs of frames.
    assert set(shortcuts["task"]) == set(TASKS) - {"temporal-vqa"}
    controls = pd.read_csv(results / "tables/table-picture-controls.csv").groupby("task")["shown"].agg(set)
    assert controls.to_dict() == {
        "nlvr2": OF_TWO,
        "blink-multi-view": OF_TWO,
        "temporal-vqa": {"all pictures in order", "picture 2 left out", "pictures in random order"},
    }
    table = (results / "tables/table1.md").read_text().replace("\\_", "_")
    for name in STAND_INS:
        for entry in recipe_of(name).get("datasets", {}).values():
            (row,) = [line for line in table.splitlines() if line.startswith(f"| {entry['repository']} |")]
            assert entry["revision"][:12] in row
    assert "cc-by-sa-4.0" in table
    figures = ("entailment-by-layer", "which-layer", "known-and-said-llava", "picture-controls", "pictures-by-layer")
    for figure in figures:
        assert (results / f"figures/{figure}.png").stat().st_size > 1000
    assert project.planned() == {}
