"""Questions in GQA's own format, made from tables of the drawn world: their operations name objects as GQA's do."""

import ast
import csv
from pathlib import Path
from typing import Any

from layerwise.datasets.gqa_tables import ABSENT, PLACES
from layerwise.gqa_types import TABLES


def own_format(tables: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The questions and the scene graphs, by id."""
    questions: dict[str, Any] = {}
    graphs: dict[str, Any] = {}
    for kind, name in TABLES.items():
        with open(tables / name, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                questions[row["question_id"]] = {
                    "semantic": ast.literal_eval(row["operations"]),
                    "question": row["question"],
                    "imageId": row["img_id"],
                    "isBalanced": True,
                    "answer": row["answer"],
                    "types": {name: row[f"type_{name}"] for name in ("detailed", "semantic", "structural")},
                }
                size = {"width": int(row["image_w"]), "height": int(row["image_h"])}
                graph = graphs.setdefault(row["img_id"], {**size, "objects": {}})
                for place in PLACES[kind]:
                    if row[f"{place} id"] != ABSENT:
                        box = {side: int(row[f"{place} {side}"]) for side in "xywh"}
                        graph["objects"][row[f"{place} id"]] = {"name": row[f"{place} name"], **box}
    # Another kind of question, of which GQA has many.
    questions["other"] = {**next(iter(questions.values())), "types": {"detailed": "existAttr"}}
    return questions, graphs
