"""What is erased and steered, from a finished study: trained models, their twins and folders of one's own."""

import copy
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from layerwise.cost.estimate import estimate_states
from layerwise.cost.used import concept_bytes, concept_of, estimate_used, runs_per_block
from layerwise.models import opening
from layerwise.study import Study
from layerwise.used import measuring
from layerwise.used.program import sweep_used
from tests.workflow.conftest import TINY, Project
from tests.workflow.test_staleness import edited

USED = {"tasks": ["entailment", "objects"], "prompts": ["agree", "category"], "items": 12, "draws": 2}
# What shows the sweeps is made after them.
SHOWN = {"compare", "plot_figure", "show_figure", "make_table4", "sample_items", "make_page"}


def with_used(change=lambda config: None) -> dict:
    """The tiny grid with what is erased and steered, changed in some way."""
    config = copy.deepcopy(TINY) | {"used": copy.deepcopy(USED)}
    change(config)
    return config


def with_own(change=lambda config: None) -> dict:
    """The same in the trained model and a copy of it in a folder, without the twin."""

    def changed(config: dict) -> None:
        config["models"]["own"] = {"source": "models/own", "prompts": ["agree", "category"], "batch_size": 32}
        config["used"] |= {"models": ["llava", "own"], "strengths": [-1, 1]}
        change(config)

    return with_used(changed)


def planned(project: Project, config: dict, *targets: str) -> dict[str, int]:
    """The jobs that a config plans, but for those that only show results."""
    before = (project.folder / "tiny.yaml").read_text()
    project.configure(config)
    try:
        return {rule: jobs for rule, jobs in project.planned(*targets).items() if rule not in SHOWN}
    finally:
        (project.folder / "tiny.yaml").write_text(before)


def test_a_finished_study_that_asks_what_is_used_runs_nothing_else(finished):
    assert planned(finished, with_used(), "used") == {"fit_concept": 4, "sweep_used": 4}
    # All that a plain run makes, too.
    assert planned(finished, with_used()).keys() <= {"fit_concept", "sweep_used"}


@pytest.fixture(scope="module")
def swept(finished, tmp_path_factory) -> Project:
    """The tiny grid with sweeps, run from the finished one."""
    folder = tmp_path_factory.mktemp("swept") / "project"
    shutil.copytree(finished.folder, folder)
    shutil.copytree(folder / "results/embedded_models/shapes/weights", folder / "models/own")
    project = Project(folder, finished.python)
    project.configure(with_own())
    project.snakemake("used")
    return project


@pytest.fixture
def study(swept, monkeypatch) -> Study:
    """The study of the swept project."""
    monkeypatch.chdir(swept.folder)
    return Study.load("tiny.yaml")


@pytest.mark.slow
def test_a_trained_model_and_a_copy_of_it_in_a_folder_answer_alike(study):
    for trained in (cell for cell in study.grid.used_cells() if cell.model == "llava"):
        own = trained._replace(model="own")
        here, there = (study.used(*cell) for cell in (trained, own))
        numbers = ["block", "strength", "draw", "y", "mass", "margin"]
        np.testing.assert_array_equal(here.answers[numbers], there.answers[numbers])
        np.testing.assert_array_equal(np.stack(here.above["margins"]), np.stack(there.above["margins"]))
        answers = here.answers
        items = answers["item_id"].nunique()
        assert 0 < items <= USED["items"]
        assert (answers["change"] == "free").sum() == items
        # The own concept, two random ones and one of the other task; at two strengths the own and two random ones.
        runs = runs_per_block(study, trained)
        assert runs == 4 + 2 * 3
        assert len(answers) == items * (1 + 6 * runs)
        assert set(answers["of"]) == {"", "entailment/agree", "objects/category"}
        np.testing.assert_allclose(
            answers[[name for name in answers if name.startswith("p:")]].sum(axis=1), 1, rtol=1e-5
        )
        # The free run, and three erasing runs, each read in its own block and those above.
        assert len(here.above) == items * (6 + 3 * 21)


