"""From finished states to the tables: the program, its files, and the comparisons of two models and a twin."""

import json
import sys

import numpy as np
import pandas as pd
import pytest

import measure_likeness
from layerwise.compare.catalogue import COMPARISONS
from layerwise.compare.inputs import Given
from layerwise.errors import InputError
from layerwise.figures.catalogue import FIGURES
from layerwise.figures.drawing.style import figure_style, save_figure
from layerwise.likeness.grams import read_grams
from layerwise.likeness.table import read_measures
from layerwise.states.chosen_rows import read_rows
from layerwise.states.shards import open_states
from layerwise.states.writing import new_states, write_rows
from layerwise.stimuli.items import items_digest

ITEMS, ROWS, WIDTH = 400, 300, 24
LAYERS = ["embeddings", "block 1", "block 2", "final norm"]
# The last items read the same as the first.
ROW_OF_ITEM = np.arange(ITEMS) % ROWS
MODELS = {"a": "pretrained", "a-untrained": "random", "a-again": "random", "b": "pretrained"}
OPTIONS = {
    "likeness": ["a,a-untrained,a-again,b/seen/plain"],
    "position": "last",
    "twins": {"a": ["a-untrained", "a-again"]},
    "draws": {"a-untrained": "untrained", "a-again": "untrained"},
}


