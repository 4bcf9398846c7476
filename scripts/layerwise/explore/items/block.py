"""Sampled test items as the page has them: a block of JSON, whose length the budget counts."""

import base64
import json
from typing import Any

import numpy as np
import pandas as pd

from layerwise.explore.items.files import Sample, named_pictures
from layerwise.several_pictures import each


def block(sample: Sample) -> dict[str, Any]:
    """The items as ``items.js`` reads them.

    Margins are base64 of little-endian float32, predicted classes of int16: items by layers. So the page of many cells
    stays small, and only what is looked at is decoded.

    Returns:
        ``pictures``: of each picture ``src``, or ``address``, and its size; ``tasks``: by name the rows, the prompts
        and the cells.
    """
    names = named_pictures([*sample.items["pictures"], *sample.texts["pictures"]])
    shown = sample.thumbnails.set_index("sha256")
    place = {name: number for number, name in enumerate(name for name in names if name in shown.index)}
    tasks = {
        str(task): _task(sample, str(task), rows.reset_index(drop=True), place)
        for task, rows in sample.items.groupby("task", sort=False)
    }
    return {"tasks": tasks, "pictures": [_picture(shown.loc[name]) for name in place]}


def block_bytes(sample: Sample) -> int:
    """How long the block is on the page."""
    return len(json.dumps(block(sample), ensure_ascii=False, separators=(",", ":")).encode())


def _task(sample: Sample, task: str, rows: pd.DataFrame, place: dict[str, int]) -> dict[str, Any]:
    described = sample.description["tasks"][task]
    labels = described["labels"]
    texts = sample.texts[sample.texts["task"] == task]
    margins = sample.margins[sample.margins["task"] == task]
    keys = pd.MultiIndex.from_frame(rows[["label", "item_id"]])
    return {
        **{key: described[key] for key in ("number", "classes", "labels", "unit", "tested")},
        "rows": {
            "label": [labels.index(label) for label in rows["label"]],
            "item": rows["item_id"].tolist(),
            "y": [float(y) if described["number"] else int(y) for y in rows["y"]],
            "drawn": [int(rank > 0) for rank in rows["drawn"]],
            "worst": [int(rank > 0) for rank in rows["worst"]],
            "part": [part if isinstance(part, str) else "" for part in rows["test_part"]],
            "own": [_places(cell, place) for cell in rows["pictures"]],
        },
        "prompts": {
            str(prompt): _prompt(of_prompt.set_index("item_id").loc[rows["item_id"]], place)
            for prompt, of_prompt in texts.groupby("prompt", sort=False)
        },
        "cells": [
            _cell(str(model), str(prompt), of_cell.set_index(["label", "item_id"]).loc[keys], described["classes"])
            for (model, prompt), of_cell in margins.groupby(["model", "prompt"], sort=False)
        ],
    }


def _prompt(rows: pd.DataFrame, place: dict[str, int]) -> dict[str, Any]:
    codes, texts = pd.factorize(rows["text"])
    found = {"shown": rows["shown"].iloc[0], "texts": texts.tolist(), "text": codes.tolist()}
    return found | {"pictures": [_places(cell, place) for cell in rows["pictures"]]}


def _cell(model: str, prompt: str, rows: pd.DataFrame, classes: list[str]) -> dict[str, Any]:
    by_layer = np.stack(rows["by_layer"].to_numpy()).astype("<f4")
    found = {"model": model, "prompt": prompt, "layers": by_layer.shape[1], "margins": _base64(by_layer)}
    found["predicted"] = _base64(np.stack(rows["predicted"].to_numpy()).astype("<i2"))
    if rows["said"].notna().any():
        found |= {"said": [classes.index(name) for name in rows["said"]], "p": _base64(rows["p"].to_numpy("<f4"))}
    if rows["written"].notna().any():
        found |= {"written": rows["written"].tolist(), "writtenClass": rows["written_class"].tolist()}
    return found


def _picture(row: pd.Series) -> dict[str, Any]:
    if row["address"]:
        return {"address": row["address"]}
    if not row["content"]:
        return {}
    source = f"data:{row['media_type']};base64,{base64.b64encode(row['content']).decode()}"
    return {"src": source, "width": int(row["width"]), "height": int(row["height"])}


def _places(cell: str, place: dict[str, int]) -> list[int]:
    return [place[one] for one in each(cell) if one in place] if cell else []


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
