"""Write a made-up study's files, and make its page."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from layerwise.compare.catalogue import COMPARISONS
from layerwise.compare.inputs import Given
from layerwise.explore.planning import parts, read_by_page, views
from layerwise.figures.entry import Contents
from tests.browser.made_up import answers, likeness, places, probes
from tests.browser.made_up.items import sampled_items
from tests.browser.made_up.printed import figures, inputs, tables
from tests.browser.made_up.programs import run
from tests.browser.made_up.study import TASKS, Size
from tests.conftest import REPOSITORY

# By name what makes a table. Of those of information flow, each model has its own.
TABLES = {
    "scores": probes.scores,
    "kinds": probes.kinds,
    "positions": probes.positions,
    "task-positions": probes.task_positions,
    "best-layers": probes.best_layers,
    "which-layer": probes.which_layer,
    "twin-differences": probes.twin_differences,
    "said": probes.said,
    "known-said": probes.known_said,
    "complexity": probes.complexity,
    "learning": probes.learning,
    "within-blocks": probes.within_blocks,
    "carried": probes.carried,
    "test-parts": probes.test_parts,
    "picture-positions": probes.picture_positions,
    "layer-measures": likeness.layer_measures,
    "layer-likeness": likeness.layer_likeness,
    "positions-by-layer": places.positions_by_layer,
    "tower": places.tower,
    "patch-lens": places.patch_lens,
    "pooled-differences": places.pooled_differences,
    "pooled-places": places.pooled_places,
    "flow-changes": answers.flow_changes,
    "flow-differences": answers.flow_differences,
    "flow-tracing": answers.flow_tracing,
    "flow-heads": answers.flow_heads,
    "used": answers.used,
    "used-across": answers.used_across,
    "used-above": answers.used_above,
}
PRINTED = {"tables": tables, "figures": figures}
QUESTIONS = "own-questions"


def contents(size: Size) -> Contents:
    """What such a study has: nearly everything that a page can show."""
    trained = tuple(size.trained)
    return Contents(
        questions=frozenset({"global", "local"}),
        random_labels=True,
        description_length=True,
        sites=frozenset(probes.SITES),
        twins=True,
        flow=True,
        flow_heads=True,
        question_sets={QUESTIONS: frozenset({"boxes", "pictures", "spans", "distractors", "heads"})},
        parts=("entailment",),
        says=trained,
        carried=trained,
        sources=trained,
        kinds=trained,
        used=trained,
        positions=True,
        likeness=("captions",),
        task_positions=True,
        tower=True,
        pooled=True,
        lens=tuple((model, "captions") for model in size.all_models),
    )


def make_page(folder: Path, size: Size) -> tuple[Path, Given]:
    """Make the page of such a study.

    Args:
        folder: of its results.
        size: of the study.

    Returns:
        The page, and what it is made from.
    """
    study = contents(size)
    # Figures of information flow need more than the page shows of it.
    given = write(folder, [name for name in read_by_page(study) if name != "flow-figures"], size)
    page = folder / "explore/index.html"
    page.parent.mkdir(exist_ok=True)
    run(
        "make_page",
        parts=parts(study),
        views=views(study),
        inputs=inputs(given, tuple(given.files)),
        title="A made-up study",
        assets=REPOSITORY / "report/page",
        out=page,
    )
    return page, given


def write(folder: Path, names: Iterable[str], size: Size) -> Given:
    """Write what the page reads, under these names.

    Raises:
        KeyError: Nothing here makes what has one of the names: add it to ``TABLES``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    given = Given({})
    # These are made from the others.
    last = ("headline", *PRINTED)
    for name in sorted(names, key=lambda name: last.index(name) if name in last else -1):
        if name in ("models", "tasks"):
            described = models(size) if name == "models" else {task.task: vars(task) for task in TASKS[: size.tasks]}
            given.files[name] = [folder / f"{name}-{entry}.json" for entry in described]
            for file, content in zip(given.files[name], described.values(), strict=True):
                file.write_text(json.dumps(content), encoding="utf-8")
        elif name == "sampled-items":
            given.files[name] = sampled_items(folder, size)
        elif name in PRINTED:
            given.files[name] = PRINTED[name](folder, given)
        elif name in COMPARISONS and COMPARISONS[name].per_flow:
            given.files[name] = [folder / model / f"{QUESTIONS}.{name}.parquet" for model in size.trained]
            table = TABLES[name](size)
            for model, file in zip(size.trained, given.files[name], strict=True):
                file.parent.mkdir(exist_ok=True)
                own = {
                    column: value for column, value in (("model", model), ("questions", QUESTIONS)) if column in table
                }
                table.assign(**own).to_parquet(file, index=False)
        else:
            # It takes no resamples, so it is computed as in a study.
            table = headline(given) if name == "headline" else TABLES[name](size)
            given.files[name] = [folder / f"{name}.parquet"]
            table.to_parquet(given.files[name][0], index=False)
    return given


def headline(given: Given) -> pd.DataFrame:
    comparison = COMPARISONS["headline"]
    return comparison.compute(given, {})[list(comparison.columns)]


def models(size: Size) -> dict[str, dict[str, Any]]:
    """``model.json`` of each model."""
    described = {"source": "hub", "n_layers": size.n_layers, "width": 64, "dtype": "float32", "revision": "0" * 40}
    weights = {name: "random" if name.endswith("-untrained") else "pretrained" for name in size.all_models}
    return {name: described | {"model": name, "weights": of, "digest": name} for name, of in weights.items()}
