"""What the charts of the page are made from, on disk: comparisons of a small study that has everything.

Comparisons are computed from planted numbers where that takes no model; the rest are tables of the same columns.
"""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from layerwise.compare.catalogue import COMPARISONS
from layerwise.compare.inputs import Given, Model, Task
from layerwise.compare.parts import PARTS
from layerwise.compare.readings import SAID, SHARES, THRESHOLD
from layerwise.figures.drawing.likeness import MEASURES
from layerwise.figures.entry import Contents
from layerwise.flow.head_results import heads_table
from layerwise.flow.results import changes_table, tracing_table, with_differences
from tests import sweeps
from tests.given import given

L, HEADS = 6, 8
TRAINED, UNTRAINED = "llava", "llava-untrained"
MODELS = {TRAINED: Model(TRAINED, "hub", "pretrained", L, 8), UNTRAINED: Model(UNTRAINED, "hub", "random", L, 8)}
TASKS = {
    "agree": Task("agree", "pairs", "global", "binary", ["agrees"], ["no", "yes"], "accuracy"),
    "objects": Task("objects", "pictures", "local", "multilabel", ["cat", "dog"], ["no", "yes"], "balanced_accuracy"),
}
PROMPTS = ("plain", "with-a-name-that-is-rather-long")
# What the evidence study has, and the demo's information flow, and sets of pictures.
EVERYTHING = Contents(
    questions=frozenset({"global", "local"}),
    description_length=True,
    sites=frozenset({"attention", "mlp", "heads"}),
    flow=True,
    flow_heads=True,
    question_sets={"own": frozenset({"boxes", "pictures", "spans", "distractors", "heads"})},
    parts=("agree",),
    says=(TRAINED,),
    carried=(TRAINED,),
    sources=(TRAINED,),
    kinds=(TRAINED,),
    used=("m",),
    positions=True,
    likeness=("pairs",),
    task_positions=True,
    tower=True,
    pooled=True,
    lens=(("m", "pairs"),),
)
FLOWS = ["question->last", "image->last", "image->question", "last->last", "object->question", "other->question"]
FLOWS += ["image 1->question", "image 2->last", "span:subject->last", "image->span:colour"]
TYPES = ["QueryAttr", "ChooseCat"]
CARRIED_ENDS = {"home": 0.9, "p_value": 0.2, "p_holm": 0.4, "n": 90, "n_groups": 45, "n_labels": 1, "left_out": 0}


def cells(models=MODELS):
    """Every cell, as what names it."""
    return [
        {"model": model, "task": task, "prompt": prompt, "n_layers": L}
        for model, task, prompt in product(models, TASKS, PROMPTS)
    ]


def ends(value: float, low="low", high="high", name="value") -> dict[str, float]:
    return {name: value, low: value - 0.04, high: value + 0.03}


def scores(rng) -> pd.DataFrame:
    """Of all layers with the final norm, and the majority."""
    rows = []
    for cell, split in product(cells(), ("val", "test")):
        task = TASKS[cell["task"]]
        of_split = cell | {"split": split, "label": task.headline_label, "metric": task.metric, "layer_name": ""}
        of_split |= {"n": 200, "n_groups": 100}
        rows.append(of_split | {"probe": "majority", "layer": -1} | ends(0.5))
        gain = 0.06 if cell["model"] == TRAINED else 0.01
        for layer in range(L + 2):
            value = 0.5 + gain * layer + 0.02 * rng.random()
            rows.append(of_split | {"probe": "logistic", "layer": layer} | ends(value))
    return pd.DataFrame(rows)


def sites(rng) -> pd.DataFrame:
    rows = []
    places = [("attention", 0), ("mlp", 0), *(("heads", head) for head in range(1, HEADS + 1))]
    for cell, split, layer, (site, head) in product(cells([TRAINED]), ("val", "test"), range(1, L + 1), places):
        task = TASKS[cell["task"]]
        row = cell | {"site": site, "layer": layer, "head": head, "label": task.headline_label, "split": split}
        row |= {"metric": task.metric, "chance": 0.5, "p_value": float(rng.choice([0.0001, 0.5])), "n_groups": 100}
        rows.append(row | ends(0.5 + 0.4 * rng.random()))
    return pd.DataFrame(rows)


