"""The program that fits probes at one further position, on states of which some items have none."""

import sys

import numpy as np
import pandas as pd

import fit_task_position
from layerwise.states.store import StatesFile
from layerwise.states.writing import new_states, write_rows
from tests.golden.computed import drawn_cell


def test_items_without_a_state_are_left_out_and_counted(tmp_path, monkeypatch):
    command = drawn_cell(tmp_path, 2, np.random.default_rng(1))
    task, states = tmp_path / "of-2", tmp_path / "at.h5"
    with StatesFile(task / "states.h5") as file:
        values = np.stack([file.layer("last", i) for i in range(len(file.layers))], axis=1)
        described = {"layers": file.layers, "item_ids": file.item_ids, "row_of_item": file.row_of_item}
        cell = file.cell
    # Every fifth item has no such word.
    values[::5] = 0
    with new_states(
        states, positions=["word-red"], rows=240, width=12, dtype="float32", cell=cell, **described
    ) as datasets:
        write_rows(datasets["word-red"], 0, values)
    options = dict(zip(command[::2], command[1::2], strict=False))
    kept = ["--states", str(states), "--cell", "{}", "--stimuli", options["--stimuli"], "--task", str(task)]
    kept += ["--position", "word-red", "--engine", "torch", "--C", "0.01", "1.0", "--resamples", "50", "--seed", "0"]
    kept += ["--threads", "1", "--memory-mb", "4000", "--out", str(tmp_path / "scores.parquet")]
    monkeypatch.setattr(sys, "argv", ["fit_task_position.py", *kept])
    fit_task_position.main()
    scores = pd.read_parquet(tmp_path / "scores.parquet")
    assert (scores["lacking"] == 48).all()
    assert (scores["position"] == "word-red").all()
    assert (scores["n_layers"] == 2).all()
    test = scores[scores["split"] == "test"].set_index("layer")
    # 72 test items from the 168th on, of which every fifth is missing.
    assert (test["n"] == 72 - 14).all()
    labels = pd.read_parquet(task / "labels.parquet")
    left = labels[(labels["split"] == "test") & (labels.index % 5 != 0)]
    majority = labels[(labels["split"] == "train") & (labels.index % 5 != 0)]["y"].mode()[0]
    assert np.allclose(test["chance"], (left["y"] == majority).mean())
    # The classes lie further apart from layer to layer.
    assert test.loc[3, "value"] > test.loc[0, "value"] + 0.1
