"""One run of the tiny grid: what it leaves, and that the numbers in it are right."""

import json
import os

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from layerwise import Study
from layerwise.probes.metrics.scored import ALWAYS
from layerwise.states.store import StatesFile
from layerwise.stimuli.items import read_items
from tests.recompute import disagreements


def test_everything_is_there_and_nothing_is_left_to_do(finished):
    results = finished.folder / "results"
    for figure in ("entailment", "recognition-by-model", "recognition-by-prompt", "selectivity", "code-length"):
        for axis in ("layer", "depth"):
            for suffix in ("png", "svg", "pdf"):
                assert (results / f"figures/{figure}-by-{axis}.{suffix}").stat().st_size > 1000
    for table in ("table1", "table2"):
        for suffix in ("csv", "tex", "md", "html"):
            assert (results / f"tables/{table}.{suffix}").stat().st_size > 100
    for figure in ("training-curve-shapes", "learning-curve"):
        assert (results / f"figures/{figure}.png").stat().st_size > 1000
    assert not list(results.rglob(".*.partial*"))
    # What pictures look like is kept; of cells nothing is left.
    assert [file.name for file in (results / "work").iterdir() if file.is_dir()] == ["pictures"]
    assert finished.planned() == {}


@pytest.mark.parametrize(
    ("stimuli", "prompt"), [("captions", "agree"), ("objects", "category"), ("objects", "no-cue"), ("own", "describe")]
)
def test_states_equal_transformers_one_sample_at_a_time(finished, stimuli, prompt):
    """Every entry of ``output_hidden_states``, for items at the start, in the middle and at the end of the file."""
    results = finished.folder / "results"
    folder = json.loads(next(results.glob("models/llava/*/model.json")).read_text())["folder"]
    model = AutoModelForImageTextToText.from_pretrained(finished.folder / folder, dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(finished.folder / folder)
    items, _ = read_items(next(results.glob(f"stimuli/{stimuli}/*/")))
    with StatesFile(results / f"states/llava/{stimuli}/{prompt}.h5") as states:
        layers = [states.layer("last", layer) for layer in range(len(states.layers))]
        rows, template = states.row_of_item, states.cell["prompt_entry"]["text"]
    assert len(layers) == model.config.text_config.num_hidden_layers + 2
    for index in np.linspace(0, len(items) - 1, 12).astype(int):
        item = items.iloc[index]
        text = template.replace("{text}", str(item["text"])).replace("{category}", str(item["category"]))
        turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}
        whole = processor.apply_chat_template([turn], add_generation_prompt=True)
        image = Image.open(finished.folder / item["image"]).convert("RGB")
        inputs = processor(images=image, text=whole, return_tensors="pt")
        with torch.inference_mode():
            expected = [h[0, -1] for h in model(**inputs, output_hidden_states=True).hidden_states]
        ours = [torch.from_numpy(layers[layer][rows[index]]) for layer in [*range(len(layers) - 2), len(layers) - 1]]
        assert len(ours) == len(expected)
        for layer, (mine, theirs) in enumerate(zip(ours, expected, strict=True)):
            assert (mine - theirs).norm() / theirs.norm() < 1e-5, f"item {item['item_id']}, entry {layer}"


def test_without_a_cue_pairs_of_an_image_share_a_row(finished):
    results = finished.folder / "results"
    items, _ = read_items(next(results.glob("stimuli/objects/*/")))
    with StatesFile(results / "states/llava/objects/no-cue.h5") as states:
        assert states.item_ids == list(items["item_id"])
        assert states.layer("last", 0).shape[0] == items["image_sha256"].nunique()
        assert states.positions == ["image-mean", "last"]
    with StatesFile(results / "states/llava/objects/category.h5") as states:
        assert states.layer("last", 0).shape[0] == len(items)


@pytest.mark.parametrize(("stimuli", "prompt"), [("captions", "agree"), ("hypotheses", "statement")])
def test_features_of_pictures_are_the_image_tokens_at_layer_0(finished, stimuli, prompt):
    results = finished.folder / "results"
    items, _ = read_items(next(results.glob(f"stimuli/{stimuli}/*/")))
    with StatesFile(results / f"pictures/llava/{stimuli}.h5") as pictures:
        features, row_of = pictures.layer("image-mean", 0), pictures.row_of_item
        assert pictures.item_ids == list(items["item_id"])
    assert len(features) == items["image_sha256"].nunique() < len(items)
    with StatesFile(results / f"states/llava/{stimuli}/{prompt}.h5") as states:
        at_layer_0 = states.layer("image-mean", 0)[states.row_of_item]
    np.testing.assert_allclose(features[row_of], at_layer_0, rtol=1e-4, atol=1e-5)


def test_shortcuts_are_scored_as_layers_are(finished):
    study = Study.load(finished.folder / "tiny.yaml", directory=finished.folder)
    shortcuts = study.shortcuts()
    assert set(map(tuple, shortcuts[["model", "task"]].to_numpy())) == {("llava", "entailment"), ("llava", "snli-ve")}
    test = shortcuts[(shortcuts["split"] == "test") & (shortcuts["metric"] == "accuracy")]
    of_task = test[test["task"] == "entailment"].set_index("features")
    # Each caption and each picture is once a match and once a mismatch.
    assert list(of_task.loc[["words", "picture", "words + picture"], "value"]) == [0.5] * 3
    # The same items and resamples as those of layers.
    scores = study.scores().query("task == 'entailment' and model == 'llava' and split == 'test' and layer == 1")
    assert set(of_task["n"]) == set(scores.query("metric == 'accuracy'")["n"])
    compared = study.comparison("shortcuts").query("task == 'entailment'")
    assert list(compared["prompt"]) == ["agree", "caption"]
    np.testing.assert_allclose(compared["difference"], compared["best"] - compared["shortcut_value"], atol=1e-9)
    assert compared["text"].isna().all()