def kinds(rng) -> pd.DataFrame:
    rows = []
    for cell, kind in product(cells([TRAINED]), ("mean-difference", "mlp", "mix")):
        task = TASKS[cell["task"]]
        for layer, (probe, split) in product(
            [-1] if kind == "mix" else range(L + 2), (("task", "val"), ("task", "test"), ("selectivity", "test"))
        ):
            row = cell | {"kind": kind, "probe": probe, "layer": layer, "label": task.headline_label, "split": split}
            rows.append(row | {"metric": task.metric, "n": 200, "n_groups": 100} | ends(0.5 + 0.4 * rng.random()))
    return pd.DataFrame(rows).assign(layer_name="")


def learning(rng) -> pd.DataFrame:
    rows = []
    for cell, groups in product(cells(), (50, 100, 200, 400)):
        named = {key: cell[key] for key in ("model", "task", "prompt")}
        rows.append(named | {"layer": 5, "train_groups": groups} | ends(0.5 + groups / 1500 + 0.02 * rng.random()))
    return pd.DataFrame(rows)


def picture_positions(rng) -> pd.DataFrame:
    rows = []
    for cell, position, layer in product(cells(), ("image-2-mean", "last", "image-1-mean"), range(L + 2)):
        row = cell | {"position": position, "metric": TASKS[cell["task"]].metric, "layer": layer, "majority": 0.5}
        rows.append(row | ends(0.5 + 0.05 * layer * rng.random()))
    return pd.DataFrame(rows)


def layer_measures(rng) -> pd.DataFrame:
    rows = []
    for model, prompt, position, measure in product(MODELS, PROMPTS, ("last", "image-mean"), MEASURES):
        row = {"stimuli": "pairs", "prompt": prompt, "position": position, "model": model, "draw_of": "", "width": 8}
        row |= {"weights": MODELS[model].weights, "measure": measure, "n_layers": L, "n": 300, "dimensions": "3 7"}
        rows += [row | {"layer": layer} | ends(0.1 + layer * rng.random()) for layer in range(L + 2)]
    return pd.DataFrame(rows)


def layer_likeness(rng) -> pd.DataFrame:
    rows, pairs = [], {(TRAINED, TRAINED): "itself", (TRAINED, UNTRAINED): "twin", (UNTRAINED, UNTRAINED): "itself"}
    for (model, other), prompt, scaling in product(pairs, PROMPTS, ("as they are", "standardised")):
        row = {"stimuli": "pairs", "prompt": prompt, "position": "last", "scaling": scaling, "model": model}
        row |= {"other": other, "kind": pairs[model, other], "draw": False, "n": 300}
        row |= {"n_layers": L, "other_n_layers": L}
        for layer, other_layer in product(range(L + 2), repeat=2):
            value = 1 - 0.1 * abs(layer - other_layer) - 0.05 * rng.random()
            rows.append(row | {"layer": layer, "other_layer": other_layer} | ends(value))
    return pd.DataFrame(rows)


def tower(rng) -> pd.DataFrame:
    rows = []
    lines = [("tower", "class-token", range(1, 4)), ("tower", "patch-mean", range(4)), ("projector", "image-mean", [4])]
    lines += [("decoder", "image-mean", range(1, L + 1)), ("decoder", "last", range(1, L + 1))]
    for model, (part, pooling, depths) in product(MODELS, lines):
        row = {"model": model, "task": "objects", "metric": "balanced_accuracy", "label": "macro", "part": part}
        row |= {"pooling": pooling, "prompt": "plain" if pooling == "last" else "", "n_tower": 3, "n_layers": L}
        for depth in depths:
            place = depth + 4 if part == "decoder" else depth
            found = ends(0.5 + 0.05 * place * rng.random()) | ends(
                0.1, "selectivity_low", "selectivity_high", "selectivity"
            )
            rows.append(row | {"depth": depth, "place": place, "majority": 0.5} | found)
    return pd.DataFrame(rows)


def pooled(rng) -> dict[str, pd.DataFrame]:
    """Scores of both poolings, and where queries look."""
    scores, places = [], []
    for model, layer in product(MODELS, range(L + 2)):
        cell = {"model": model, "task": "objects", "layer": layer, "layer_name": f"block {layer}", "n_layers": L}
        row = cell | {"metric": "balanced_accuracy", "label": "macro", "majority": 0.5, "n": 90, "n_groups": 45}
        row |= {"p_value": 0.001, "p_is_bound": False, "p_holm": 0.01, "p_holm_is_bound": False}
        for pooling, gain in (("mean", 0.05), ("attention", 0.06)):
            row |= ends(0.5 + gain * layer * rng.random(), f"{pooling}_low", f"{pooling}_high", pooling)
        scores.append(row | ends(0.05, "difference_low", "difference_high", "difference"))
        for measure in ("roc_auc", "pointing"):
            row = cell | {"measure": measure, "n": 60, "n_images": 40, "n_words": 2, "is_best": layer == L}
            row |= {"shuffled": 0.2, "other_object": 0.2 + 0.05 * rng.random()}
            for name in ("difference", "above_objects", "held_out"):
                row |= ends(0.1, f"{name}_low", f"{name}_high", name)
            places.append(row | ends(0.3 + 0.05 * layer * rng.random()))
    return {"pooled-differences": pd.DataFrame(scores), "pooled-places": pd.DataFrame(places)}


