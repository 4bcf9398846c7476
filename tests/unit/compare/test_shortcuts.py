"""The best layer against shortcuts, from real probes: which one it is compared with, and on which items."""

import numpy as np
import pandas as pd
import pytest

from layerwise.compare.inputs import Model, Task
from layerwise.compare.statistics.shortcuts import compare_with_shortcuts, read_shortcuts
from layerwise.errors import InputError
from layerwise.figures.catalogue import TABLES
from layerwise.probes.layer_probes import LayerProbes
from layerwise.probes.logistic.engines.sklearn_logistic import SklearnEngine
from layerwise.probes.problems import make_problems
from layerwise.probes.shortcut_names import FEATURES
from layerwise.probes.shortcuts import ShortcutFeatures, fit_shortcuts
from tests.given import OPTIONS, given

TASKS = {"agree": Task("agree", "pairs", "global", "binary", ["agrees"], ["no", "yes"], "accuracy")}
MODELS = {"m": Model("m", "hub", "pretrained", n_layers=2, width=6)}
PROMPTS = {"agree": {"shown": ["shown"], "text": ["alone", "other"]}}
ROWS = np.arange(120)
SPLIT = np.repeat(["train", "val", "test"], 40)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A task of 40 test images, whose layers know more than words do, and words more than pictures."""
    root = tmp_path_factory.mktemp("probes")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 120)
    labels = pd.DataFrame({"item_id": [f"i{n:03d}" for n in ROWS], "group": [f"g{n:03d}" for n in ROWS]})
    labels = labels.assign(label="agrees", y=y, split=SPLIT)
    problems = make_problems(labels, ["agrees"], 2, list(labels["item_id"]), ROWS)
    engine = SklearnEngine()
    folder = root / "m" / "agree"
    folder.mkdir(parents=True)
    scores = []
    # By prompt how far a layer tells the classes apart.
    for prompt, known in {"shown": (0.1, 1.0, 2.0, 2.0), "alone": (0.1, 0.3, 0.2, 0.2), "other": (0.1,) * 4}.items():
        probes = LayerProbes(problems, engine, [0.1], "accuracy", 100, 0)
        cell = {"model": "m", "task": "agree", "prompt": prompt, "n_layers": 2}
        scores.append(probes.majority().assign(layer=-1, layer_name="majority", **cell))
        predictions = []
        for layer, apart in enumerate(known):
            states = (rng.normal(size=(120, 6)) + apart * y[:, None]).astype(np.float32)
            found = probes.layer(states, str(layer))
            scores.append(found.scores.assign(layer=layer, layer_name=str(layer), **cell))
            predictions.append(found.predictions.assign(layer=layer))
        pd.concat(predictions).to_parquet(folder / f"{prompt}.predictions.parquet")
    texts = [f"a {'no' if rng.random() < 0.3 + 0.4 * one else 'yes'} dog" for one in y]
    pictures = rng.normal(size=(120, 5)).astype(np.float32)
    reached, predictions = fit_shortcuts(
        problems, ShortcutFeatures(texts, pictures, ROWS[:40], 0), engine, [0.1], "accuracy", 100, 0
    )
    predictions.to_parquet(folder / "shortcuts-predictions.parquet")
    return root, pd.concat(scores, ignore_index=True), reached.assign(model="m", task="agree")


def compared(made, tmp_path, reached=None, prompts=PROMPTS):
    root, scores, all_reached = made
    more = {"shortcut-scores": all_reached if reached is None else reached}
    comparisons = ("best-layers", "shortcuts")
    options = OPTIONS | {"shortcuts": prompts}
    return given(
        tmp_path, comparisons, options, scores=scores, tasks=TASKS, models=MODELS, predictions=root,
        **{"shortcut-predictions": root}, **more,
    )  # fmt: skip


def test_the_best_layer_is_compared_with_the_best_shortcut_on_validation(made, tmp_path):
    root, scores, reached = made
    (row,) = compared(made, tmp_path).comparison("shortcuts").to_dict("records")
    assert (row["model"], row["task"], row["prompt"]) == ("m", "agree", "shown")
    own = reached[reached["metric"] == "accuracy"].set_index(["features", "split"])["value"]
    for column, name in zip(("words", "picture", "sum", "product"), FEATURES, strict=True):
        assert row[column] == own[name, "test"]
        assert row[f"{column}_low"] <= row[column] <= row[f"{column}_high"]
    # Of two prompts with the text alone the one that is better on validation, in its best layer.
    of_layers = (
        scores.query("probe == 'logistic' and metric == 'accuracy'")
        .set_index(["prompt", "split", "layer"])
        .sort_index()
    )
    alone = {name: of_layers["value"][name, "val"].loc[:2] for name in ("alone", "other")}
    chosen = max(alone, key=lambda name: alone[name].max())
    layer = alone[chosen].idxmax()
    assert (row["text_prompt"], row["text_layer"]) == (chosen, layer)
    assert row["text"] == of_layers["value"][chosen, "test", layer]
    on_validation = {name: own[name, "val"] for name in FEATURES} | {"text": alone[chosen].max()}
    best = max(on_validation, key=on_validation.get)
    assert row["shortcut"] == dict(zip(FEATURES, ("words", "picture", "sum", "product"), strict=True)).get(best, "text")
    # The difference is that of the same items.
    hits = {}
    for name, place in (("shown.predictions", row["best_layer"]), ("shortcuts-predictions", FEATURES.index(best))):
        rows = pd.read_parquet(root / f"m/agree/{name}.parquet")
        rows = rows[(rows["split"] == "test") & (rows["layer"] == place)].set_index("item_id")
        hits[name] = (rows["pred"] == rows["y"]).astype(float)
    of_layer, of_shortcut = hits.values()
    assert row["difference"] == pytest.approx((of_layer - of_shortcut).mean())
    assert row["shortcut_value"] == pytest.approx(of_shortcut.mean())
    assert 0 < row["difference_low"] < row["difference"] < row["difference_high"]
    assert row["p_value"] < 0.05


def test_without_image_tokens_and_texts_alone_words_are_left(made, tmp_path):
    words = made[2][made[2]["features"] == "words"]
    prompts = {"agree": {"shown": ["shown"], "text": []}}
    found = compared(made, tmp_path, words, prompts)
    (row,) = found.comparison("shortcuts").to_dict("records")
    assert row["shortcut"] == "words"
    assert np.isnan([row[name] for name in ("picture", "sum", "product", "text")]).all()
    assert (row["text_prompt"], row["text_layer"]) == ("", -1)
    (section,), _ = TABLES["table-shortcuts"].write(found, "last")
    cells = section.frame.iloc[0]
    assert list(cells[["Picture", "Words + picture", "Words × picture", "Text alone"]]) == ["–"] * 4
    assert cells["Best shortcut"] == "words"
    assert cells["Best layer - shortcut"].startswith("+")


def test_scores_and_predictions_of_different_runs_are_refused(made, tmp_path):
    root, scores, reached = made
    other = reached.assign(value=reached["value"] - 0.01)
    with pytest.raises(InputError, match=r"shortcuts-predictions.parquet: .* different runs"):
        compared(made, tmp_path, other, {"agree": {"shown": ["shown"], "text": []}})
    best = compared(made, tmp_path).comparison("best-layers")
    with pytest.raises(InputError, match=r"words has no accuracy on validation and test"):
        compare_with_shortcuts(best, scores, reached[reached["split"] == "test"], TASKS, PROMPTS, root, 100, 100, 0)
    with pytest.raises(InputError, match=r"set probes\.shortcuts to false"):
        compare_with_shortcuts(best, scores, reached, TASKS, {}, root, 100, 100, 0)
    (tmp_path / "broken.parquet").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"broken.parquet: cannot be read as scores of shortcuts"):
        read_shortcuts(tmp_path / "broken.parquet")
