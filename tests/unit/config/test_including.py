"""Config files that a study includes: what lies over what, where they are looked up, and what is refused."""

from pathlib import Path

import pytest
import yaml

from layerwise.config.including import included
from layerwise.errors import InputError
from layerwise.study import Study
from tests.conftest import REPOSITORY

MODEL = {"models": {"hub": {"source": "lab/model"}}}
ASKED = {
    "prompts": {"table": {"asked": {"text": "{text}"}, "plain": {"text": "Look: {text}"}}},
    "stimuli": {
        "own": {"kind": "table", "file": "own.csv", "text_column": "said", "labels": ["wet"], "prompts": ["asked"]}
    },
    "tasks": {"wet": {"stimuli": "own", "question": "local", "min_per_class": 3}},
}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder of studies, beneath the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "studies"
    (folder / "parts").mkdir(parents=True)
    (folder / "own.csv").write_text("image,said,wet\n")
    return folder


def write(file: Path, *configs: dict) -> Path:
    file.write_text(yaml.safe_dump({key: value for config in configs for key, value in config.items()}))
    return file


def test_a_study_lies_over_what_it_includes_and_that_lies_over_the_defaults(folder):
    write(folder / "parts/asked.yaml", ASKED)
    own = {"include": ["parts/asked.yaml"], "tasks": {"wet": {"min_per_class": 9}}}
    study = Study.load(write(folder / "mine.yaml", own, MODEL))
    assert study.config.tasks["wet"].stimuli == "own"
    assert study.config.tasks["wet"].min_per_class == 9
    assert study.config.prompts["table"]["plain"].text == "Look: {text}"
    assert "agree" in study.config.prompts["coco-entailment"]
    # Paths in what is included start from the study's own folder.
    assert study.config.stimuli["own"].file == "studies/own.csv"


def test_files_are_merged_in_the_order_in_which_they_are_named_and_each_beneath_those_that_include_it(folder):
    write(folder / "parts/base.yaml", ASKED, {"seed": 1})
    write(folder / "parts/first.yaml", {"include": ["base.yaml"], "seed": 2})
    write(folder / "parts/second.yaml", {"include": ["base.yaml"]})
    mine = write(folder / "mine.yaml", {"include": ["parts/first.yaml", "parts/second.yaml"]}, MODEL)
    order = [file.name for file in included([mine], REPOSITORY / "config")]
    # The base is not merged a second time, or it would undo what the first one says.
    assert order == ["base.yaml", "first.yaml", "second.yaml"]
    assert Study.load(mine).config.seed == 2


def test_the_projects_own_files_are_found_from_anywhere_after_those_beside_the_study(folder):
    write(folder / "shared.yaml", {"seed": 5})
    mine = write(folder / "mine.yaml", {"include": ["shared.yaml"]}, MODEL)
    shared = folder / "parts"
    write(shared / "shared.yaml", {"seed": 6})
    assert included([mine], shared) == [folder / "shared.yaml"]
    (folder / "shared.yaml").unlink()
    assert included([mine], shared) == [shared / "shared.yaml"]


def test_what_cannot_be_included_is_refused(folder):
    mine = write(folder / "mine.yaml", {"include": ["recipes/pop.yaml"]})
    (folder / "parts/recipes").mkdir()
    write(folder / "parts/recipes/pope.yaml", {})
    with pytest.raises(
        InputError, match=r"mine\.yaml: include: .*'recipes/pop\.yaml'.*did you mean 'recipes/pope\.yaml'"
    ):
        included([mine], folder / "parts")
    write(folder / "parts/a.yaml", {"include": ["b.yaml"]})
    write(folder / "parts/b.yaml", {"include": ["a.yaml"]})
    with pytest.raises(InputError, match=r"in a circle: .*a\.yaml -> .*b\.yaml -> .*a\.yaml"):
        included([folder / "parts/a.yaml"], folder)
    write(mine, {"extends": ["parts/recipes/pope.yaml"]})
    with pytest.raises(
        InputError, match=r"has no `models`; to build on it, write `include: \[parts/recipes/pope\.yaml\]`"
    ):
        included([mine], folder)


def test_other_values_are_refused_with_the_rest_of_the_config(folder):
    mine = write(folder / "mine.yaml", {"include": "parts/asked.yaml"}, MODEL)
    with pytest.raises(InputError, match=r"include: must be a list; found 'parts/asked\.yaml'"):
        Study.load(mine)
