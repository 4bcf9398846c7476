"""Write a made-up study's files, and the command that makes its page."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from layerwise.compare.catalogue import COMPARISONS
from layerwise.compare.inputs import Given
from layerwise.explore.planning import parts, read_by_page, views
from layerwise.figures.entry import Contents
from tests.browser.made_up import answers, probes
from tests.browser.made_up.study import TASKS, Size

ROOT = Path(__file__).resolve().parents[3]
# By name what makes a table. Of those of information flow, each model has its own.
TABLES = {
    "scores": probes.scores,
    "kinds": probes.kinds,
    "positions": probes.positions,
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
    "flow-changes": answers.flow_changes,
    "flow-differences": answers.flow_differences,
    "flow-tracing": answers.flow_tracing,
    "flow-heads": answers.flow_heads,
    "used": answers.used,
    "used-across": answers.used_across,
    "used-above": answers.used_above,
}
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
    )


def page_command(folder: Path, size: Size) -> tuple[list[str], Given]:
    """The command that makes ``folder/index.html``, and what it is made from."""
    study = contents(size)
    given = write(folder / "results", read_by_page(study), size)
    command = [sys.executable, ROOT / "scripts/make_page.py", "--title", "A made-up study"]
    command += ["--parts", *parts(study), "--views", *views(study)]
    command += ["--inputs", *(f"{name}={file}" for name, files in given.files.items() for file in files)]
    command += ["--assets", ROOT / "report/page", "--out", folder / "index.html"]
    return list(map(str, command)), given


def write(folder: Path, names: Iterable[str], size: Size) -> Given:
    """Write what the page reads, under these names.

    Raises:
        KeyError: Nothing here makes what has one of the names: add it to ``TABLES``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    given = Given({})
    for name in sorted(names, key=lambda name: name == "headline"):
        if name in ("models", "tasks"):
            described = models(size) if name == "models" else {task.task: vars(task) for task in TASKS[: size.tasks]}
            given.files[name] = [folder / f"{name}-{entry}.json" for entry in described]
            for file, content in zip(given.files[name], described.values(), strict=True):
                file.write_text(json.dumps(content), encoding="utf-8")
        elif name in COMPARISONS and COMPARISONS[name].per_flow:
            given.files[name] = [folder / model / f"{QUESTIONS}.{name}.parquet" for model in size.trained]
            table = TABLES[name](size)
            for model, file in zip(size.trained, given.files[name], strict=True):
                file.parent.mkdir(exist_ok=True)
                own = {column: value for column, value in (("model", model), ("questions", QUESTIONS)) if column in table}
                table.assign(**own).to_parquet(file, index=False)
        else:
            # It takes no resamples, so it is computed as in a study.
            table = headline(given) if name == "headline" else TABLES[name](size)
            given.files[name] = [folder / f"{name}.parquet"]
            table.to_parquet(given.files[name][0], index=False)
    return given


def headline(given: Given) -> Any:
    comparison = COMPARISONS["headline"]
    return comparison.compute(given, {})[list(comparison.columns)]


def models(size: Size) -> dict[str, dict[str, Any]]:
    """``model.json`` of each model."""
    described = {"source": "hub", "n_layers": size.n_layers, "width": 64, "dtype": "float32", "revision": "0" * 40}
    weights = {name: "random" if name.endswith("-untrained") else "pretrained" for name in size.all_models}
    return {name: described | {"model": name, "weights": of, "digest": name} for name, of in weights.items()}
