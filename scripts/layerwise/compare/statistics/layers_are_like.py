"""The tables of what layers are like, from the files of all cells; see :mod:`layerwise.likeness`."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise.compare.inputs import Given
from layerwise.errors import InputError
from layerwise.likeness.cka import cka
from layerwise.likeness.grams import SCALINGS, Grams, read_grams
from layerwise.likeness.pairs import compared, models_shown
from layerwise.likeness.table import read_measures


def all_measures(given: Given, options: Mapping[str, Any]) -> pd.DataFrame:
    """See :mod:`layerwise.compare.layer_measures`."""
    draws, tables = options.get("draws", {}), []
    for (stimuli, prompt), models in models_shown(options["likeness"]).items():
        found = []
        for model in models:
            table = read_measures(_file(given, model, stimuli, prompt, "parquet")).rename(columns={"n_items": "n"})
            found.append(table.assign(model=model, draw_of=draws.get(model, ""), weights=given.models[model].weights))
        every = pd.concat(found, ignore_index=True).assign(stimuli=stimuli, prompt=prompt)
        order = _positions(every["position"].unique(), options["position"])
        tables.append(
            every.sort_values("position", key=lambda column, order=order: column.map(order.index), kind="stable")
        )
    return pd.concat(tables, ignore_index=True)


def all_likeness(given: Given, options: Mapping[str, Any]) -> pd.DataFrame:
    """See :mod:`layerwise.compare.layer_likeness`."""
    twins, draws = options.get("twins", {}), options.get("draws", {})
    first = dict(reversed([(entry, name) for name, entry in draws.items()]))
    further = {name for name, entry in draws.items() if first[entry] != name}
    tables = []
    for (stimuli, prompt), models in models_shown(options["likeness"]).items():
        cells: dict[str, Grams] = {}
        for model in models:
            cells[model] = read_grams(_file(given, model, stimuli, prompt, "grams.safetensors"))
        for model, other, kind in compared(models, twins):
            _check_same_items(given, stimuli, prompt, {name: cells[name] for name in (model, other)})
            known: dict[str, Any] = {"stimuli": stimuli, "prompt": prompt, "model": model, "other": other, "kind": kind}
            known["draw"] = not further.isdisjoint((model, other))
            tables += [table.assign(**known) for table in _pair(cells[model], cells[other], options["position"])]
    return pd.concat(tables, ignore_index=True)


def _file(given: Given, model: str, stimuli: str, prompt: str, suffix: str) -> Path:
    return given.path("likeness") / model / stimuli / f"{prompt}.{suffix}"


def _positions(positions: Iterable[str], probed: str) -> list[str]:
    """In order, that which probes read first."""
    return sorted(positions, key=lambda position: (position != probed, position))


def _check_same_items(given: Given, stimuli: str, prompt: str, cells: Mapping[str, Grams]) -> None:
    if len({tuple(grams.item_ids) for grams in cells.values()}) > 1:
        names = " and ".join(str(_file(given, model, stimuli, prompt, "grams.safetensors")) for model in cells)
        raise InputError(f"{names} are of different items; delete both and run again")


def _pair(left: Grams, right: Grams, probed: str) -> Iterator[pd.DataFrame]:
    shared = {position for position, _ in left.products} & {position for position, _ in right.products}
    for position in _positions(shared, probed):
        for scaling in SCALINGS:
            found = cka(left.square(position, scaling), right.square(position, scaling))
            layer, other = np.indices(found.value.shape)
            yield pd.DataFrame(
                {
                    "position": position,
                    "scaling": scaling,
                    "layer": layer.ravel(),
                    "other_layer": other.ravel(),
                    "n_layers": len(left.layers) - 2,
                    "other_n_layers": len(right.layers) - 2,
                    **{name: values.ravel() for name, values in found._asdict().items()},
                    "n": len(left.item_ids),
                }
            )