def positions_by_layer(rng) -> pd.DataFrame:
    rows = []
    for cell, position, layer in product(cells(), ("image-mean", "word-category", "last"), range(L + 2)):
        row = cell | {"position": position, "metric": TASKS[cell["task"]].metric, "layer": layer, "majority": 0.5}
        row |= {"n": 90, "lacking": 10 * (position == "word-category"), "best": (position, layer) == ("last", L)}
        rows.append(row | ends(0.5 + 0.05 * layer * rng.random()))
    return pd.DataFrame(rows)


def patch_lens(rng) -> pd.DataFrame:
    rows = []
    for model, measure, layer in product(MODELS, ("pointing", "roc_auc"), range(L + 2)):
        row = {"model": model, "stimuli": "pairs", "measure": measure, "layer": layer, "n_layers": L, "n": 90}
        row |= {"n_images": 60, "n_words": 8, "shuffled": 0.5, "other_object": 0.5 + 0.05 * rng.random()}
        row |= {"layer_name": f"block {layer}", "is_best": layer == L}
        for name in ("difference", "above_objects", "held_out"):
            row |= ends(0.1, f"{name}_low", f"{name}_high", name)
        rows.append(row | ends(0.5 + 0.05 * layer * rng.random()))
    return pd.DataFrame(rows)


def known_said(rng) -> pd.DataFrame:
    rows = []
    for cell, layer, answer in product(cells([TRAINED]), range(L + 2), (SAID, THRESHOLD)):
        for label in ("agrees",) if cell["task"] == "agree" else ("cat", "dog", "macro"):
            row = cell | {"layer": layer, "label": label, "answer": answer, "phi": 0.3, "independent": 0.4}
            row |= {"n": 200, "n_groups": 100, "n_texts": 0}
            for share, value in zip(SHARES, rng.dirichlet(np.ones(4) * 3), strict=True):
                rows.append(row | {"share": share} | ends(value))
    return pd.DataFrame(rows)


def test_parts(rng) -> pd.DataFrame:
    rows = []
    for cell, layer, part in product(cells([TRAINED]), range(L + 2), PARTS):
        if cell["task"] != "agree":
            continue
        row = cell | {"metric": "accuracy", "label": "agrees", "layer": layer, "is_best": layer == 3, "part": part}
        row |= {"n": 60, "n_groups": 30, "n_texts": 0, "majority": 0.5, "text_only": 0.5 + 0.1 * rng.random()}
        row |= {"text_only_prompt": "words", "difference": np.nan, "difference_low": np.nan, "difference_high": np.nan}
        rows.append(row | ends(0.6 + 0.03 * layer * rng.random()))
    return pd.DataFrame(rows)


def which_layer() -> pd.DataFrame:
    rows = []
    for cell in cells([TRAINED]):
        row = cell | {"image": "shown", "metric": TASKS[cell["task"]].metric, "n": 200, "n_groups": 100}
        row |= {"chance": 0.5, "missing": "", "above_chance": "2 3 4 5 6", "above_all": "4 5 6", "not_worse": "5 6"}
        row |= {"first_above_all": 4, "best_layer": 5} | ends(0.9, "best_low", "best_high", "best")
        rows.append(row)
    few = rows[-1] | {"missing": "too few images", "above_chance": "", "above_all": "", "not_worse": ""}
    rows[-1] = few | {"first_above_all": None}
    return pd.DataFrame(rows).reindex(columns=COMPARISONS["which-layer"].columns)


