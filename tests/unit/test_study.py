"""A study as programs and notebooks read it: its config, cells and paths, and where the user's files are looked up."""

import copy
import shutil
from pathlib import Path

import pytest
import yaml

from layerwise.errors import InputError
from layerwise.planning.grid import FlowCell, ProbeCell
from layerwise.study import Study
from tests.conftest import REPOSITORY

OWN = {
    "seed": 1,
    "stimuli": {"own": {"kind": "table", "file": "own.csv", "labels": ["wet"], "prompts": ["describe"]}},
    "tasks": {"wet": {"stimuli": "own", "question": "local"}},
    "models": {"hub": {"source": "lab/model"}, "other": {"source": "lab/other"}},
}


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A working directory with a study in a folder of its own, and its table beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    write("studies/mine.yaml", OWN)
    Path("studies/own.csv").write_text("image,wet\n")
    return tmp_path


def write(file: str, config: dict) -> None:
    Path(file).write_text(yaml.safe_dump(config))


def with_file(file: str) -> Study:
    """The study with another table."""
    config = copy.deepcopy(OWN)
    config["stimuli"]["own"]["file"] = file
    write("studies/mine.yaml", config)
    return Study.load("studies/mine.yaml")


def test_a_study_is_what_snakemake_makes_of_its_files(project):
    """Defaults beneath, then each file over those before it."""
    write("studies/more.yaml", {"seed": 2, "models": {"hub": {"batch_size": 3}}, "leave_out": ["other"]})
    study = Study.load("studies/mine.yaml", "studies/more.yaml")
    assert (study.config.seed, study.config.models["hub"].batch_size) == (2, 3)
    assert study.config.models["hub"].source == "lab/model"
    assert "agree" in study.config.prompts["coco-entailment"]
    assert study.config.adapters["lavit"].upstream is not None
    assert (study.left_out, list(study.config.models)) == (["other"], ["hub"])
    assert study.shown == "results/partial/without-other"
    assert Study.load("studies/mine.yaml", leave_out=["hub"]).left_out == ["hub"]


def test_paths_lie_below_the_results_root_of_the_folder_where_snakemake_runs(project):
    study = Study.load("studies/mine.yaml")
    cell = ProbeCell("hub", "wet", "describe")
    assert study.scores_file(cell) == "results/probes/hub/wet/describe.scores.parquet"
    assert study.predictions_file(cell) == "results/probes/hub/wet/describe.predictions.parquet"
    assert study.probes_file(cell) == "results/probes/hub/wet/describe.probes.h5"
    assert study.gathered_file("scores") == "results/probes/scores.parquet"
    assert study.task_folder("wet") == "results/tasks/wet"
    assert study.flow_files(FlowCell("hub", "asked")).tracing == "results/flow/hub/asked.tracing.parquet"
    assert study.stimuli_folder("own").startswith("results/stimuli/own/")
    assert study.model_file("hub").startswith("results/models/hub/")
    elsewhere = Study.load("studies/mine.yaml", directory=project / "run")
    assert elsewhere.task_folder("wet") == str(project / "run/results/tasks/wet")
    assert elsewhere.data.root == str(project / "run/data")


def test_probes_that_are_not_kept_are_not_looked_for(project):
    study = Study.load("studies/mine.yaml")
    with pytest.raises(InputError, match="no-prompt"):
        study.probe("hub", "wet", "no-prompt", 0)
    with pytest.raises(InputError, match=r"not there yet.*run `snakemake probes"):
        study.probe("hub", "wet", "describe", 0)
    write("studies/mine.yaml", OWN | {"probes": {"keep": False}})
    with pytest.raises(InputError, match=r"set probes\.keep to true"):
        Study.load("studies/mine.yaml").probe("hub", "wet", "describe", 0)


def test_states_are_the_shards_that_are_there(project):
    study = Study.load("studies/mine.yaml")
    folder = Path("results/states/hub/own")
    whole = [str(folder / "describe.h5")]
    assert study.states_files("hub", "own", "describe") == whole
    folder.mkdir(parents=True)
    halves = [str(folder / f"describe.{i}-of-2.h5") for i in (1, 2)]
    Path(halves[0]).touch()
    assert study.states_files("hub", "own", "describe") == whole
    Path(halves[1]).touch()
    assert study.states_files("hub", "own", "describe") == halves


