"""Figures of sites and interventions, read back from the drawing."""

import shutil
import tempfile
from itertools import product

import numpy as np
import pandas as pd
import pytest

from layerwise.compare.catalogue import COMPARISONS
from layerwise.compare.inputs import Model, Task, as_they_are, read_sites
from layerwise.compare.intervened import in_words
from layerwise.compare.statistics.effects import compare_interventions
from layerwise.errors import InputError
from layerwise.figures.catalogue import FIGURES
from layerwise.figures.drawing import style
from layerwise.figures.writing.interventions import effect_sections
from layerwise.figures.writing.overview import overview_sections
from tests.given import given

L, HEADS = 3, 2
MEAN = "image tokens averaged from block 2 on"


def model(name, intervention=None, base=None):
    return Model(name, "hub", "pretrained", L, 8, digest=f"digest of {name}", intervention=intervention, base=base)


def made(name, **intervention):
    return model(name, intervention, "digest of base")


MODELS = {
    each.model: each
    for each in (
        model("base"),
        model("other"),
        made("cut", **{"cut-image": {"blocks": "upper"}}),
        made("mean", **{"ablate-image": {"from": 2, "with": "mean"}}),
        made("b1", bypass={"from": 1, "scale": 1.0}),
        made("b2", bypass={"from": 2, "scale": 1.0}),
        made("b1-strong", bypass={"from": 1, "scale": 4.0}),
    )
}
TASKS = {"agree": Task("agree", "pairs", "global", "binary", ["agrees"], ["no", "yes"], "accuracy")}
PROMPTS = [
    {"stimuli": "pairs", "prompt": "asked", "text": "Is it? {text}"},
    {"stimuli": "pairs", "prompt": "blind", "text": "Is it? {text}", "image": "none"},
    {"stimuli": "pairs", "prompt": "raw", "text": "{text}", "image": "shown"},
]
NAMES = ["asked", "blind", "raw"]


def value(name, prompt, layer):
    return 0.5 + 0.05 * list(MODELS).index(name) + 0.01 * NAMES.index(prompt) + 0.001 * layer


@pytest.fixture
def scores():
    rows = []
    for name, split in product(MODELS, ("val", "test")):
        # Models with an intervention are asked one prompt only.
        for prompt in NAMES if MODELS[name].intervention is None else NAMES[:1]:
            cell = {"model": name, "task": "agree", "prompt": prompt, "n_layers": L, "label": "agrees", "split": split}
            cell |= {"metric": "accuracy", "n": 40, "n_groups": 20}
            rows.append(cell | {"probe": "majority", "layer": -1, "value": 0.5, "low": 0.5, "high": 0.5})
            for layer in range(L + 2):
                v = value(name, prompt, layer) + (split == "val")
                rows.append(cell | {"probe": "logistic", "layer": layer, "value": v, "low": v - 0.02, "high": v + 0.03})
    return pd.DataFrame(rows).assign(layer_name="")


@pytest.fixture
def sites():
    rows = []
    for prompt, split, layer in product(("asked", "raw"), ("val", "test"), range(1, L + 1)):
        cell = {"model": "base", "task": "agree", "prompt": prompt, "n_layers": L, "label": "agrees", "split": split}
        for site, head in (("attention", 0), ("mlp", 0), ("heads", 1), ("heads", 2)):
            # Head 1 is best on validation, head 2 on the test.
            v = 0.6 + 0.01 * layer + 0.1 * (head == (1 if split == "val" else 2)) + 0.001 * len(site)
            found = {"value": v, "low": v - 0.02, "high": v + 0.03, "chance": 0.5}
            found["p_value"] = 0.001 if (layer, head) == (2, 1) else 0.03
            rows.append(cell | {"metric": "accuracy", "site": site, "layer": layer, "head": head} | found)
    return pd.DataFrame(rows).assign(n_groups=40)


def drawn(figure, models=MODELS, **tables):
    """A figure of the catalogue, from the comparisons that are made of scores and sites."""
    comparisons = [name for name in FIGURES[figure].reads if name in COMPARISONS]
    with tempfile.TemporaryDirectory() as folder, style.figure_style():
        made = given(folder, comparisons, tasks=TASKS, models=models, prompts=PROMPTS, **tables)
        drawing = FIGURES[figure].draw(made, "")
        drawing.draw_without_rendering()
    return drawing


def line(axes, label):
    (found,) = [each for each in axes.get_lines() if each.get_label() == label]
    return found


def facets(figure):
    return {axes.get_title(): axes for axes in figure.axes if axes.get_title()}


def test_ablation_puts_every_hidden_image_beside_the_model_as_it_is(scores):
    figure = drawn("image-ablation", scores=scores)
    # No facet for a prompt that no changed model was asked, nor for a model of which nothing was made.
    assert list(facets(figure)) == ["agree: asked"]
    axes = facets(figure)["agree: asked"]
    expected = {
        "as it is": ("base", "asked"),
        "image cut in upper blocks": ("cut", "asked"),
        "image tokens averaged from block 2 on": ("mean", "asked"),
        "text only": ("base", "blind"),
    }
    for label, (name, prompt) in expected.items():
        np.testing.assert_allclose(line(axes, label).get_ydata(), [value(name, prompt, k) for k in range(L + 1)])
    assert line(axes, "text only").is_dashed()
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [*expected, "95 % interval", "majority baseline"]


