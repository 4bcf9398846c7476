"""The public face: what `import layerwise` offers and imports, installed copies, and which copy the workflow runs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

import layerwise
from layerwise.code_digest import own_digest
from layerwise.errors import InputError
from layerwise.states.shards import open_states
from tests.conftest import REPOSITORY

HEAVY = {"torch", "transformers", "pandas", "numpy", "h5py", "pydantic", "yaml"}
# Programs with short and with long lists of modules; the last one runs a module that is named by the config.
PROGRAMS = [["make_world.py"], ["make_stimuli.py"], ["extract_states.py", "layerwise/models/adapters/generic.py"]]


def run(code: str, *paths: Path, cwd: Path | None = None) -> dict:
    """What code prints as JSON in a fresh Python that imports from some folders first."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_importing_it_imports_no_library_until_a_name_is_used():
    code = """
import json, sys, layerwise
before = sorted(sys.modules)
layerwise.InputError, layerwise.open_states
print(json.dumps([before, sorted(sys.modules)]))
"""
    before, after = run(code, REPOSITORY / "scripts")
    assert not HEAVY & set(before)
    assert "h5py" in after
    assert "torch" not in after


def test_it_offers_what_it_lists():
    assert layerwise.InputError is InputError
    assert layerwise.open_states is open_states
    for name in layerwise.__all__:
        assert getattr(layerwise, name).__doc__
        assert name in dir(layerwise)
    with pytest.raises(AttributeError, match="no attribute 'states_of'"):
        layerwise.states_of  # noqa: B018


def test_an_installed_copy_names_folders_as_the_clone_does(installed):
    code = f"""
import json, layerwise, layerwise.code_digest as digests
made = [digests.own_digest(*files) for files in {PROGRAMS!r}]
print(json.dumps([layerwise.__file__, made]))
"""
    file, made = run(code, installed)
    assert Path(file).is_relative_to(installed)
    assert made == [own_digest(*files) for files in PROGRAMS]
    # Jobs of the installed workflow import the copy that lies in it.
    file, made = run(code, installed / "layerwise/workflow/scripts")
    assert Path(file).is_relative_to(installed / "layerwise/workflow")
    assert made == [own_digest(*files) for files in PROGRAMS]


def test_an_installed_copy_loads_a_study(installed, tmp_path):
    """With the prompts that came with it; where the study lies in a clone, with that clone's."""
    demo = (REPOSITORY / "config/config.yaml").read_text()
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone/study.yaml").write_text(demo)
    shutil.copytree(REPOSITORY / "config", tmp_path / "clone/config")
    prompts = tmp_path / "clone/config/prompts.yaml"
    prompts.write_text(prompts.read_text().replace("Does this text agree", "Would you say that this text agrees"))
    (tmp_path / "clone/studies").mkdir()
    (tmp_path / "clone/studies/study.yaml").write_text(demo)
    code = """
import json
from layerwise import Study
alone, cloned = Study.load("alone/study.yaml"), Study.load("clone/studies/study.yaml")
words = [study.config.prompts["coco-entailment"]["agree"].text[:12] for study in (alone, cloned)]
print(json.dumps([words, alone.grid.probe_cells(), alone.stimuli_folder("captions")]))
"""
    words, cells, folder = run(code, installed, cwd=tmp_path)
    assert words == ["Does this te", "Would you sa"]
    here = layerwise.Study.load(REPOSITORY / "config/config.yaml")
    assert [tuple(cell) for cell in cells] == here.grid.probe_cells()
    assert folder == here.stimuli_folder("captions")


def test_an_installed_workflow_has_every_file_of_the_clone_that_a_run_reads(installed):
    """Its folders are those of the clone, file by file."""
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    read = ("rules/", "report/", "scripts/", "profiles/", "config/")
    wanted = {name for name in listed.splitlines() if name.startswith(read) and not name.endswith("README.md")}
    # Templates of this project's own pages.
    wanted = {name for name in wanted if not name.startswith("report/findings/")} | {"Snakefile", "pyproject.toml"}
    workflow = installed / "layerwise/workflow"
    assert not {name for name in wanted if not (workflow / name).is_file() and (REPOSITORY / name).is_file()}


