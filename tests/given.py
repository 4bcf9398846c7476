"""Inputs of figures and tables on disk, with the comparisons that are computed from them."""

import json
from pathlib import Path

import pandas as pd

from layerwise.compare.catalogue import COMPARISONS
from layerwise.compare.inputs import Given

OPTIONS = {"resamples": 200, "permutations": 999, "seed": 0}


def given(folder, comparisons=("headline",), options=OPTIONS, **inputs) -> Given:
    """Write tables (frames), tasks and models (by name), prompts and descriptions, and compute comparisons of them."""
    files: dict[str, list[Path]] = {}
    for name, content in inputs.items():
        if isinstance(content, pd.DataFrame):
            files[name] = [Path(folder, f"{name}.parquet")]
            content.to_parquet(files[name][0])
        elif name in ("tasks", "models"):
            files[name] = [Path(folder, f"{name}-{entry}.json") for entry in content]
            for file, entry in zip(files[name], content.values(), strict=True):
                file.write_text(json.dumps(vars(entry) | {"sources": []}))
        elif isinstance(content, Path):
            files[name] = [content]
        else:
            files[name] = [Path(folder, f"{name}.json")]
            files[name][0].write_text(json.dumps(content))
    for name in comparisons:
        comparison = COMPARISONS[name]
        table = comparison.compute(Given(files), options)[list(comparison.columns)]
        files[name] = [Path(folder, f"compared-{name}.parquet")]
        table.to_parquet(files[name][0], index=False)
    return Given(files)


def as_options(made: Given) -> list[str]:
    """The same as options of a program."""
    return [f"{name}={path}" for name, paths in made.files.items() for path in paths]