def carried(rng) -> pd.DataFrame:
    rows = []
    places = [(cell["model"], cell["task"], cell["prompt"]) for cell in cells()]
    for target, source in product(places, places):
        kind = "prompts" if target[:2] == source[:2] else "tasks"
        kind = "versions" if target[0] != source[0] and target[1:] == source[1:] else kind
        if target == source or (kind != "versions" and target[0] != source[0]) or source[0] == UNTRAINED:
            continue
        named = dict(zip(("model", "task", "prompt"), target, strict=True))
        row = named | {f"source_{key}": name for key, name in zip(named, source, strict=True)} | {"kind": kind}
        row |= {"n_layers": L, "label": TASKS[target[1]].headline_label, "best_layer": 5, "chance": 0.5}
        metric = TASKS[target[1]].metric
        if kind == "tasks" and target[2] != source[2]:
            rows.append(row | {"layer": -1, "metric": metric, "centre": "own", "why_not": "too few items"})
            continue
        for layer, of, centre in product(range(L + 2), (metric, "roc_auc"), ("source", "own")):
            value = 0.45 + 0.05 * layer * rng.random()
            found = {"layer": layer, "metric": of, "centre": centre, "value": value, "own": 0.9, "why_not": ""}
            rows.append(row | found | CARRIED_ENDS | ends(0.9 - value, "loss_low", "loss_high", "loss"))
    return pd.DataFrame(rows).assign(flipped=False)[list(COMPARISONS["carried"].columns)]


def flow(folder: Path, model: str, questions: str, rng) -> dict[str, Path]:
    """The comparisons of one model and set of questions, by name."""
    n = 80
    asked = pd.DataFrame({"question_id": map(str, range(n)), "image_id": map(str, range(n)), "type": TYPES * (n // 2)})
    p = rng.uniform(0.5, 0.9, n)
    percent = -8 * rng.random((len(FLOWS), L)) * np.arange(len(FLOWS))[:, None] + rng.normal(size=(n, len(FLOWS), L))
    changes = changes_table(asked, p, (p[:, None, None] * (1 + percent / 100)).clip(0, 1), FLOWS)
    changes = with_differences(changes, asked, rng.normal(2, 1, n), rng.normal(1, 1, percent.shape), FLOWS)
    tracing = tracing_table(asked, rng.random((n, 2, 2, L + 1)), (True, False), ("lower", "capitalised"))
    places = [*((layer, head, "") for layer in range(1, L + 1) for head in range(1, HEADS + 1)), (0, 0, "both")]
    by_head = p[:, None, None] * (1 - 0.1 * rng.random((1, 2, len(places))) + 0.01 * rng.normal(size=(n, 2, 1)))
    heads = heads_table(asked, p, by_head.clip(0, 1), FLOWS[:2], places)
    description = {
        "cell": {"model": model, "questions": questions, "window": 1},
        "types": {kind: {"asked": n, "kept": n // 2, "kept_share": 0.5, "left_out": {}} for kind in TYPES},
        "without_object_patches": {},
    }
    compared = ("flow-changes", "flow-differences", "flow-tracing", "flow-heads")
    work = folder / "work" / model / questions
    work.mkdir(parents=True)
    made = given(work, compared, changes=changes, tracing=tracing, heads=heads, description=description)
    out = folder / "compare/flow" / model
    out.mkdir(parents=True, exist_ok=True)
    return {name: made.path(name).rename(out / f"{questions}.{name}.parquet") for name in compared}


def everything(folder: Path) -> Given:
    """What every chart is made from."""
    rng = np.random.default_rng(0)
    compared = ("headline", "within-blocks", "complexity")
    tables = {"scores": scores(rng), "sites": sites(rng), "kinds": kinds(rng)}
    made = given(folder, compared, tasks=TASKS, models=MODELS, **tables)
    likeness = {"layer-measures": layer_measures(rng), "layer-likeness": layer_likeness(rng)}
    tables = likeness | {
        "learning": learning(rng),
        "picture-positions": picture_positions(rng),
        "positions-by-layer": positions_by_layer(rng),
        "carried": carried(rng),
        "tower": tower(rng),
        "patch-lens": patch_lens(rng),
    }
    tables |= pooled(rng)
    tables |= {"known-said": known_said(rng), "test-parts": test_parts(rng), "which-layer": which_layer()}
    for name, table in tables.items():
        made.files[name] = [folder / f"compared-{name}.parquet"]
        table.to_parquet(made.files[name][0], index=False)
    for model, questions in ((TRAINED, "own"), (TRAINED, "gqa.short"), (UNTRAINED, "own")):
        for name, path in flow(folder, model, questions, rng).items():
            made.files.setdefault(name, []).append(path)
    (folder / "sweeps").mkdir()
    used, *_, twin = (replace(planted, n_images=40) for planted in sweeps.study())
    swept = sweeps.made(folder / "sweeps", [used, twin], options={"resamples": 50, "permutations": 99, "seed": 0})
    made.files |= {name: swept.files[name] for name in sweeps.COMPARED}
    return made