def test_installing_leaves_nothing_in_the_clone(installed):
    assert not (REPOSITORY / "build").exists()
    assert not list(REPOSITORY.glob("**/*.egg-info"))


def test_a_clone_runs_its_own_code_beside_an_installed_copy(tmp_path):
    """Neither the workflow nor its programs import an installed copy; this one would fail."""
    (tmp_path / "layerwise").mkdir()
    (tmp_path / "layerwise/__init__.py").write_text("raise ImportError('the installed copy')\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    program, workflow = ["scripts/unpack.py", "--help"], ["-m", "snakemake", "--list"]
    for command, printed in ((program, "--receipts"), (workflow, "fit_probes")):
        command = [sys.executable, *command]
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert printed in done.stdout


@pytest.mark.parametrize(
    ("reader", "names", "target"),
    [
        ("states", ["shapes-llava", "objects", "category"], "states"),
        ("items", ["objects"], "states"),
        ("labels", ["objects"], "probes"),
        ("scores", [], "probes"),
        ("curves", [], "probes"),
        ("predictions", ["shapes-llava", "objects", "category"], "states"),
        ("flow", ["shapes-llava", "shapes-questions"], "flow_results"),
    ],
)
def test_before_a_run_each_reader_says_what_to_run(reader, names, target, tmp_path):
    study = layerwise.Study.load(REPOSITORY / "config/config.yaml", directory=tmp_path)
    config = os.path.relpath(REPOSITORY / "config/config.yaml", tmp_path)
    with pytest.raises(InputError, match=f"not there yet.*; run `snakemake {target} --cores 2 --configfile {config}`"):
        getattr(study, reader)(*names)
    for place in range(len(names)):
        wrong = [*names[:place], "nothing", *names[place + 1 :]]
        with pytest.raises(InputError, match=r"the study has no \w+ 'nothing'.*; it has .*"):
            getattr(study, reader)(*wrong)


def test_kinds_of_probes_are_read_where_the_study_has_them(tmp_path):
    def study_with(kinds: list[str]) -> layerwise.Study:
        own = {
            "extends": [],
            "probes": {"kinds": kinds, "kinds_of": {"models": ["shapes-llava"], "tasks": ["objects"]}},
        }
        (tmp_path / "own.yaml").write_text(yaml.safe_dump(own))
        return layerwise.Study.load(REPOSITORY / "config/config.yaml", tmp_path / "own.yaml", directory=tmp_path)

    with pytest.raises(InputError, match=r"name mean-difference, mlp or mix in probes\.kinds"):
        study_with(["logistic"]).kinds()
    study = study_with(["mix", "logistic", "mlp"])
    with pytest.raises(InputError, match=r"kind-mix\.parquet: not there yet \(and 1 more\); run `snakemake kinds"):
        study.kinds()
    cells = study.grid.kind_cells()
    assert {tuple(cell) for cell in cells} == {("shapes-llava", "objects", "no-cue", kind) for kind in ("mix", "mlp")}
    for number, cell in enumerate(cells):
        file = Path(study.kind_file(cell))
        file.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame({"value": [number]}).to_parquet(file)
    found = study.kinds()
    assert [tuple(row) for row in found[["model", "task", "prompt", "kind"]].to_numpy()] == cells
    assert found["value"].tolist() == list(range(len(cells)))


def test_a_study_without_sites_has_none_to_read(tmp_path):
    study = layerwise.Study.load(REPOSITORY / "config/config.yaml", directory=tmp_path)
    with pytest.raises(InputError, match=r"name attention, mlp or heads in states\.sites"):
        study.sites()
    # A task of the demo names positions.
    with pytest.raises(InputError, match=r"at-image-mean\.parquet: not there yet"):
        study.positions()


def test_a_study_without_further_positions_has_none_to_read(study):
    with pytest.raises(InputError, match=r"name further ones in tasks\.NAME\.positions"):
        layerwise.Study.from_config(study).positions()
