"""Kept probes against the predictions of the same fits, and against scikit-learn on the states as they are."""

import json
import sys

import h5py
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fit_probes
from layerwise.errors import InputError
from layerwise.probes.fits import Fit
from layerwise.probes.kept import KeptProbes, probes_file, raw_probe
from layerwise.probes.layer_probes import LayerProbes
from layerwise.probes.logistic.engines.sklearn_logistic import SklearnEngine
from layerwise.probes.logistic.torch_engine import TorchEngine
from layerwise.probes.problems import Problem, Standardisation
from layerwise.states.shards import open_states
from tests.golden.computed import drawn_cell

SPLITS = {"train": np.arange(120), "val": np.arange(120, 160), "test": np.arange(160, 240)}
CELL = {"task": "drawn"}


def states_with_far_dimensions(seed: int) -> np.ndarray:
    """Shape (240, 30). As in real models, dimensions have a mean of 400, or are very large; and one is constant."""
    states = np.random.default_rng(seed).standard_normal((240, 30)).astype(np.float32)
    states[:, [0, *range(5, 30)]] += 400
    states[:, 1] *= 1000
    states[:, 2] = 7
    return states


def task(n_classes: int, n_labels: int) -> list[Problem]:
    found = []
    for k in range(n_labels):
        y = np.random.default_rng(k).integers(0, n_classes, 240)
        of_splits = {split: y[rows] for split, rows in SPLITS.items()}
        names = {split: rows.astype(str) for split, rows in SPLITS.items()}
        found.append(Problem(f"l{k}", n_classes, names, SPLITS, SPLITS, of_splits))
    return found


@pytest.mark.parametrize(("n_classes", "n_labels"), [(2, 1), (2, 3), (3, 2)])
def test_kept_probes_give_the_kept_predictions(tmp_path, n_classes, n_labels):
    probes = LayerProbes(task(n_classes, n_labels), TorchEngine(), [0.01, 100.0], "accuracy", 100, 0)
    labels, classes = [f"l{k}" for k in range(n_labels)], [f"c{k}" for k in range(n_classes)]
    results = []
    with probes_file(tmp_path / "kept.h5", ["a", "b"], labels, classes, CELL) as keep:
        for layer in (0, 1):
            results.append(probes.layer(states_with_far_dimensions(layer), "a"))
            keep(results[-1].fits, results[-1].standardisation)
    with KeptProbes(tmp_path / "kept.h5") as kept:
        assert (kept.layers, kept.labels, kept.classes, kept.cell) == (["a", "b"], labels, classes, CELL)
        for layer, result in enumerate(results):
            states, probe = states_with_far_dimensions(layer), kept.layer(layer)
            assert probe.weights.dtype == np.float32
            for (label, split), rows in result.predictions.groupby(["label", "split"]):
                margins = probe.margins(states[SPLITS[split]], label)
                assert margins == pytest.approx(np.stack(rows["scores"]), rel=1e-5, abs=1e-5)
            assert probe.C.tolist() == [fit.C for fit in result.fits]
            training = states[SPLITS["train"]].astype(np.float64)
            assert probe.centre == pytest.approx(training.mean(axis=0), abs=1e-4)
            assert probe.deviation == pytest.approx(training.std(axis=0), rel=1e-5)
            # A new centre takes the old one's place: states that lie there have margins as before.
            moved = states + 3
            assert probe.margins(moved, labels[0], probe.centre + 3) == pytest.approx(
                probe.margins(states, labels[0]), abs=1e-3
            )


def test_biases_are_made_for_the_rounded_weights():
    rng = np.random.default_rng(0)
    states = (400 + rng.standard_normal((50, 30))).astype(np.float32)
    standardisation = Standardisation.of(states, np.arange(50))
    fit = Fit(rng.standard_normal((1, 30)) * 3, np.array([0.5]), 1.0, True)
    mean, scale = standardisation.mean.astype(np.float64), standardisation.scale.astype(np.float64)
    expected = ((states - mean) * scale) @ fit.coefficients.T + fit.intercepts
    probe = raw_probe([fit], standardisation, ["l0"], ["no", "yes"])
    assert probe.margins(states) == pytest.approx(expected, abs=3e-6)


def test_weights_are_those_of_scikit_learn_for_the_states_as_they_are(tmp_path):
    problem, states = task(2, 1), states_with_far_dimensions(0)
    engine = SklearnEngine()
    engine.tolerance = 1e-8
    result = LayerProbes(problem, engine, [0.1], "accuracy", 100, 0).layer(states.copy(), "a")
    with probes_file(tmp_path / "kept.h5", ["a"], ["l0"], ["no", "yes"], CELL) as keep:
        keep(result.fits, result.standardisation)
    rows = SPLITS["train"]
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, tol=1e-8, max_iter=5000))
    reference.fit(states[rows].astype(np.float64), problem[0].y["train"])
    with KeptProbes(tmp_path / "kept.h5") as kept:
        found = kept.layer(0).margins(states)[:, 0]
    assert found == pytest.approx(reference.decision_function(states.astype(np.float64)), abs=1e-3)


def test_the_program_keeps_probes_of_its_states(tmp_path, monkeypatch):
    options = drawn_cell(tmp_path, 3, np.random.default_rng(0))
    folder, file = tmp_path / "of-3", tmp_path / "kept.h5"
    command = ["fit_probes.py", *options, "--engine", "torch", "--probes", str(file)]
    monkeypatch.setattr(sys, "argv", command)
    fit_probes.main()
    predictions = pd.read_parquet(folder / "predictions.parquet")
    with KeptProbes(file) as kept, open_states([folder / "states.h5"]) as states:
        assert kept.layers == states.layers
        assert kept.cell["states"] == states.cell
        assert (kept.cell["task"], kept.cell["classes"], kept.cell["seed"]) == ("drawn", ["c0", "c1", "c2"], 0)
        row_of = dict(zip(states.item_ids, states.row_of_item, strict=True))
        for layer, rows in predictions.groupby("layer"):
            of_items = states.layer("last", layer)[[row_of[item] for item in rows["item_id"]]]
            expected = np.stack(rows["scores"])
            assert kept.layer(layer).margins(of_items) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_a_failed_job_leaves_no_probes(tmp_path):
    with pytest.raises(RuntimeError), probes_file(tmp_path / "kept.h5", ["a"], ["l0"], ["no", "yes"], CELL):
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    (tmp_path / "other.h5").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be read as kept probes"):
        KeptProbes(tmp_path / "other.h5")
    with h5py.File(tmp_path / "states.h5", "w") as file:
        file.attrs["cell"] = json.dumps(CELL)
    with pytest.raises(InputError, match="cannot be read as kept probes"):
        KeptProbes(tmp_path / "states.h5")
