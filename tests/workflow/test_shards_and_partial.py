"""Cells in several shards, states that are not kept, and figures without a model."""

import copy

import pandas as pd
import pytest
from PIL import Image

from tests.faults.reliability import fault
from tests.workflow.conftest import TINY, copy_project


def test_finished_cells_stay_whatever_the_number_of_shards(finished):
    config = copy.deepcopy(TINY)
    config["models"]["llava"] |= {"shards": 3, "cards": 2, "mem_mb": 9000}
    finished.configure(config)
    try:
        assert finished.planned() == {}
    finally:
        finished.configure(TINY)


def test_figures_without_a_model_stand_apart_and_say_so(finished):
    whole = finished.folder / "results/figures/entailment-by-layer.png"
    before = whole.read_bytes()
    partial = "results/partial/without-twin"
    wanted = [f"{partial}/figures/entailment-by-layer.png", f"{partial}/tables/table1.md"]
    leave_out = ["--config", "leave_out=[twin]"]
    # The model that is left out is asked for nothing, and what the others have is not made again.
    shown = {"gather_scores", "gather_shortcuts", "compare", "plot_figure", "make_table1"}
    assert set(finished.planned(*wanted, *leave_out)) == shown
    finished.snakemake(*wanted, *leave_out)
    scores = pd.read_parquet(finished.folder / partial / "probes/scores.parquet")
    assert set(scores["model"]) == {"llava"}
    assert "Partial: without twin." in (finished.folder / wanted[1]).read_text()
    assert whole.read_bytes() == before
    assert finished.planned() == {}
    with Image.open(finished.folder / wanted[0]) as figure:
        # Above the figure something is written in red.
        strip = figure.convert("RGB").crop((0, 0, figure.width, 30))
        assert any(red > 120 and green < 80 for _, (red, green, _) in strip.getcolors(10**6))


@pytest.mark.slow
def test_a_cell_in_shards_is_probed_as_one_and_goes_when_it_is_not_kept(tmp_path, tiny_llava, warm):
    project = copy_project(tmp_path, warm)
    config = copy.deepcopy(TINY)
    del config["embedded_models"]
    config["models"] = {"whole": {"source": str(tiny_llava), "batch_size": 1}}
    config["models"]["divided"] = config["models"]["whole"] | {"shards": 3}
    config["tasks"] = {"warm": TINY["tasks"]["warm"]}
    project.configure(config)
    states = project.folder / "results/states"
    project.snakemake("states")
    assert sorted(file.name for file in states.rglob("divided/own/*")) == [f"describe.{i}-of-3.h5" for i in (1, 2, 3)]
    scores = [f"results/probes/{model}/warm/describe.scores.parquet" for model in ("whole", "divided")]
    project.snakemake(*scores)
    whole, divided = (pd.read_parquet(project.folder / file) for file in scores)
    pd.testing.assert_frame_equal(whole, divided, rtol=0.02)
    # Finished cells that were kept stay; those made from now on go with their probes.
    config["states"] = TINY["states"] | {"keep": False}
    config["models"]["divided"]["shards"] = 2
    project.configure(config)
    assert project.planned(*scores) == {}
    for file in states.rglob("divided/own/*"):
        file.unlink()
    (project.folder / scores[1]).unlink()
    project.snakemake(scores[1])
    pd.testing.assert_frame_equal(whole, pd.read_parquet(project.folder / scores[1]), rtol=0.02)
    assert not list(states.rglob("divided/own/*.h5"))


@fault(
    "a probe fails in a study that does not keep states (`states: {keep: false}`)",
    sees="the job fails; run the same command again",
    kept="the states, until all their probes have run; and the probes that succeeded",
)
@pytest.mark.slow
def test_states_that_are_not_kept_wait_for_a_probe_that_failed(tmp_path, tiny_llava, warm):
    project = copy_project(tmp_path, warm)
    config = copy.deepcopy(TINY)
    del config["embedded_models"]
    config["models"] = {"llava": {"source": str(tiny_llava), "batch_size": 8}}
    config["tasks"] = {"warm": TINY["tasks"]["warm"], "again": TINY["tasks"]["warm"]}
    config["states"] = {"positions": ["last"], "keep": False}
    project.configure(config)
    states = project.folder / "results/states/llava/own/describe.h5"
    scores = [f"results/probes/llava/{task}/describe.scores.parquet" for task in config["tasks"]]
    labels = project.folder / "results/tasks/again/labels.parquet"
    project.snakemake("results/tasks/again/task.json")
    whole = labels.read_bytes()
    labels.write_bytes(whole[:-10])
    assert project.snakemake(*scores, "--keep-going", check=False).returncode
    assert [(project.folder / file).exists() for file in scores] == [True, False]
    made = states.stat().st_mtime_ns
    labels.write_bytes(whole)
    assert project.planned(*scores) == {"fit_probes": 1}
    assert states.stat().st_mtime_ns == made
    project.snakemake(*scores)
    assert not states.exists()
