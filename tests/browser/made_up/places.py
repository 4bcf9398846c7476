"""Made-up scores at further positions, in the vision tower, of the patch lens, and over image tokens."""

import numpy as np
import pandas as pd

from layerwise.figures.drawing.patch_lens import MEASURES
from tests.browser.made_up.study import Size, as_compared, cells, cross, ends, of_task, risen

TOWER_BLOCKS = 3


def positions_by_layer(size: Size) -> pd.DataFrame:
    axes = {"position": ["image-mean", "word-category", "last"], "layer": range(size.layers)}
    rows = cells(size, size.trained, **axes)
    best = (rows["position"] == "last") & (rows["layer"] == size.n_layers - 1)
    rows = rows.assign(metric=of_task(rows, "metric"), majority=0.5, lacking=3, best=best)
    return as_compared("positions-by-layer", ends(rows, risen(rows, "layer", 50)))


def tower(size: Size) -> pd.DataFrame:
    before = cross(part=["tower"], pooling=["patch-mean", "class-token"], depth=range(TOWER_BLOCKS + 1))
    between = cross(part=["projector"], pooling=["image-mean"], depth=[TOWER_BLOCKS + 1])
    behind = cross(part=["decoder"], pooling=["image-mean", "last"], depth=size.blocks)
    rows = cross(model=size.trained, task=size.task_names).merge(pd.concat([before, between, behind]), how="cross")
    place = rows["depth"].mask(rows["part"] == "decoder", rows["depth"] + TOWER_BLOCKS + 1)
    rows = rows.assign(place=place, n_tower=TOWER_BLOCKS, n_layers=size.n_layers, majority=0.5)
    rows = rows.assign(metric=of_task(rows, "metric"), label=of_task(rows, "headline_label"))
    rows = rows.assign(prompt=np.where(rows["pooling"] == "last", "agree", ""))
    value = 0.55 + 0.4 * place / place.max() * np.where(rows["pooling"] == "last", 1, 0.8)
    return as_compared("tower", ends(ends(rows, value), value - 0.5, "selectivity", "selectivity_"))


def patch_lens(size: Size) -> pd.DataFrame:
    axes = {"model": size.all_models, "measure": list(MEASURES), "layer": range(size.layers)}
    rows = cross(stimuli=["captions"], **axes).assign(n_layers=size.n_layers, n=150, n_images=100, n_words=8)
    random = rows["model"].str.endswith("-untrained")
    value = 0.5 + np.where(random, 0, 0.3) * rows["layer"] / size.layers
    rows = rows.assign(shuffled=0.5, other_object=0.52, is_best=rows["layer"] == size.n_layers - 1)
    rows = ends(ends(rows, value), value - 0.5, "difference", "difference_")
    return as_compared("patch-lens", ends(rows, value - 0.52, "above_objects", "above_objects_"))


def pooled_differences(size: Size) -> pd.DataFrame:
    rows = cross(model=size.all_models, task=["objects"], layer=range(size.layers)).assign(n_layers=size.n_layers)
    rows = rows.assign(metric=of_task(rows, "metric"), label=of_task(rows, "headline_label"), n=80, n_groups=40)
    random = rows["model"].str.endswith("-untrained")
    gain = np.where(random, 0.02, 0.3) * rows["layer"] / size.layers
    rows = ends(
        ends(rows.assign(majority=0.5), 0.5 + gain, "mean", "mean_"), 0.52 + 1.2 * gain, "attention", "attention_"
    )
    rows = rows.assign(p_value=0.01, p_holm=0.04, p_is_bound=False, p_holm_is_bound=False)
    return as_compared("pooled-differences", ends(rows, 0.02 + 0.2 * gain, "difference", "difference_"))


def pooled_places(size: Size) -> pd.DataFrame:
    places = patch_lens(size).drop(columns="stimuli").assign(task="objects")
    return as_compared("pooled-places", places)
