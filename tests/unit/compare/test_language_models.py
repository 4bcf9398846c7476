"""Models against the language models that they were made from: the same items, both their best layers and both tops."""

import numpy as np
import pandas as pd
import pytest

from layerwise.compare.inputs import Model, Task
from layerwise.compare.statistics.language_models import compare_with_language_models
from layerwise.errors import InputError
from layerwise.figures.writing.language_models import sections

L, N = 3, 60
MODELS = {name: Model(name, "hub", "pretrained", L, 8) for name in ("llama", "llava", "other")}
TASKS = {"length": Task("length", "sentences", "local", "binary", ["long"], ["no", "yes"], "accuracy")}
MADE_FROM = {"llava": "llama"}
# Right answers by model and layer.
RIGHT = {"llama": {1: 56, 3: 30}, "llava": {2: 50, 3: 50}, "other": {1: 40, 3: 40}}


def predictions(folder, model, prompt, right):
    """Held-out predictions: the first so many of each layer are right."""
    items = [f"i{i:02}" for i in range(N)]
    y = np.arange(N) % 2
    tables = []
    for layer, hits in right.items():
        margins = np.where(np.arange(N) < hits, 2 * y - 1, 1 - 2 * y).astype(np.float32)
        table = pd.DataFrame(
            {"layer": layer, "label": "long", "split": "test", "item_id": items, "group": items, "y": y}
        )
        tables.append(table.assign(scores=[[margin] for margin in margins]))
    path = folder / model / "length" / f"{prompt}.predictions.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.concat(tables).to_parquet(path)


def best_row(model, prompt):
    best, top = RIGHT[model]
    row = {"model": model, "task": "length", "prompt": prompt, "metric": "accuracy", "label": "long", "n_layers": L}
    row |= {"best_layer": best, "top_layer": top, "n": N, "n_groups": N}
    for name, layer in (("best", best), ("top", top)):
        value = RIGHT[model][layer] / N
        row |= {name: value, f"{name}_low": value - 0.1, f"{name}_high": value + 0.1}
    return row


@pytest.fixture
def best_layers(tmp_path):
    """The table of best layers, and predictions that say the same."""
    # The language model is not asked the prompt with a picture.
    cells = [("llama", "alone"), ("llava", "seen"), ("llava", "alone"), ("other", "alone")]
    for model, prompt in cells:
        predictions(tmp_path, model, prompt, RIGHT[model])
    return pd.DataFrame([best_row(*cell) for cell in cells])


def compared(best_layers, folder, models=MODELS, made_from=MADE_FROM):
    return compare_with_language_models(best_layers, TASKS, models, made_from, folder, 200, 999, 1)


def test_both_best_layers_and_both_tops_are_compared_on_the_same_items(best_layers, tmp_path):
    table = compared(best_layers, tmp_path)
    assert list(zip(table["model"], table["base"], table["prompt"], table["at"], strict=True)) == [
        ("llava", "llama", "alone", "best layer"),
        ("llava", "llama", "alone", "topmost block"),
    ]
    assert list(zip(table["layer"], table["base_layer"], strict=True)) == [(2, 1), (3, 3)]
    np.testing.assert_allclose(table["difference"], [-6 / N, 20 / N])
    np.testing.assert_allclose(table["score"] - table["base_score"], table["difference"])
    assert (table["difference_low"] < table["difference"]).all()
    assert (table["difference"] < table["difference_high"]).all()
    # 20 items change from wrong to right, and none back; 6 the other way round.
    assert table["p_holm"][1] < 0.001 < table["p_holm"][0] < 0.05
    (section,) = sections(table)
    assert list(section.frame["Layers"]) == ["2, 1", "3, 3"]
    assert section.frame["Difference"][0].startswith("−10.0 [")


def test_equal_models_do_not_differ(best_layers, tmp_path):
    predictions(tmp_path, "llava", "alone", RIGHT["llama"])
    rows = best_layers.to_dict("records")
    rows[2] = best_row("llama", "alone") | {"model": "llava"}
    table = compared(pd.DataFrame(rows), tmp_path)
    assert (table[["difference", "difference_low", "difference_high"]] == 0).all(axis=None)
    assert (table["p_value"] == 1).all()


def test_another_depth_or_width_is_refused(best_layers, tmp_path):
    for other in (Model("llama", "hub", "pretrained", L - 1, 8), Model("llama", "hub", "pretrained", L, 16)):
        with pytest.raises(InputError, match=r"models.llava.made_from: llava has 3 blocks of width 8, and llama has "):
            compared(best_layers, tmp_path, MODELS | {"llama": other})


def test_nothing_to_compare_and_other_items_are_refused(best_layers, tmp_path):
    with pytest.raises(InputError, match="no task was asked of a model and of the language model"):
        compared(best_layers[best_layers["prompt"] == "seen"], tmp_path)
    path = tmp_path / "llama/length/alone.predictions.parquet"
    pd.read_parquet(path).query("item_id != 'i07'").to_parquet(path)
    with pytest.raises(InputError, match=r"llava/length/alone.* and .*llama/length/alone.*of different items"):
        compared(best_layers, tmp_path)
    predictions(tmp_path, "llama", "alone", {1: 55, 3: 30})
    with pytest.raises(InputError, match=r"llama/length/alone.*: the predictions of layer 1 give accuracy 0\.9167"):
        compared(best_layers, tmp_path)