@pytest.mark.slow
def test_concepts_are_as_large_as_the_estimate_says(study):
    width = estimate_states(study, "cpu").set_index("model")["width"]
    for cell in study.grid.concept_cells():
        stored = load_file(study.concept_file(cell))
        assert sum(part.nbytes for part in stored.values()) == concept_bytes(
            concept_of(study, cell), 6, width[cell.model].iloc[0]
        )
    assert estimate_used(study, "cpu")["exact"].all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "jobs"),
    [
        (lambda c: None, {}),
        (lambda c: c["used"].update(strengths=[-2, 2]), {"sweep_used": 4}),
        (lambda c: c["used"].update(along="probe", items=9), {"sweep_used": 4}),
        (lambda c: c["used"].update(draws=3), {"fit_concept": 4, "sweep_used": 4}),
        # The sweeps of the other task erase the concept of this one.
        (
            lambda c: c["tasks"]["objects"].update(split={"seed": 5}),
            {"make_task": 1, "fit_probes": 2, "fit_concept": 2, "sweep_used": 4},
        ),
        (lambda c: c["used"].update(tasks=["objects"], prompts=["category"]), {"sweep_used": 2}),
        (lambda c: c["used"].update(models=["own"]), {}),
        (lambda c: c["used"].update(models=["own", "twin"]), {"fit_concept": 2, "sweep_used": 2}),
    ],
    ids=["nothing", "strengths", "direction", "draws", "labels", "a task less", "a model less", "a twin"],
)
def test_a_change_makes_its_own_concepts_and_sweeps_again(swept, change, jobs):
    assert planned(swept, with_own(change), "used") == jobs


@pytest.mark.slow
def test_edited_code_makes_what_it_decides_again(swept):
    with edited(swept, "scripts/layerwise/used/concepts/erasers.py", "\nimport", "\nEDITED = 1\nimport"):
        assert planned(swept, with_own(), "used") == {"fit_concept": 4, "sweep_used": 4}
    with edited(swept, "scripts/layerwise/used/sweep.py", "\nimport", "\nEDITED = 1\nimport"):
        assert planned(swept, with_own(), "used") == {"sweep_used": 4}


@pytest.mark.slow
def test_probes_that_turn_out_the_same_run_no_model(swept):
    table = "results/used/llava/entailment/agree.parquet"
    before = (swept.folder / table).stat().st_ino
    swept.configure(with_own(lambda c: c["probes"].update(resamples=101)))
    try:
        assert swept.planned(table) == {"fit_probes": 2, "fit_concept": 2, "sweep_used": 1}
        swept.snakemake(table)
    finally:
        swept.configure(with_own())
    assert "its content exists already" in (swept.folder / "logs/used/llava/entailment/agree.log").read_text()
    # The file is the kept one.
    assert (swept.folder / table).stat().st_ino == before


@pytest.mark.slow
def test_the_estimate_counts_the_tokens_that_a_sweep_runs(study, tmp_path, monkeypatch):
    cell, run = study.grid.used_cells()[0], []
    load = opening.open_model

    def opened(*args, **kwargs):
        model = load(*args, **kwargs)
        for block in model.blocks:
            block.register_forward_pre_hook(
                lambda _, args, kwargs: run.append((args[0] if args else kwargs["hidden_states"]).shape[:2].numel()),
                with_kwargs=True,
            )
        return model

    monkeypatch.setattr(opening, "open_model", opened)
    # Checks of the first items are not counted.
    monkeypatch.setattr(measuring.Measuring, "_check", lambda *_: None)
    monkeypatch.setattr(measuring, "check_sight", lambda *_, **__: None)
    sweep_used(
        model=Path(study.model_file(cell.model)),
        stimuli=Path(study.stimuli_folder("captions")),
        task=Path(study.task_folder(cell.task)),
        cell=study.grid.planned_sweep(cell),
        concept=Path(study.concept_file(cell)),
        others={name: study.concept_file(other) for name, other in study.grid.other_concepts(cell).items()},
        probes=Path(study.probes_file(cell)),
        device_map=None,
        cards=1,
        threads=1,
        work=tmp_path,
        kept=None,
        out=tmp_path / "agree.parquet",
        above=tmp_path / "agree.above.parquet",
    )
    estimated, *_ = estimate_used(study, "cpu").itertuples()
    assert (estimated.inputs, estimated.images) == (12, 6)
    # The words with which two questions about an image begin are run once, and estimated twice.
    assert sum(run) / 6 <= estimated.tokens <= 1.02 * sum(run) / 6
