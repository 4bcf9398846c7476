"""A concept fitted by the program on planted states, block by block."""

import json
import shutil
import sys

import h5py
import numpy as np
import pandas as pd
import pytest
from benchmarks import carried as planted
from sklearn.metrics import roc_auc_score

from layerwise.errors import InputError
from layerwise.models.interventions.concept_file import ConceptFile
from layerwise.probes.kept import KeptProbes
from layerwise.probes.metrics import roc_auc
from layerwise.states.store import StatesFile
from layerwise.used.concepts import remaining
from layerwise.used.concepts.fitting import by_split
from layerwise.used.concepts.labelled import Labelled
from tests.cells import run_here
from tests.conftest import REPOSITORY

DRAWS = 4


def concept_command(folder, prompt, **other):
    options = {"states": folder / f"states/{prompt}.h5", "cell": "{}", "stimuli": folder / "stimuli"}
    options |= {"model": folder / "model.json", "task": folder / "task", "position": "last", "draws": DRAWS, "seed": 0}
    options |= {"probes": folder / f"probes/planted/planted/{prompt}.probes.h5", "threads": 1, "memory_mb": 4000}
    options |= {"work": folder / "work", "out": folder / f"{prompt}.concept.safetensors"} | other
    command = [sys.executable, REPOSITORY / "scripts/fit_concept.py"]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", value]
    return list(map(str, command))


@pytest.fixture(scope="module")
def patched():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def study(tmp_path_factory, patched):
    """A planted study whose probes are kept, and its concepts are fitted."""
    folder = tmp_path_factory.mktemp("planted")
    planted.plant(folder, seed=0)
    for prompt in ("plain", "turned"):
        run_here(planted.fit_command(folder, prompt, "sklearn"), patched)
        run_here(concept_command(folder, prompt), patched)
    return folder


def rows_of(folder, prompt, layer, split):
    labels = pd.read_parquet(folder / "task/labels.parquet")
    with StatesFile(folder / f"states/{prompt}.h5") as file:
        return (
            file.layer("last", layer)[labels["split"] == split],
            labels.loc[labels["split"] == split, "y"].to_numpy(),
        )


def test_the_file_has_what_was_fitted_on_the_training_rows_of_each_block(study):
    file = ConceptFile(study / "plain.concept.safetensors", {"model_digest": "planted", "position": "last"})
    assert (file.blocks, file.classes, file.draws) == ([1, 2], ["no", "yes"], DRAWS)
    assert file.cell["task"] == "planted"
    assert file.told["rows"] == planted.SPLITS
    with KeptProbes(study / "probes/planted/planted/plain.probes.h5") as kept:
        assert file.cell["labels_digest"] == kept.cell["labels_digest"]
        for block in file.blocks:
            concept, (states, y) = file.block(block), rows_of(study, "plain", block, "train")
            exact = states.astype(np.float64)
            assert concept.mean == pytest.approx(exact.mean(axis=0), abs=1e-6)
            (weights,) = kept.layer(block).weights[0]
            apart = exact[y == 1].mean(axis=0) - exact[y == 0].mean(axis=0)
            for name, direction in (("probe", weights), ("means", apart)):
                found = concept.steer[name]
                assert found.direction[0] == pytest.approx(direction / np.linalg.norm(direction), abs=1e-6)
                assert found.deviation[0] == pytest.approx((exact @ found.direction[0]).std(), rel=1e-5)
            assert np.linalg.norm(concept.control_steer, axis=1) == pytest.approx(np.ones(DRAWS))
            assert np.abs(np.corrcoef(concept.erased().of(states).T, y)[-1, :-1]).max() < 1e-5


def test_controls_of_a_block_are_not_those_of_another(study):
    file = ConceptFile(study / "plain.concept.safetensors")
    first, second = (file.block(block) for block in (1, 2))
    directions = np.concatenate([first.control_steer, second.control_steer])
    assert np.abs(directions @ directions.T - np.eye(2 * DRAWS)).max() < 0.9


