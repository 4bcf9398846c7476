"""Made-up information flow, and what becomes of answers when a concept is erased."""

import numpy as np
import pandas as pd

from tests.browser.made_up.study import Size, as_compared, cells, cross, ends

TYPES = ("QueryAttr", "ChooseCat", "LogicalObj")
FLOWS = ("question->last", "image->last", "image->question", "last->last", "object->question", "other->question")
FLOWS += ("image 1->question", "image 2->last", "span:subject->last")
STRENGTHS = (-2.0, -1.0, 1.0, 2.0)


def flow_changes(size: Size) -> pd.DataFrame:
    """Of one model and set of questions."""
    rows = cross(type=TYPES, flow=FLOWS, window=size.blocks)
    change = -60 * np.random.default_rng(40).random(len(rows)) * np.exp(-rows["window"] / size.n_layers)
    return as_compared("flow-changes", ends(rows, change, "mean", width=4).assign(n=100, n_images=80))


def flow_differences(size: Size) -> pd.DataFrame:
    rows = flow_changes(size)
    for column in ("mean", "low", "high"):
        rows[column] /= 30
    return as_compared("flow-differences", rows.assign(free=2.0))


def flow_tracing(size: Size) -> pd.DataFrame:
    rows = cross(type=TYPES, norm=[True, False], casing=["lower", "capitalised"], layer=range(size.n_layers + 1))
    share = (rows["layer"] / size.n_layers) ** 4 * np.where(rows["casing"] == "lower", 0.8, 0.1)
    return as_compared("flow-tracing", ends(rows, share, "mean", width=0.02).assign(n=100, n_images=80))


def flow_heads(size: Size) -> pd.DataFrame:
    axes = {"layer": size.blocks, "head": range(1, size.heads + 1)}
    rows = cross(model=[""], questions=[""], type=[*TYPES, "all types"], flow=FLOWS[:2], **axes).assign(group="")
    change = -5 * np.random.default_rng(41).random(len(rows)) ** 4
    return as_compared("flow-heads", ends(rows, change, "mean", width=0.5).assign(n=100, n_images=80))


def used(size: Size) -> pd.DataFrame:
    changes = pd.concat([cross(change=["erase"], strength=[0.0]), cross(change=["steer"], strength=STRENGTHS)])
    rows = cells(size, size.trained, block=size.blocks).merge(changes, how="cross")
    height = np.exp(-(((rows["block"] / size.n_layers - 0.6) / 0.2) ** 2)) * np.where(rows["strength"] < 0, -1, 1)
    rows = ends(ends(rows, 1.5 * height, "effect", "effect_", 0.2), 0.05, "control", "control_", 0.2)
    rows = rows.rename(columns={"control_low": "control_least", "control_high": "control_greatest"})
    rows = ends(rows, rows["effect"] - rows["control"], "difference", "difference_", 0.2)
    rows = ends(ends(rows, 2.0, "free", "free_", 0.2), 0.2, "flips", "flips_")
    rows = rows.assign(
        n_images=size.items // 2, draws=10, answers=True, free_accuracy=0.8, chance=0.5, control_own=0.1,
        control_own_greatest=0.2, p_value=0.01, p_fixed=0.001, beyond=height > 0.5, used=height > 0.5,
        control_flips=0.02,
        peak=(rows["block"] == round(0.6 * size.n_layers)) & (rows["change"] == "erase"), accuracy=0.6,
        control_accuracy=0.8, completeness=0.7, selectivity=0.9, product=0.63, others="", twins="", missing="",
    )  # fmt: skip
    return as_compared("used", rows)


def used_across(size: Size) -> pd.DataFrame:
    concepts = [f"{task}/{prompt}" for task, prompt in cells(size, [""])[["task", "prompt"]].to_numpy()]
    rows = cells(size, size.trained, block=size.blocks).merge(cross(of=concepts), how="cross")
    own = rows["of"] == rows["task"] + "/" + rows["prompt"]
    rows = ends(rows.assign(own=own, answers=True), np.where(own, 1.5, 0.1), "effect", "effect_", 0.2)
    return as_compared("used-across", rows.assign(flips=0.1, completeness=np.where(own, 0.75, 0.05)))


def used_above(size: Size) -> pd.DataFrame:
    rows = cells(size, size.trained).merge(cross(block=size.blocks, above=size.blocks), how="cross")
    rows = rows[rows["above"] >= rows["block"]].reset_index(drop=True)
    rows = ends(ends(rows, 0.9, "free", "free_"), 0.9 - 0.3 / (1 + rows["above"] - rows["block"]), "erased", "erased_")
    rows = rows.assign(metric="accuracy", control=0.9, control_least=0.88, control_greatest=0.92, chance=0.5)
    return as_compared("used-above", rows.assign(n_images=size.items // 2))