def test_bypass_puts_the_changed_top_above_the_block_that_was_routed(scores):
    axes = facets(drawn("bypass", scores=scores))["agree: asked"]
    np.testing.assert_allclose(line(axes, "as it is").get_ydata(), [value("base", "asked", k) for k in range(L + 1)])
    bars = {
        bar.get_label(): bar.lines[0].get_xydata() for bar in axes.containers if not bar.get_label().startswith("_")
    }
    one, four = (f"{scale} × the block, added to the last block" for scale in (1, 4))
    assert list(bars) == [one, four]
    np.testing.assert_allclose(bars[one][:, 0], [1, 2], atol=0.1)
    np.testing.assert_allclose(bars[one][:, 1], [value(name, "asked", L) for name in ("b1", "b2")])
    np.testing.assert_allclose(bars[four][:, 1], [value("b1-strong", "asked", L)])
    # The facet shows the changed blocks; the line of the model as it is may come from below.
    assert value("base", "asked", L) - 0.02 > axes.get_ylim()[0] > 0.4


def test_what_is_erased_or_steered_is_beside_the_model_as_it_is(scores):
    concept = {"task": "agree", "prompt": "asked", "block": 2, "at": "last"}
    models = {
        "base": MODELS["base"],
        "cut": made("cut", erase=concept),
        "mean": made("mean", steer=concept | {"at": "text", "along": "means", "strength": -2}),
    }
    figure = drawn("erased", models, scores=scores[scores["model"].isin(models)])
    axes = facets(figure)["agree: asked"]
    expected = {
        "as it is": "base",
        "agree/asked erased at block 2 (last token)": "cut",
        "agree/asked steered by -2 SD at block 2 (text tokens)": "mean",
    }
    for label, name in expected.items():
        np.testing.assert_allclose(line(axes, label).get_ydata(), [value(name, "asked", k) for k in range(L + 1)])
    # No line of the model without an image, though the study has such a prompt.
    legend = [text.get_text().replace("\n", " ") for text in figure.legends[0].get_texts()]
    assert legend == [*expected, "95 % interval", "majority baseline"]


@pytest.mark.parametrize("figure", ["image-ablation", "bypass", "erased"])
def test_interventions_need_their_base_model(scores, figure):
    with pytest.raises(InputError, match="no model has an intervention of the kinds"):
        drawn(figure, {"base": MODELS["base"]}, scores=scores)
    changed = {name: each for name, each in MODELS.items() if name != "base"}
    changed["erased"] = made("erased", erase={"task": "agree", "prompt": "asked", "block": 2, "at": "last"})
    with pytest.raises(InputError, match="has an intervention, but the same model without it is not in the study"):
        drawn(figure, changed, scores=scores)


def test_other_figures_and_tables_are_of_models_as_they_are(scores):
    kept, models = as_they_are(scores, MODELS)
    assert set(kept["model"]) == set(models) == {"base", "other"}
    (section,) = [
        section for section in overview_sections(scores, TASKS, MODELS, PROMPTS, "last") if section.title == "Models"
    ]
    said = dict(zip(section.frame["Model"], section.frame["Intervention"], strict=True))
    assert said["base"] == ""
    assert said["b1-strong"] == "block 1 × 4 added to the last block"
    (section,) = [
        section for section in overview_sections(scores, TASKS, models, PROMPTS, "last") if section.title == "Models"
    ]
    assert "Intervention" not in section.frame


@pytest.mark.parametrize(
    ("intervention", "words"),
    [
        ({"bypass": {"from": 1, "into": 2, "scale": 0.5}}, "block 1 × 0.5 added to block 2"),
        ({"ablate-image": {"from": 4, "with": "zero"}}, "image tokens zero from block 4 on"),
        ({"cut-image": {"blocks": [2, 3]}}, "image cut in blocks 2-3"),
    ],
)
def test_interventions_in_words(intervention, words):
    assert in_words(intervention) == words


def test_sites_are_lines_and_the_head_is_the_one_of_validation(scores, sites):
    figure = drawn("sites-by-layer", scores=scores, sites=sites)
    assert list(facets(figure)) == ["agree: asked", "agree: raw"]
    axes = facets(figure)["agree: raw"]
    np.testing.assert_allclose(line(axes, "block").get_ydata(), [value("base", "raw", k) for k in range(L + 1)])
    np.testing.assert_allclose(line(axes, "mlp").get_xdata(), [1, 2, 3])
    np.testing.assert_allclose(line(axes, "mlp").get_ydata(), [0.6 + 0.01 * k + 0.003 for k in (1, 2, 3)])
    np.testing.assert_allclose(line(axes, "heads").get_ydata(), [0.6 + 0.01 * k + 0.005 for k in (1, 2, 3)])