def test_labels_and_splits_never_reach_the_states(finished):
    results = finished.folder / "results"
    for folder in results.glob("stimuli/*/*/"):
        columns = set(pd.read_parquet(folder / "items.parquet").columns)
        assert columns == {"item_id", "image", "image_sha256", "text", "category"}


def test_scores_are_those_of_the_predictions(finished):
    probes = finished.folder / "results/probes"
    scores = pd.read_parquet(probes / "scores.parquet")
    assert set(scores["metric"]) == {*ALWAYS, "code_bits", "compression"}
    assert set(scores["probe"]) == {"logistic", "majority", "control", "selectivity", "resplit"}
    assert len(scores[["model", "task", "prompt"]].drop_duplicates()) == 2 * (2 + 1 + 2 + 1)
    trained = scores[(scores["probe"] == "logistic") & (scores["metric"] == "accuracy") & (scores["split"] == "test")]
    assert (trained["low"] <= trained["value"] + 1e-9).all()
    assert (trained["high"] >= trained["value"] - 1e-9).all()
    wrong = disagreements(finished.folder / "results")
    assert wrong.empty, wrong.to_string()
    predictions = pd.read_parquet(probes / "llava/objects/category.predictions.parquet")
    predictions = predictions[predictions["split"] == "test"]
    # Each category is asked about in words of its own: its score holds for these, and is by image alone.
    assert (predictions.groupby("label")["text"].nunique() == 1).all()
    assert predictions["text"].nunique() == predictions["label"].nunique()
    cell = trained[(trained["model"] == "llava") & (trained["task"] == "objects") & (trained["prompt"] == "category")]
    assert (cell["n_texts"] == 0).all()


def test_a_probe_finds_what_is_plainly_there(finished):
    """Warm and cold pictures differ in every pixel: even an untrained model's states tell them apart."""
    scores = pd.read_parquet(finished.folder / "results/probes/scores.parquet")
    warm = scores[(scores["task"] == "warm") & (scores["split"] == "test") & (scores["metric"] == "accuracy")]
    top = warm[(warm["probe"] == "logistic") & (warm["layer"] == warm["n_layers"])]
    assert (top["value"] >= 0.9).all()
    # The last token of one prompt reads the same in every picture, before attention brings the picture in.
    assert (warm[warm["layer"] == 0]["value"] <= 0.7).all()


def test_what_is_plainly_there_is_selective_costs_few_bits_and_holds_in_every_split(finished):
    results = finished.folder / "results"
    scores = pd.read_parquet(results / "probes/scores.parquet")
    warm = scores[(scores["task"] == "warm") & (scores["layer"] == scores["n_layers"])]
    selectivity = warm[(warm["probe"] == "selectivity") & (warm["split"] == "test") & (warm["metric"] == "accuracy")]
    assert (selectivity["low"] > 0).all()
    assert (warm.loc[warm["metric"] == "code_bits", "high"] < 1).all()
    resplit = warm[(warm["probe"] == "resplit") & (warm["split"] == "test")]
    assert set(resplit["split_seed"]) == {"2", "3"}
    assert (resplit["value"] >= 0.9).all()
    table = pd.read_csv(results / "tables/table2.csv").set_index("task")
    assert (table.loc["warm", "n_splits"] == 3).all()
    assert (table.loc["objects", "n_splits"] == 1).all()
    curves = pd.read_parquet(results / "probes/curves.parquet")
    assert set(curves["task"]) == set(scores["task"])


def test_study_reads_what_the_workflow_wrote(finished, monkeypatch):
    """Every cell, in the rows and columns of the gathered tables, with states and labels by item."""
    monkeypatch.chdir(finished.folder)
    study = Study.load("tiny.yaml")
    for table, read in (("scores", study.scores()), ("curves", study.curves())):
        written = pd.read_parquet(finished.folder / f"results/probes/{table}.parquet")
        pd.testing.assert_frame_equal(read[list(written)], written)
    for cell in study.grid.states_cells():
        last, mean = (study.states(*cell, position=position, layer="final norm") for position in ("last", "image-mean"))
        assert last.values.shape == mean.values.shape == (len(study.items(cell.stimuli)), last.values.shape[1])
        assert not np.array_equal(last.values, mean.values)
    for cell in study.grid.probe_cells():
        labels = study.labels(cell.task).set_index(["item_id", "label"])
        said = study.predictions(*cell, layer=2, split="test").set_index(["item_id", "label"])
        assert set(said.index) == set(labels.index[labels["split"] == "test"])
        assert (said["truth"] == labels["truth"].loc[said.index]).all()
        assert said["image"].map(os.path.exists).all()
        template = study.grid.prompt(study.config.tasks[cell.task].stimuli, cell.prompt).text.split("{")[0]
        assert said["question"].str.startswith(template).all()


def test_report(finished):
    finished.snakemake("--report", "report.html")
    text = (finished.folder / "report.html").read_text()
    for word in (
        "explore/index.html",
        "entailment-by-layer.html",
        "code-length-by-depth.html",
        "table2.html",
        "learning-curve.html",
    ):
        assert word in text
    (finished.folder / "report.html").unlink()


def test_jobs_say_what_they_do(finished):
    logs = [file.read_text() for file in (finished.folder / ".snakemake/log").glob("*.log")]
    assert any("Run llava over captions with the prompt agree" in log for log in logs)
    opened = "Open results/explore/index.html in a browser. "
    opened += "Figures and tables for a paper: results/figures, results/tables"
    assert any(f"{opened}; for a report of all in one file: make report CONFIG=tiny.yaml" in log for log in logs)
