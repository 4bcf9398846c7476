"""Made-up scores of probes, and what is compared with them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from layerwise.compare.readings import SAID, SHARES, THRESHOLD
from tests.browser.made_up.study import (
    PROMPTS,
    TASKS,
    TEXT_ONLY,
    Size,
    as_compared,
    cells,
    cross,
    ends,
    of_task,
    risen,
    twin,
)

METRICS = ("accuracy", "balanced_accuracy", "f1", "roc_auc", "average_precision")
KINDS = ("mean-difference", "mlp")
SITES = ("attention", "mlp", "heads")


def scores(size: Size) -> pd.DataFrame:
    """``results/probes/scores.parquet``, as a study writes it."""
    layers, held_out = range(size.layers), ["val", "test"]
    probes = {
        "logistic": cells(size, size.all_models, layer=layers, split=held_out, metric=METRICS),
        "train": cells(size, size.all_models, layer=layers, split=["train"], metric=["accuracy", "code_bits"]),
        "majority": cells(size, size.all_models, layer=[-1], split=held_out, metric=METRICS),
        "control": cells(size, size.all_models, layer=layers, split=held_out, metric=METRICS[:3]),
    }
    value = {name: risen(rows, "layer", seed) for seed, (name, rows) in enumerate(probes.items())}
    value["train"] = np.where(probes["train"]["metric"] == "code_bits", 1.6 - value["train"], value["train"])
    value["majority"] = np.full(len(probes["majority"]), 0.5)
    value["control"] = 0.5 + 0.02 * (value["control"] - 0.7)
    parts = [
        ends(rows, value[name] + 0.01 * rows["metric"].map(place_of).fillna(0)).assign(
            probe="logistic" if name == "train" else name
        )
        for name, rows in probes.items()
    ]
    both = parts[3].merge(parts[0], on=["model", "task", "prompt", "layer", "split", "metric"])
    parts.append(ends(parts[3].assign(probe="selectivity"), both["value_y"] - both["value_x"], width=0.04))
    rows = of_labels(pd.concat(parts, ignore_index=True))
    final, first = rows["layer"] > size.n_layers, rows["layer"] == 0
    names = "block " + rows["layer"].astype(str)
    return rows.assign(
        layer_name=names.mask(final, "final norm").mask(first, "embeddings").mask(rows["layer"] < 0, "majority"),
        C=(10.0 ** -(rows["layer"] % 3)).where(rows["layer"] >= 0),
        at_boundary=False,
        n_texts=0,
        split_seed="",
    )


place_of = {metric: place for place, metric in enumerate(METRICS)}


def of_labels(rows: pd.DataFrame) -> pd.DataFrame:
    """For each row one for each label of its task, and for their mean."""
    labels = {task.task: [*task.labels, "macro"] if len(task.labels) > 1 else task.labels for task in TASKS}
    rows = rows.assign(label=rows["task"].map(labels)).explode("label", ignore_index=True)
    off = rows["label"].map({"circle": 0.02, "star": -0.02}).fillna(0)
    return rows.assign(**{column: rows[column] + off for column in ("value", "low", "high")})


def one_per_cell(size: Size, seed: int = 10) -> pd.DataFrame:
    """What tables of comparisons say of each cell of a trained model."""
    rows = cells(size, size.trained)
    best = np.random.default_rng(seed).integers(size.n_layers // 2, size.n_layers + 1, len(rows))
    rows = rows.assign(
        metric=of_task(rows, "metric"), label=of_task(rows, "headline_label"), best_layer=best, chance=0.5
    )
    rows = ends(rows, risen(rows, "best_layer", seed), "best", "best_")
    rows = rows.assign(top_layer=size.n_layers)
    rows = ends(rows, risen(rows, "top_layer", seed), "top", "top_")
    rows = ends(rows, rows["best"] - rows["top"], "difference", "difference_")
    few = rows["best_layer"].map(lambda layer: " ".join(map(str, range(layer, size.n_layers + 1))))
    return rows.assign(not_worse=few, p_value=0.01, p_holm=0.04, p_is_bound=False, p_holm_is_bound=False)


def which_layer(size: Size) -> pd.DataFrame:
    rows = one_per_cell(size)
    above = " ".join(map(str, range(size.n_layers // 3, size.n_layers + 1)))
    known = rows["prompt"] != TEXT_ONLY
    first = np.where(known, size.n_layers // 3, np.nan)
    rows = ends(rows, np.where(known, 0.7, np.nan), "first", "first_")
    layers = {f"first_above_{what}": first for what in ("chance", "twin", "text", "all")}
    layers |= {f"above_{what}": np.where(known, above, "") for what in ("chance", "twin", "text", "all")}
    rows = rows.assign(
        **layers,
        image=np.where(known, "shown", "none"),
        twins=rows["model"].map(twin),
        text_only=np.where(rows["prompt"] == PROMPTS[0], TEXT_ONLY, ""),
        missing=np.where(rows["prompt"] == PROMPTS[0], "", "no text-only prompt"),
        twin_highest=0.53,
        text_highest=np.where(rows["prompt"] == PROMPTS[0], 0.6, np.nan),
    )
    return as_compared("which-layer", rows)


def best_layers(size: Size) -> pd.DataFrame:
    rows = one_per_cell(size)
    rows = ends(
        rows.assign(weights="pretrained", draw_of="", n_splits=1, split_layers="", within_margin=""),
        rows["top"],
        "norm",
        "norm_",
    )
    return as_compared("best-layers", ends(rows, rows["best"] - 0.5, "selectivity", "selectivity_"))


def twin_differences(size: Size) -> pd.DataFrame:
    rows = cells(size, size.trained, layer=range(size.layers))
    rows = rows.assign(twins=rows["model"].map(twin), metric=of_task(rows, "metric"))
    rows = rows.assign(label=of_task(rows, "headline_label"))
    return as_compared("twin-differences", ends(rows, risen(rows, "layer", 20) - 0.53, "difference", "difference_"))


def said(size: Size) -> pd.DataFrame:
    rows = cells(size, size.trained, layer=range(size.layers), split=["val", "test"], answer=[SAID, THRESHOLD])
    rows = rows.assign(metric=of_task(rows, "metric"), label=of_task(rows, "headline_label"), n_texts=0)
    later = rows.assign(later=rows["layer"] - size.n_layers / 3)
    return as_compared("said", ends(rows, risen(later, "later", 21) - 0.02))


def known_said(size: Size) -> pd.DataFrame:
    rows = cells(size, size.trained, layer=range(size.layers), answer=[SAID, THRESHOLD], share=list(SHARES))
    rows = rows.assign(label=of_task(rows, "headline_label"), independent=0.4, phi=0.3, n_texts=0)
    shares = np.random.default_rng(22).dirichlet(np.ones(len(SHARES)) * 3, len(rows) // len(SHARES))
    return as_compared("known-said", ends(rows, shares.ravel()))


def kinds(size: Size) -> pd.DataFrame:
    """``results/probes/kinds.parquet``."""
    axes = {"layer": range(size.layers), "split": ["val", "test"], "metric": ["accuracy"]}
    rows = cells(size, size.trained, kind=KINDS, probe=["task", "control", "selectivity"], **axes)
    value = risen(rows, "layer", 23) - 0.03
    value = np.select([rows["probe"] == "control", rows["probe"] == "selectivity"], [0.5, value - 0.5], value)
    rows = ends(rows, value).assign(metric=of_task(rows, "metric"), label=of_task(rows, "headline_label"))
    return rows.assign(layer_name="", C=0.1, at_boundary=False, n_texts=0)


def complexity(size: Size) -> pd.DataFrame:
    rows = cells(size, size.trained, kind=["logistic", *KINDS], layer=range(size.layers))
    rows = rows.assign(metric=of_task(rows, "metric"), is_best=rows["layer"] == size.n_layers - 1, chance=0.5)
    rows = rows.assign(is_top=rows["layer"] == size.n_layers, validation=risen(rows, "layer", 24), uniform_bits=1.0)
    rows = ends(rows, risen(rows, "layer", 25), "score", "score_")
    rows = ends(rows, rows["score"] - 0.5, "selectivity", "selectivity_")
    return as_compared("complexity", ends(rows, 1.5 - rows["score"], "bits", "bits_"))


def learning(size: Size) -> pd.DataFrame:
    rows = cells(size, size.all_models, train_groups=[50, 100, 200, 400]).assign(layer=size.n_layers - 1)
    return as_compared("learning", ends(rows, risen(rows, "layer", 26) - 6 / rows["train_groups"]))


def within_blocks(size: Size) -> pd.DataFrame:
    heads = cross(site=["heads"], head=range(1, size.heads + 1))
    places = pd.concat([cross(site=["attention", "mlp"], head=[0]), heads], ignore_index=True)
    rows = cells(size, size.trained, layer=size.blocks).merge(places, how="cross")
    value = risen(rows, "layer", 27) - 0.2 * np.random.default_rng(28).random(len(rows))
    rows = ends(rows, value).assign(chance=0.5, best=rows["head"] == 1, above_chance=value > 0.6)
    return as_compared("within-blocks", rows)


def carried(size: Size) -> pd.DataFrame:
    """Every prompt's probes read every other prompt of the same task and model, re-centred or not."""
    sources = cross(source_prompt=PROMPTS[: size.prompts], centre=["source", "own"])
    rows = cells(size, size.trained, layer=range(size.layers)).merge(sources, how="cross")
    rows = rows[rows["prompt"] != rows["source_prompt"]].reset_index(drop=True)
    value = risen(rows, "layer", 29) - np.where(rows["centre"] == "own", 0.02, 0.1)
    rows = rows.assign(
        kind="prompts", source_model=rows["model"], source_task=rows["task"], metric=of_task(rows, "metric"),
        label=of_task(rows, "headline_label"), flipped=False, value=value, own=value + 0.05, home=0.9, p_value=0.2,
        p_holm=0.4, best_layer=size.n_layers - 1, chance=0.5, n_labels=1, left_out=0, why_not="",
    )  # fmt: skip
    return as_compared("carried", ends(rows, rows["own"] - rows["value"], "loss", "loss_"))


