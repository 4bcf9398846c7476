"""What a user sees who made a mistake: one clear error, before a model is loaded."""

import copy
import re
import shutil

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.faults.reliability import fault
from tests.workflow.conftest import TINY, copy_project


@pytest.fixture(scope="module")
def project(tmp_path_factory, warm):
    return copy_project(tmp_path_factory.mktemp("bad-input"), warm)


def failure(project, change, *arguments) -> str:
    config = copy.deepcopy(TINY)
    change(config)
    project.configure(config)
    result = project.snakemake(*arguments, check=False)
    assert result.returncode
    return result.stdout + result.stderr


def test_mistakes_in_the_config_stop_the_plan(project):
    cases = [
        (lambda c: c.update(seeds=1), "top level: unknown key 'seeds'; did you mean 'seed'?"),
        (
            lambda c: c["stimuli"]["own"].update(file="own/gone.csv"),
            "stimuli.own.file: there is no file 'own/gone.csv'",
        ),
        (lambda c: c["stimuli"]["captions"].update(prompts=["agre"]), "there is no 'agre'"),
    ]
    for change, message in cases:
        assert message in failure(project, change, "--dry-run")


@fault(
    "a description that an earlier job wrote (`model.json`, `stimuli.json`) is cut short",
    sees="one error that names the file; delete it and run again",
    kept="all finished work",
)
def test_a_damaged_description_is_named(project):
    project.configure(TINY)
    described = re.findall(
        r"^results/models/twin/\S+model\.json", project.snakemake("--summary").stdout, flags=re.MULTILINE
    )
    file = project.folder / described[0]
    file.parent.mkdir(parents=True)
    file.write_text('{"digest": "a')
    try:
        assert f"{described[0]}: damaged (Unterminated string" in failure(project, lambda _: None, "--dry-run")
    finally:
        file.unlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c["prompts"]["coco-objects"]["category-list"].update(categories=["circle", "dragon"]),
            "prompt category-list: there is no category 'dragon' among circle",
        ),
        (lambda c: c["stimuli"]["objects"].update(categories=["dragon"]), "there is no category 'dragon'"),
    ],
)
def test_unknown_categories_stop_before_any_model(project, change, message):
    def with_prompts(config):
        config["prompts"] = yaml.safe_load((REPOSITORY / "config/prompts.yaml").read_text())["prompts"]
        config["stimuli"]["objects"]["prompts"] = ["category-list"]
        change(config)

    # The whole workflow, on one core: what reads the user's input comes first, whatever else is ready.
    error = failure(project, with_prompts, "--cores", "1")
    assert message in error
    assert "Traceback" not in error
    assert "Train the small LLaVA" not in error
    assert not (project.folder / "results/states").exists()


def test_a_missing_image_and_captions_without_images(project):
    project.configure(TINY)
    project.snakemake("results/worlds/shapes/world.json")
    for made in ("stimuli", "tasks"):
        shutil.rmtree(project.folder / "results" / made, ignore_errors=True)
    folder = project.folder / "results/worlds/shapes/coco"
    next((folder / "train2017").glob("*.jpg")).unlink()
    error = failure(project, lambda c: None, "results/tasks/entailment/task.json")
    assert "the image is missing; the annotations name it" in error
    (folder / "train2017").rename(folder / "elsewhere")
    error = failure(project, lambda c: None, "results/tasks/entailment/task.json")
    assert "train2017: there is no such folder" in error
    assert "Traceback" not in error
