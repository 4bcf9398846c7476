"""Probes of sites within blocks: scored as layers are, and called above chance no more often than they should be."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from benchmarks.stimuli import write_stimuli
from scipy.stats import binomtest

from layerwise.probes.bootstrap import Crossed
from layerwise.probes.layer_probes import LayerProbes
from layerwise.probes.logistic.engines.sklearn_logistic import SklearnEngine
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.probes.problems import make_problems
from layerwise.probes.scoring import HELD_OUT
from layerwise.probes.site_probes import SiteProbes, chance_p_value
from layerwise.states.writing import new_states, write_rows
from tests.conftest import REPOSITORY

ITEMS, HEADS, WIDTH, BLOCKS = 400, 3, 4, 2
# Which head of which block holds the label, and which block's MLP.
TOLD_BY, TOLD_IN = (2, 3), 1


def labels():
    y = np.random.default_rng(0).integers(0, 2, ITEMS)
    ids = [f"i{i}" for i in range(ITEMS)]
    table = pd.DataFrame({"item_id": ids, "image_id": ids, "group": [f"g{i // 2}" for i in range(ITEMS)], "y": y})
    table["label"] = [f"l{i // 2 % 2}" for i in range(ITEMS)]
    return table.assign(split=np.array(["train", "train", "val", "test"])[np.arange(ITEMS) // 8 % 4])


def planted():
    """Shapes (rows, blocks, heads x width) and (rows, blocks, width)."""
    rng, sign = np.random.default_rng(1), 2 * labels()["y"].to_numpy() - 1
    heads, mlp = rng.normal(size=(ITEMS, BLOCKS, HEADS * WIDTH)), rng.normal(size=(ITEMS, BLOCKS, WIDTH))
    heads[:, TOLD_BY[0] - 1, (TOLD_BY[1] - 1) * WIDTH] += 2 * sign
    mlp[:, TOLD_IN - 1, 0] += 2 * sign
    return heads.astype(np.float32), mlp.astype(np.float32)


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> pd.DataFrame:
    """What the program finds in a states file with sites."""
    folder = tmp_path_factory.mktemp("sites")
    heads, mlp = planted()
    table = labels()
    names = ["embeddings", *(f"block {i}" for i in range(1, BLOCKS + 1)), "final norm"]
    about = {"positions": ["last"], "layers": names, "rows": ITEMS, "width": WIDTH, "dtype": "float32"}
    about |= {"item_ids": table["item_id"], "row_of_item": range(ITEMS), "heads": HEADS}
    about["cell"] = {"prompt": "p"} | write_stimuli(folder / "stimuli", table["item_id"], table["item_id"])
    sites = {"last-heads": HEADS * WIDTH, "last-mlp": WIDTH}
    with new_states(folder / "states.h5", sites=sites, **about) as datasets:
        write_rows(datasets["last"], 0, np.zeros((ITEMS, len(names), WIDTH), np.float32))
        write_rows(datasets["last-heads"], 0, heads)
        write_rows(datasets["last-mlp"], 0, mlp)
    (folder / "task").mkdir()
    table.to_parquet(folder / "task/labels.parquet")
    task = {"labels": ["l0", "l1"], "classes": ["no", "yes"], "metric": "balanced_accuracy"}
    (folder / "task/task.json").write_text(json.dumps(task))
    command = [sys.executable, REPOSITORY / "scripts/fit_site_probes.py", "--states", folder / "states.h5"]
    command += ["--cell", json.dumps({"prompt": "p"}), "--stimuli", folder / "stimuli", "--task", folder / "task"]
    command += [
        "--engine",
        "sklearn",
        "--C",
        0.01,
        1,
        "--resamples",
        300,
        "--seed",
        1,
        "--threads",
        1,
        "--memory-mb",
        1000,
    ]
    done = subprocess.run([*map(str, command), "--out", str(folder / "s.parquet")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return pd.read_parquet(folder / "s.parquet")


def test_every_head_and_site_has_its_rows(scored):
    cells = scored.groupby("site")[["layer", "head"]].apply(
        lambda rows: set(zip(rows["layer"], rows["head"], strict=True))
    )
    assert cells["heads"] == {(block, head) for block in (1, 2) for head in (1, 2, 3)}
    assert cells["mlp"] == {(1, 0), (2, 0)}
    assert (scored.groupby(["site", "layer", "head"]).size() == len(HELD_OUT) * 3).all()
    assert set(scored["label"]) == {"l0", "l1", "macro"}
    assert (scored["n_layers"] == BLOCKS).all()


def test_the_planted_head_and_block_are_found_and_no_others(scored):
    test = scored[(scored["split"] == "test") & (scored["label"] == "macro")]
    found = test[test["p_value"] < 1e-6]
    assert set(zip(found["site"], found["layer"], found["head"], strict=True)) == {
        ("heads", *TOLD_BY),
        ("mlp", TOLD_IN, 0),
    }
    assert (test.drop(found.index)["p_value"] > 0.01).all()
    assert (found["value"] > 0.9).all()


def test_a_site_is_scored_as_a_layer_is(scored):
    """The same states as a layer of LayerProbes, with the same interval."""
    heads, _ = planted()
    block, head = TOLD_BY
    states = np.ascontiguousarray(heads[:, block - 1, (head - 1) * WIDTH : head * WIDTH])
    problems = make_problems(labels(), ["l0", "l1"], 2, list(labels()["item_id"]), np.arange(ITEMS))
    probes = LayerProbes(problems, SklearnEngine(), [0.01, 1], "balanced_accuracy", 300, 1)
    expected = probes.layer(states, "").scores
    expected = expected[(expected["metric"] == "balanced_accuracy") & (expected["split"] != "train")]
    columns = ["label", "split", "value", "low", "high", "n", "n_groups"]
    ours = scored[(scored["site"] == "heads") & (scored["layer"] == block) & (scored["head"] == head)]
    pd.testing.assert_frame_equal(
        ours[columns].sort_values(columns[:2], ignore_index=True),
        expected[columns].sort_values(columns[:2], ignore_index=True),
    )


def test_a_head_without_a_signal_is_called_above_chance_in_five_of_a_hundred():
    """Guesses at random, correlated within images, against the majority baseline."""
    rng = np.random.default_rng(3)
    replications, groups, per_group = 600, 60, 3
    weights = rng.multinomial(groups, np.full(groups, 1 / groups), size=200)
    weights = np.vstack([np.ones(groups), weights]).repeat(per_group, axis=1)
    called = 0
    for _ in range(replications):
        # Items of an image share a class and a guess more often than not.
        y, pred = (rng.integers(0, 2, groups).repeat(per_group) for _ in range(2))
        flip = rng.random(len(pred)) < 0.2
        hits = ((pred ^ flip) == y).astype(float)
        above = (weights @ hits - weights @ (y == 1)) / weights.sum(1)
        called += chance_p_value(above[0], above[1:], groups) < 0.05
    assert 0.03 < called / replications < 0.08


def test_what_never_differs_from_the_majority_is_at_chance():
    assert chance_p_value(0.0, np.zeros(50), 20) == 1.0
    # Always better by as much: a sign test in which all groups speak for it, or all texts, which are fewer.
    assert chance_p_value(0.5, np.full(50, 0.5), 20) == pytest.approx(binomtest(20, 20, alternative="greater").pvalue)
    crossed = Crossed(groups=100, texts=40, pairs=400, distinct_texts=40)
    expected = binomtest(40, 40, alternative="greater").pvalue
    assert chance_p_value(0.5, np.full(150, 0.5), crossed) == pytest.approx(expected)
    assert np.isnan(chance_p_value(np.nan, np.full(50, np.nan), 20))


def test_probes_take_the_metrics_of_tasks():
    problems = make_problems(labels(), ["l0"], 2, list(labels()["item_id"]), np.arange(ITEMS))
    for metric in METRICS:
        probes = SiteProbes(problems, SklearnEngine(), [1.0], metric, 100, 0)
        rows = probes.scores(planted()[1][:, TOLD_IN - 1].copy(), "block")
        assert set(rows["metric"]) == {metric}
        assert (rows["p_value"] < 0.01).all()


def test_three_classes_are_probed_too():
    table = labels().assign(label="colour", y=np.arange(ITEMS) // 2 % 3)
    states = np.random.default_rng(2).normal(size=(ITEMS, WIDTH)).astype(np.float32)
    noise = states.copy()
    states[np.arange(ITEMS), table["y"]] += 3
    problems = make_problems(table, ["colour"], 3, list(table["item_id"]), np.arange(ITEMS))
    probes = SiteProbes(problems, SklearnEngine(), [1.0], "balanced_accuracy", 200, 0)
    told, untold = (probes.scores(each, "block").set_index("split").loc["test"] for each in (states, noise))
    assert told["chance"] == pytest.approx(1 / 3)
    assert told["value"] > 0.9
    assert told["p_value"] < 1e-6 < 0.01 < untold["p_value"]