def test_parts(size: Size) -> pd.DataFrame:
    from layerwise.compare.parts import PARTS

    rows = cells(size, size.trained, layer=range(size.layers), part=list(PARTS))
    rows = rows.assign(metric=of_task(rows, "metric"), label=of_task(rows, "headline_label"), n_texts=0)
    rows = rows.assign(is_best=rows["layer"] == size.n_layers - 1, majority=0.5, text_only=0.55)
    return as_compared("test-parts", ends(rows.assign(text_only_prompt=TEXT_ONLY), risen(rows, "layer", 30)))


def picture_positions(size: Size) -> pd.DataFrame:
    rows = cells(size, size.all_models, position=["last", "image-1-mean", "image-2-mean"], layer=range(size.layers))
    rows = rows.assign(metric=of_task(rows, "metric"), majority=0.5)
    return as_compared("picture-positions", ends(rows, risen(rows, "layer", 31)))


def positions(size: Size, names: Sequence[str] = ("image-1-mean", "image-2-mean")) -> pd.DataFrame:
    """``results/probes/positions.parquet``."""
    axes = {"layer": range(size.layers), "split": ["val", "test"]}
    rows = cells(size, size.all_models, position=names, **axes)
    rows = rows.assign(metric=of_task(rows, "metric"), label=of_task(rows, "headline_label"), chance=0.5)
    return ends(rows, risen(rows, "layer", 31)).assign(p_value=0.01, C=0.1, at_boundary=False, n_texts=0)


def task_positions(size: Size) -> pd.DataFrame:
    """``results/probes/task-positions.parquet``."""
    return positions(size, ["image-mean", "word-category"]).assign(lacking=3)