def write_cell(file, model, states, dtype="float32", items=None, shard=None):
    """States of some items, shape (rows, layers, width)."""
    items = np.arange(ITEMS) if items is None else items
    rows, row_of_item = np.unique(ROW_OF_ITEM[items], return_inverse=True)
    stimuli = json.loads((file.parent / "stimuli.json").read_text())
    cell = {"prompt_entry": {"text": "{text}"}, "model_digest": model, "stimuli_digest": stimuli["digest"]}
    with new_states(
        file,
        positions=["image-mean", "last"],
        layers=LAYERS,
        rows=len(rows),
        width=WIDTH,
        dtype=dtype,
        item_ids=[f"i{item}" for item in items],
        row_of_item=row_of_item,
        cell=cell | ({"shard": shard} if shard else {}),
        places=items if shard else None,
    ) as datasets:
        write_rows(datasets["last"], 0, states[rows])
        write_rows(datasets["image-mean"], 0, states[rows] + 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four cells of the same items: a model, two draws of its twin, and a model whose states are those of the first,
    turned. Every second item shows the picture of the one before it."""
    folder = tmp_path_factory.mktemp("study")
    rows = {"item_id": [f"i{i}" for i in range(ITEMS)], "image": "", "text": "", "category": None}
    items = pd.DataFrame(rows).assign(image_sha256=[f"{row // 2}" for row in ROW_OF_ITEM])
    items.to_parquet(folder / "items.parquet")
    (folder / "stimuli.json").write_text(json.dumps({"digest": items_digest(items, []), "categories": []}))
    random = np.random.default_rng(0)
    drawn = {model: random.normal(size=(ROWS, len(LAYERS), WIDTH)).astype(np.float32) for model in MODELS}
    # The same embedding for all.
    for states in drawn.values():
        states[:, 0] = states[0, 0]
    # Each block of a keeps half of what is below it.
    drawn["a"][:, 2] += drawn["a"][:, 1]
    turn = np.linalg.qr(random.normal(size=(WIDTH, WIDTH)))[0].astype(np.float32)
    drawn["b"][:, 1:] = 2 * drawn["a"][:, 1:] @ turn
    np.save(folder / "a.npy", drawn["a"])
    for model, states in drawn.items():
        described = {"model": model, "source": "", "weights": MODELS[model], "n_layers": 2, "width": WIDTH}
        (folder / f"{model}.json").write_text(json.dumps(described | {"digest": model}))
        write_cell(folder / f"{model}.h5", model, states)
        measure(folder, model, [folder / f"{model}.h5"], folder / "likeness")
    return folder


def measure(folder, model, files, out, n_items="100"):
    stem = out / model / "seen" / "plain"
    command = ["", "--states", *files, "--cell", json.dumps({"prompt_entry": {"text": "{text}"}})]
    command += ["--model", folder / f"{model}.json", "--stimuli", folder, "--items", n_items, "--seed", "0"]
    command += ["--threads", "1", "--measures", f"{stem}.parquet", "--grams", f"{stem}.grams.safetensors"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", list(map(str, command)))
        measure_likeness.main()
    return read_measures(f"{stem}.parquet"), read_grams(f"{stem}.grams.safetensors")


@pytest.fixture(scope="module")
def given(folder):
    files = {"likeness": [folder / "likeness"], "models": [folder / f"{model}.json" for model in MODELS]}
    for name in ("layer-measures", "layer-likeness"):
        files[name] = [folder / f"{name}.parquet"]
        table = COMPARISONS[name].compute(Given(files), OPTIONS)[list(COMPARISONS[name].columns)]
        table.to_parquet(files[name][0], index=False)
    return Given(files)


def test_measures_are_of_the_items_that_were_drawn(folder):
    grams = read_grams(folder / "likeness/a/seen/plain.grams.safetensors")
    places = [int(item[1:]) for item in grams.item_ids]
    # Two rows to a picture, and 150 pictures.
    assert len(places) == 100 == len({ROW_OF_ITEM[place] // 2 for place in places})
    states = np.load(folder / "a.npy")[ROW_OF_ITEM[places]].astype(np.float64)
    table = read_measures(folder / "likeness/a/seen/plain.parquet")
    norms = table[(table["measure"] == "norm") & (table["position"] == "last")]
    assert norms["layer_name"].tolist() == LAYERS
    assert norms["n_layers"].unique() == [2]
    np.testing.assert_allclose(norms["value"], np.linalg.norm(states, axis=2).mean(axis=0))
    beside = table[(table["measure"] == "norm") & (table["position"] == "image-mean")]
    np.testing.assert_allclose(beside["value"], np.linalg.norm(states + 1, axis=2).mean(axis=0))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_shards_and_16_bits_give_the_same_items_and_states(folder, tmp_path, dtype):
    states = np.load(folder / "a.npy")
    for name in ("items.parquet", "stimuli.json", "a.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    parts = [np.flatnonzero(ROW_OF_ITEM < 130), np.flatnonzero(ROW_OF_ITEM >= 130)]
    files = [tmp_path / f"{i}.h5" for i in (1, 2)]
    for i, (file, part) in enumerate(zip(files, parts, strict=True), 1):
        write_cell(file, "a", states, dtype, part, [i, 2])
    with open_states(files) as sharded:
        rows = np.array([0, 127, 128, 129, 130, 257, 258, 299])
        wanted = np.stack([sharded.layer("last", layer)[rows] for layer in range(4)])
        np.testing.assert_array_equal([read_rows(sharded, "last", layer, rows) for layer in range(4)], wanted)
    table, grams = measure(tmp_path, "a", files, tmp_path)
    whole = read_grams(folder / "likeness/a/seen/plain.grams.safetensors")
    # The same pictures by the same draw, whatever the order of rows within shards.
    assert set(grams.item_ids) == set(whole.item_ids)
    usual = read_measures(folder / "likeness/a/seen/plain.parquet")
    np.testing.assert_allclose(table["value"], usual["value"], rtol=1e-9 if dtype == "float32" else 0.02, atol=0.01)


def test_a_damaged_file_and_another_cell_are_refused(folder, tmp_path):
    with pytest.raises(InputError, match="these states are of another cell"):
        measure(folder, "b", [folder / "a.h5"], tmp_path)
    damaged = bytearray((folder / "a.h5").read_bytes())
    damaged[len(damaged) // 2 : len(damaged) // 2 + 2000] = bytes(2000)
    (tmp_path / "damaged.h5").write_bytes(damaged)
    with pytest.raises(InputError, match="damaged"):
        measure(folder, "a", [tmp_path / "damaged.h5"], tmp_path, "150")
    (tmp_path / "no.safetensors").write_bytes(b"no such file")
    with pytest.raises(InputError, match="cannot be read as products of items"):
        read_grams(tmp_path / "no.safetensors")
    with pytest.raises(InputError, match="cannot be read as measures of layers"):
        read_measures(folder / "items.parquet")


def test_models_are_compared_with_themselves_with_their_twins_and_with_each_other(given):
    table = given.comparison("layer-likeness")
    pairs = table[["model", "other", "kind", "draw"]].drop_duplicates().to_numpy().tolist()
    assert sorted(pairs) == [
        ["a", "a", "itself", False],
        ["a", "a-again", "twin", True],
        ["a", "a-untrained", "twin", False],
        ["a", "b", "model", False],
        ["a-again", "a-again", "itself", True],
        ["a-untrained", "a-untrained", "itself", False],
        ["b", "b", "itself", False],
    ]
    assert table["position"].unique().tolist() == ["last", "image-mean"]
    assert (table["n"] == 100).all()
    at = ["model", "other", "scaling", "position", "layer", "other_layer"]
    value = table.set_index(at).sort_index()[["low", "value", "high"]]
    np.testing.assert_allclose(value.loc[("a", "b", "as they are", "last", 2, 2)], 1, atol=1e-6)
    low, _, high = value.loc[("a", "a", "as they are", "last", 1, 2)]
    # Of a layer of variance 1 and the same plus another of variance 1.
    assert 0.3 < low < 0.5 < high
    low, _, high = value.loc[("a", "a-untrained", "standardised", "last", 2, 2)]
    assert low < 0 < high
    assert value.loc[("a", "b", "as they are", "last", 0, 1)].isna().all()


def test_measures_of_all_models_stand_together(given):
    table = given.comparison("layer-measures")
    assert table.drop_duplicates(["position", "model"])[
        ["position", "model", "draw_of", "weights"]
    ].to_numpy().tolist() == [
        [position, model, "untrained" if model.startswith("a-") else "", weights]
        for position in ("last", "image-mean")
        for model, weights in MODELS.items()
    ]


def test_files_of_different_items_are_not_compared(folder, tmp_path):
    for model in ("a", "b"):
        measure(folder, model, [folder / f"{model}.h5"], tmp_path, "50" if model == "a" else "60")
    options = OPTIONS | {"likeness": ["a,b/seen/plain"]}
    with pytest.raises(InputError, match=r"a/seen/plain\.grams.* and .*b/seen/plain.* are of different items"):
        COMPARISONS["layer-likeness"].compute(Given({"likeness": [tmp_path]}), options)


def test_the_figure_has_a_line_for_each_model_and_a_map_for_each_pair(given, tmp_path):
    with figure_style():
        drawing = FIGURES["likeness"].draw(given, "seen")
    lines = {line.get_label() for axes in drawing.axes for line in axes.get_lines()}
    # Of two draws of a twin the first.
    assert {"a", "a-untrained", "b"} <= lines
    assert "a-again" not in lines
    maps = {axes.get_title().replace("\n", " "): axes.images[0].get_array() for axes in drawing.axes if axes.images}
    assert set(maps) == {"a, itself", "a-untrained, itself", "b, itself", "a and a-untrained", "a and b"}
    likeness = given.comparison("layer-likeness")
    at = {"model": "a", "other": "b", "scaling": "standardised", "position": "last", "layer": 2, "other_layer": 1}
    (value,) = likeness.loc[(likeness[list(at)] == pd.Series(at)).all(axis=1), "value"]
    # Rows are layers of the first model. The final norm is no layer of the stack.
    assert maps["a and b"].shape == (3, 3)
    assert maps["a and b"][2, 1] == pytest.approx(value)
    save_figure(drawing, tmp_path / "likeness.png")
    with pytest.raises(InputError, match="no layer was measured over other"):
        FIGURES["likeness"].draw(given, "other")