def test_the_held_out_scores_are_those_of_probes_on_erased_rows(study):
    told = ConceptFile(study / "plain.concept.safetensors").told["held_out"]
    assert told["metric"] == "roc_auc"
    assert told["rows"] == planted.SPLITS
    predictions = pd.read_parquet(study / "probes/planted/planted/plain.predictions.parquet")
    for place, block in enumerate((1, 2)):
        test = predictions[(predictions["split"] == "test") & (predictions["layer"] == block)]
        before = roc_auc_score(test["y"], np.stack(test["scores"])[:, 0])
        assert told["before"][place] == pytest.approx(before, abs=1e-4)
        assert before > 0.9
        assert told["train"][place] == pytest.approx(0.5, abs=1e-3)
        assert told["test"][place] == pytest.approx(0.5, abs=1e-3)
        assert told["fresh"][place] < 0.75


def test_wide_layers_are_probed_on_fewer_rows(study, monkeypatch, tmp_path):
    """But on all training rows or none: in a part of them there is a concept left."""
    monkeypatch.setattr(remaining, "MOST_NUMBERS", 80 * planted.WIDTH)
    run_here(concept_command(study, "plain", out=tmp_path / "a.safetensors"), monkeypatch)
    told = ConceptFile(tmp_path / "a.safetensors").told
    assert told["held_out"]["rows"] == {"val": 80, "test": 80}
    assert told["held_out"]["train"] == told["held_out"]["test"] == [None, None]
    assert all(0.3 < value < 0.8 for value in told["held_out"]["fresh"])
    assert told["rows"] == planted.SPLITS


def test_margins_that_differ_by_rounding_rank_nothing():
    y = np.arange(100) % 2
    for size, wanted in ((1e-5, 0.5), (0.1, 1.0)):
        assert remaining.score(y, -0.3 + size * y[:, None], 2, roc_auc.METRIC) == wanted


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("position", "mean"),
        ("model_digest", "other"),
        ("labels_digest", "other"),
        ("states", {"model_digest": "planted", "prompt_entry": {"text": "Another?"}}),
        ("layers", ["embeddings", "block 1", "final norm"]),
    ],
)
def test_probes_of_another_cell_are_refused(study, monkeypatch, key, value):
    wrong = study / "wrong.probes.h5"
    shutil.copy(study / "probes/planted/planted/plain.probes.h5", wrong)
    with h5py.File(wrong, "a") as file:
        if key == "layers":
            file.attrs[key] = value
        else:
            file.attrs["cell"] = json.dumps(json.loads(file.attrs["cell"]) | {key: value})
    why = "they have other layers" if key == "layers" else f"{key} differs"
    with pytest.raises(InputError, match=rf"wrong.probes.h5: these probes .* another cell \({why}\); delete it"):
        run_here(concept_command(study, "plain", probes=wrong, out=study / "no.safetensors"), monkeypatch)
    assert not (study / "no.safetensors").exists()


def test_states_of_another_model_are_refused(study, monkeypatch):
    (study / "other.json").write_text(json.dumps({"digest": "other"}))
    with pytest.raises(InputError, match="these states are of another cell"):
        run_here(concept_command(study, "plain", model=study / "other.json"), monkeypatch)


def test_labels_of_one_prompt_are_one_concept(tmp_path, monkeypatch):
    """Each label's probe has a weight vector; the direction is their mean, and all rows count."""
    planted.plant(tmp_path, 1, labels=("dog", "cat"))
    run_here(planted.fit_command(tmp_path, "plain", "sklearn"), monkeypatch)
    run_here(concept_command(tmp_path, "plain"), monkeypatch)
    file = ConceptFile(tmp_path / "plain.concept.safetensors")
    assert file.told["rows"] == {split: 2 * n for split, n in planted.SPLITS.items()}
    states, y = rows_of(tmp_path, "plain", 1, "train")
    with KeptProbes(tmp_path / "probes/planted/planted/plain.probes.h5") as kept:
        mean = kept.layer(1).weights.mean(axis=0)
    assert file.block(1).steer["probe"].direction == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    assert np.abs(np.corrcoef(file.block(1).erased().of(states).T, y)[-1, :-1]).max() < 1e-5
    # One probe for each label: the labels lie elsewhere along the direction.
    assert min(file.told["held_out"]["before"]) > 0.75