def test_a_task_that_no_model_is_asked_is_not_made(project):
    def study(**tasks) -> Study:
        config = copy.deepcopy(OWN)
        config["stimuli"]["other"] = config["stimuli"]["own"]
        config["tasks"]["dry"] = {"stimuli": "other", "question": "global"}
        for model, only in tasks.items():
            config["models"][model]["tasks"] = only
        write("studies/mine.yaml", config)
        return Study.load("studies/mine.yaml")

    grid = study(hub=["wet"]).grid
    assert (sorted(grid.class_tasks()), sorted(grid.used_stimuli())) == (["dry", "wet"], ["other", "own"])
    grid = study(hub=["wet"], other=["wet"]).grid
    assert (grid.class_tasks(), grid.used_stimuli(), grid.tasks_about("global")) == (["wet"], ["own"], [])


def test_files_are_looked_for_beside_the_study(project):
    study = Study.load("studies/mine.yaml")
    assert study.config.stimuli["own"].file == "studies/own.csv"
    assert not study.notes
    # From anywhere else it is the same table, and the same stimuli.
    absolute = with_file(str(project / "studies/own.csv"))
    assert absolute.stimuli_folder("own") == study.stimuli_folder("own")


def test_a_path_is_the_same_text_however_the_study_is_named(project, monkeypatch):
    (project / "run").mkdir()
    monkeypatch.chdir("run")
    named = ["../studies/mine.yaml", project / "studies/mine.yaml", project / "run/../studies/mine.yaml"]
    assert {Study.load(file).config.stimuli["own"].file for file in named} == {str(project / "studies/own.csv")}


def test_files_that_were_named_from_the_working_directory_are_found_with_a_warning(project):
    Path("data").mkdir()
    shutil.copy("studies/own.csv", "data/own.csv")
    study = with_file("data/own.csv")
    assert study.config.stimuli["own"].file == "data/own.csv"
    (note,) = study.notes
    assert "data/own.csv (write ../data/own.csv)" in note
    assert with_file("../data/own.csv").notes == []


def test_a_notebook_elsewhere_finds_what_snakemake_finds(project, monkeypatch):
    Path("data").mkdir()
    shutil.copy("studies/own.csv", "data/own.csv")
    folder = Path(with_file("data/own.csv").stimuli_folder("own")).name
    (project / "notebooks").mkdir()
    monkeypatch.chdir("notebooks")
    study = Study.load("../studies/mine.yaml", directory="..")
    assert Path(study.config.stimuli["own"].file).samefile(project / "data/own.csv")
    assert Path(study.stimuli_folder("own")).name == folder


def test_a_path_that_leads_to_two_files_is_refused(project):
    Path("own.csv").write_text("image,wet\n")
    with pytest.raises(InputError, match=r"stimuli.own.file: 'own.csv' is in .*studies/own.csv\) and in .*/own.csv\)"):
        Study.load("studies/mine.yaml")
    # One file by two ways is no mistake.
    Path("own.csv").unlink()
    Path("own.csv").symlink_to("studies/own.csv")
    assert Study.load("studies/mine.yaml").config.stimuli["own"].file == "studies/own.csv"


def test_a_path_that_leads_nowhere_names_both_folders(project):
    folders = rf"neither in .*{project}/studies\) nor in .*{project}"
    with pytest.raises(InputError, match=f"stimuli.own.file: there is no file 'no.csv', {folders}"):
        with_file("no.csv")


def test_a_model_is_a_folder_beside_the_study_or_a_name(project):
    (project / "studies/weights").mkdir()
    config = copy.deepcopy(OWN)
    config["models"]["mine"] = {"source": "weights"}
    write("studies/mine.yaml", config)
    models = Study.load("studies/mine.yaml").config.models
    assert (models["mine"].source, models["hub"].source) == ("studies/weights", "lab/model")


def test_programs_and_the_snakefile_read_the_shipped_studies_alike():
    for file in ("config", "evidence", "findings", "objectives", "paper", "modern", "flow-paper", "frames"):
        study = Study.load(REPOSITORY / f"config/{file}.yaml")
        assert study.notes == []
        assert study.grid.states_cells() or study.grid.flow_cells()
