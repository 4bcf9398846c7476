"""One model with sites and interventions through the workflow: what is run, kept, drawn, and left alone."""

import copy
import json
import shutil

import pandas as pd
import pytest

from layerwise.states.store import StatesFile
from tests.workflow.conftest import TINY, Project, copy_project

MINE = {"source": "models/mine", "batch_size": 32}
WARM = {"task": "warm", "prompt": "plain"}
STUDY = TINY | {
    "embedded_models": {},
    "tasks": {"warm": TINY["tasks"]["warm"]},
    "stimuli": {"own": TINY["stimuli"]["own"] | {"text_column": "even", "prompts": ["plain", "describe"]}},
    "models": {
        "mine": MINE,
        "cut": MINE | {"prompts": ["plain"], "intervention": {"cut-image": {"blocks": "middle"}}},
        "routed": MINE | {"prompts": ["plain"], "intervention": {"bypass": {"from": 2, "scale": 2.0}}},
        "erased": MINE | {"prompts": ["plain"], "intervention": {"erase": WARM | {"block": 3}}},
        "pushed": MINE
        | {
            "prompts": ["plain"],
            "intervention": {"steer": WARM | {"block": 2, "at": "text", "along": "means", "strength": 2}},
        },
    },
    "states": {"sites": ["block", "attention", "heads"], "sites_of": {"models": ["mine"], "prompts": ["plain"]}},
}
FIGURES = ("sites-by-layer", "head-map", "image-ablation", "bypass", "erased")


@pytest.fixture(scope="module")
def project(tmp_path_factory, tiny_llava, warm) -> Project:
    project = copy_project(tmp_path_factory.mktemp("sites"), warm)
    shutil.copytree(tiny_llava, project.folder / "models/mine")
    project.configure(STUDY)
    project.snakemake()
    return project


@pytest.mark.slow
def test_all_of_it_is_there_and_nothing_is_left_to_do(project):
    results = project.folder / "results"
    for figure in FIGURES:
        assert all((results / f"figures/{figure}.{form}").stat().st_size > 1000 for form in ("png", "svg", "pdf"))
    assert "image cut in middle blocks" in (results / "tables/table3.md").read_text()
    assert "image cut" not in (results / "tables/table2.md").read_text()
    assert project.planned() == {}


@pytest.mark.slow
def test_models_share_files_and_cells_keep_what_was_asked(project):
    results = project.folder / "results"
    files = {name: next(results.glob(f"models/{name}/*/model.json")) for name in STUDY["models"]}
    described = {name: json.loads(file.read_text()) for name, file in files.items()}
    assert len({description["folder"] for description in described.values()}) == 1
    assert {described[name]["base"] for name in files if name != "mine"} == {described["mine"]["digest"]}
    with StatesFile(results / "states/mine/own/plain.h5") as states:
        assert states.sites == ["attention", "heads"]
        plain = [states.layer("last", layer) for layer in range(len(states.layers))]
    # Unchanged up to the block that is changed, and another state behind it.
    for name, unchanged in (("cut", 3), ("routed", 6), ("erased", 3), ("pushed", 2)):
        with StatesFile(results / f"states/{name}/own/plain.h5") as states:
            assert states.sites == []
            same = [bool((states.layer("last", layer) == plain[layer]).all()) for layer in range(8)]
        assert same == [True] * unchanged + [False] * (8 - unchanged)
    with StatesFile(results / "states/mine/own/describe.h5") as states:
        assert states.sites == []
    assert not (results / "states/cut/own/describe.h5").exists()
    sites = pd.read_parquet(results / "probes/sites.parquet")
    assert set(zip(sites["model"], sites["prompt"], sites["site"], strict=True)) == {
        ("mine", "plain", "attention"),
        ("mine", "plain", "heads"),
    }
    scores = pd.read_parquet(results / "probes/scores.parquet")
    assert set(scores.loc[scores["model"] == "cut", "probe"]) == {"logistic", "majority", "resplit"}


@pytest.mark.slow
def test_no_probe_finds_what_was_erased_until_later_blocks_bring_it(project):
    scores = pd.read_parquet(project.folder / "results/probes/scores.parquet")
    test = scores[(scores["prompt"] == "plain") & (scores["split"] == "test") & (scores["metric"] == "roc_auc")]
    found = test[test["probe"] == "logistic"].set_index(["model", "layer"])["value"]
    # The tiny model is not trained, but the colour of its pictures shows in any state.
    assert found["mine", 3] > 0.95
    assert found["erased", 2] == found["mine", 2]
    assert abs(found["erased", 3] - 0.5) < 0.25
    assert found["erased", 4] > 0.95
    table = (project.folder / "results/tables/table3.md").read_text()
    assert "warm/plain erased at block 3 (last token)" in table
    assert "warm/plain steered by 2 SD at block 2 (text tokens)" in table


@pytest.mark.slow
def test_what_a_change_makes_stale(project):
    def planned(change):
        config = copy.deepcopy(STUDY)
        change(config)
        project.configure(config)
        try:
            return project.planned()
        finally:
            project.configure(STUDY)

    other = planned(lambda c: c["models"]["routed"]["intervention"]["bypass"].update(scale=3.0))
    assert (other["register_model"], other["extract_states"], other["fit_probes"]) == (1, 1, 1)
    assert "fit_site_probes" not in other
    # One cell keeps more; the others stay. The concept is fitted to that cell, so the job of the model without it
    # starts too, and finds that its states are the same (tests/unit/used/test_streaming.py).
    more = planned(lambda c: c["states"]["sites"].append("mlp"))
    assert (more["extract_states"], more["fit_probes"], more["fit_site_probes"]) == (2, 2, 1)
    assert (more["fit_concept"], "stream_concept" in more) == (1, False)
    fewer = planned(lambda c: c["models"]["cut"].update(batch_size=8))
    assert fewer == {}
    # Other labels: states without the old concept are of no use any more, and no other states are touched.
    labels = planned(lambda c: c["tasks"]["warm"]["split"].update(seed=7))
    assert (labels["make_task"], labels["fit_concept"], labels["stream_concept"]) == (1, 1, 1)
    assert labels["extract_states"] == 2
    # A concept at another block is another model, and its own states alone are made.
    deeper = planned(lambda c: c["models"]["erased"]["intervention"]["erase"].update(block=4))
    assert (deeper["register_model"], deeper["extract_states"], deeper["fit_probes"]) == (1, 1, 1)
    assert deeper.keys().isdisjoint({"fit_concept", "stream_concept", "make_task"})