def task(n=6, **other):
    labels = {"item_id": [f"i{k}" for k in range(n)], "label": "colour", "y": np.arange(n) % 3, "split": "train"}
    return {"task": "shades", "classes": ["red", "green", "blue"]}, pd.DataFrame(labels | other)


def labelled(made, rows=None):
    description, labels = made
    return Labelled.of(description, labels, [f"i{k}" for k in range(6)], np.arange(6) if rows is None else rows)


def test_tasks_without_one_class_for_each_state_are_refused():
    assert by_split(labelled(task())).y["train"].tolist() == [0, 1, 2, 0, 1, 2]
    # Two inputs that are the same count once, if their class is the same.
    assert len(labelled(task(), np.array([0, 1, 2, 0, 4, 5])).table) == 5
    description, labels = task()
    for wrong, rows, message in (
        ((description | {"classes": []}, labels), None, r"tasks.shades: asks for numbers, and only classes"),
        (task(n=7), None, "tasks.shades: item 'i6' is not in the states file"),
        (task(y=[0, 1, 0, 1, 0, 1]), None, "tasks.shades: no training item of class 'blue'"),
        (
            task(),
            np.array([0, 1, 2, 0, 0, 5]),
            r"several labels or classes \(of item 'i0': colour: red, colour: red, col",
        ),
        (task(label=["a", "b"] * 3), np.array([0, 1, 2, 0, 4, 5]), r"\(of item 'i0': a: red, b: red\); only a prompt"),
    ):
        with pytest.raises(InputError, match=message):
            labelled(wrong, rows)


def test_more_classes_have_a_direction_toward_each(tmp_path, monkeypatch):
    planted.plant(tmp_path, 2)
    labels = pd.read_parquet(tmp_path / "task/labels.parquet")
    labels["y"] = np.arange(len(labels)) % 3
    labels.to_parquet(tmp_path / "task/labels.parquet")
    described = json.loads((tmp_path / "task/task.json").read_text())
    described |= {"kind": "multiclass", "classes": ["no", "maybe", "yes"]}
    (tmp_path / "task/task.json").write_text(json.dumps(described))
    run_here(planted.fit_command(tmp_path, "plain", "sklearn"), monkeypatch)
    run_here(concept_command(tmp_path, "plain"), monkeypatch)
    file, (states, y) = ConceptFile(tmp_path / "plain.concept.safetensors"), rows_of(tmp_path, "plain", 2, "train")
    concept, exact = file.block(2), states.astype(np.float64)
    assert concept.erase[0].shape == (2, planted.WIDTH)
    for k in range(3):
        apart = exact[y == k].mean(axis=0) - exact.mean(axis=0)
        assert concept.steer["means"].direction[k] == pytest.approx(apart / np.linalg.norm(apart), abs=1e-5)
        assert concept.steer["probe"].direction[k] @ apart > 0
    assert file.told["held_out"]["metric"] == "balanced_accuracy"
    assert file.told["held_out"]["train"] == pytest.approx([1 / 3, 1 / 3], abs=1e-3)


def test_states_that_are_not_finite_are_refused(study, monkeypatch):
    def broken(self, position, layer, out=None):
        out = original(self, position, layer, out)
        out[5, 3] = np.inf
        return out

    original = StatesFile.layer
    monkeypatch.setattr(StatesFile, "layer", broken)
    with pytest.raises(InputError, match="block 1: a state is not a finite number"):
        run_here(concept_command(study, "plain", out=study / "no.safetensors"), monkeypatch)