def test_a_map_of_heads_has_blocks_upwards_and_marks_those_at_chance(sites):
    axes = facets(drawn("head-map", sites=sites))["agree: asked"]
    (image,) = axes.images
    values = np.asarray(image.get_array())
    assert values.shape == (L, HEADS)
    assert image.origin == "lower"
    np.testing.assert_allclose(values, [[0.23, 0.43], [0.25, 0.45], [0.27, 0.47]])
    # From chance to 1: 0.615 is 23 % of the way from 0.5.
    assert (image.norm.vmin, image.norm.vmax) == (0, 1)
    said = {text.get_position(): text.get_text() for text in axes.texts}
    # After Holm's correction over six heads, 0.03 is above 5 %.
    assert said[1, 2] == "62"
    assert said[2, 2] == "72 ×"
    assert sum("×" in text for text in said.values()) == L * HEADS - 1


@pytest.mark.parametrize("p_value", [0.001, 0.03, 0.06])
def test_heads_are_above_chance_after_holms_correction_and_with_images_enough(sites, tmp_path, p_value):
    sites.loc[sites["prompt"] == "raw", "p_value"] = p_value
    made = given(tmp_path, ["within-blocks"], sites=sites, tasks=TASKS).comparison("within-blocks")
    heads = made[made["site"] == "heads"].set_index(["prompt", "layer", "head"])["above_chance"]
    # Six heads a map: 0.001 stays below 5 %, 0.03 does not. The other map's heads do not count.
    assert heads["raw"].tolist() == [p_value == 0.001] * 6
    assert heads["asked"].sum() == 1
    few = given(tmp_path, ["within-blocks"], sites=sites.assign(n_groups=29), tasks=TASKS).comparison("within-blocks")
    assert not few["above_chance"].any()
    assert made.groupby(["prompt", "layer"])["best"].sum().eq(1).all()
    assert set(made.loc[made["best"], "head"]) == {1}


def test_sites_without_heads_or_a_column_are_refused(sites, tmp_path):
    with pytest.raises(InputError, match="no head was probed"):
        drawn("head-map", sites=sites[sites["site"] != "heads"])
    sites.drop(columns="p_value").to_parquet(tmp_path / "sites.parquet")
    with pytest.raises(InputError, match=r"sites\.parquet: lacks the columns p_value"):
        read_sites(tmp_path / "sites.parquet")


def predictions(folder, name, right):
    """Held-out predictions of the topmost block, of which the first so many are right."""
    items = [f"i{i:02}" for i in range(40)]
    y = np.arange(40) % 2
    margins = np.where(np.arange(40) < right, 2 * y - 1, 1 - 2 * y).astype(np.float32)
    table = pd.DataFrame({"layer": L, "label": "agrees", "split": "test", "item_id": items, "group": items, "y": y})
    path = folder / name / "agree/asked.predictions.parquet"
    path.parent.mkdir(parents=True)
    table.assign(scores=[[m] for m in margins]).to_parquet(path)


RIGHT = {"base": 30, "cut": 20, "mean": 30, "b1": 31, "b2": 40, "b1-strong": 30}


@pytest.fixture
def predicted_scores(scores, tmp_path):
    """Predictions of the topmost blocks in a folder, and scores that say the same."""
    for name, right in RIGHT.items():
        predictions(tmp_path, name, right)
        top = (scores["model"] == name) & (scores["prompt"] == "asked") & (scores["layer"] == L)
        scores.loc[top, "value"] = right / 40
    return scores


def test_table_3_compares_the_topmost_blocks_on_the_same_items(predicted_scores, tmp_path):
    table = compare_interventions(predicted_scores, TASKS, MODELS, tmp_path, 200, 999, 1).set_index("model")
    assert list(table.index) == ["cut", "mean", "b1", "b2", "b1-strong"]
    assert set(table["base"]) == {"base"}
    np.testing.assert_allclose(table["difference"], [-0.25, 0, 0.025, 0.25, 0])
    np.testing.assert_allclose(table["changed"], [RIGHT[name] / 40 for name in table.index])
    np.testing.assert_allclose(table["as_it_is"], 30 / 40)
    assert (table.loc[["cut", "b2"], "p_holm"] < 0.05).all()
    assert (table.loc[["mean", "b1", "b1-strong"], "p_holm"] > 0.5).all()
    (section,) = effect_sections(table.reset_index())
    assert list(section.frame["Intervention"])[:2] == ["image cut in upper blocks", MEAN]
    assert section.frame["Difference"].iloc[0].startswith("−25.0 [")


def test_predictions_of_another_run_are_named(predicted_scores, tmp_path):
    shutil.rmtree(tmp_path / "cut")
    predictions(tmp_path, "cut", 21)
    with pytest.raises(InputError, match=r"cut/agree/asked.*: the predictions of layer 3 give accuracy 0\.5250"):
        compare_interventions(predicted_scores, TASKS, MODELS, tmp_path, 200, 999, 1)
    path = tmp_path / "base/agree/asked.predictions.parquet"
    pd.read_parquet(path).iloc[:-1].to_parquet(path)
    with pytest.raises(InputError, match=r"cut/agree/asked.* and .*base/agree/asked.*: .* of different items"):
        compare_interventions(predicted_scores, TASKS, MODELS, tmp_path, 200, 999, 1)
