"""Make a task: labels and splits over a stimulus set."""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise.config.tasks import R2
from layerwise.errors import InputError
from layerwise.jobs.command import finished_file, run
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.probes.metrics.checks import check_suits
from layerwise.probes.power import HeldOutSize, planned_difference, warning_of
from layerwise.stimuli.duplicates import keep_apart
from layerwise.stimuli.items import described_stimuli, read_items
from layerwise.stimuli.parts import official_parts
from layerwise.tasks.labels import build_task
from layerwise.tasks.numbers import build_number_task
from layerwise.tasks.unseen_texts import SEEN, numbered_texts

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--entry", type=json.loads, required=True, help="the config entry, as JSON")
    parser.add_argument("--stimuli", type=Path, required=True, help="folder of the stimulus set")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the task")
    args = parser.parse_args()

    stimuli = described_stimuli(args.stimuli)
    provenance = pd.read_parquet(args.stimuli / "provenance.parquet")
    duplicates = pd.read_csv(args.stimuli / "duplicates.csv", dtype=str, keep_default_na=False)
    provenance, joined = keep_apart(provenance, duplicates, args.entry["split"], official_parts(stimuli["kind"]))
    if left_out := joined["images_left_out_as_duplicates"]:
        log.warning(
            "%d images are left out: they, or images of their group, are also in an official part nearer to the test: "
            "%s%s",
            *(len(left_out), ", ".join(left_out[:10]), ", ..." if len(left_out) > 10 else ""),
        )
    objects = pd.read_parquet(args.stimuli / "objects.parquet") if "knowledge" in args.entry else None
    try:
        if args.entry["metric"] == R2:
            labels, description = build_number_task(
                provenance, stimuli["kind"], args.entry, args.seed, objects, stimuli.get("labels")
            )
        else:
            texts = None
            if "unseen_texts" in args.entry["split"]:
                texts = numbered_texts(read_items(args.stimuli)[0], args.entry["split"].get("seed", args.seed))
            labels, description = build_task(
                provenance,
                stimuli["kind"],
                args.entry,
                args.seed,
                stimuli["categories"],
                objects,
                texts,
                stimuli.get("labels"),
            )
    except InputError as error:
        alike = (
            f" ({joined['joined_groups']} groups were joined because their pictures are alike, see "
            f"{args.stimuli / 'duplicates.csv'}; split.join_similar: false joins equal ones alone)"
        )
        raise InputError(f"tasks.{args.name}: {error}{alike if joined['joined_groups'] else ''}") from error
    if not description.get("test_parts", {}).get(SEEN, {"items": 1})["items"]:
        log.warning("tasks.%s: split.unseen_texts: every test item reads a text that no other item reads", args.name)
    if not (labels["split"] == "test").any():
        raise InputError(
            f"tasks.{args.name}: there is no test item: {labels['group'].nunique()} groups are too few to divide; "
            "sample more images, or raise split.test and min_per_class"
        )
    told: dict[str, Any] = {}
    if description["classes"]:
        check_suits(args.entry["metric"], description["kind"], f"tasks.{args.name}.metric")
        size = HeldOutSize.of(labels.loc[labels["split"] == "test", "group"].to_numpy())
        smallest = planned_difference(size)
        told["smallest_difference"] = None if np.isnan(smallest) else round(smallest, 4)
        if warning := warning_of(args.name, size, smallest, METRICS[args.entry["metric"]].least_images):
            log.warning("%s", warning)
            told["warning"] = warning
    with finished_file(args.out / "labels.parquet") as file:
        labels.to_parquet(file, index=False)
    description = {
        "task": args.name,
        "stimuli": args.entry["stimuli"],
        "question": args.entry["question"],
        "metric": args.entry["metric"],
        **description,
        "split": {"seed": args.seed, **args.entry["split"]},
        **joined,
        **told,
        "sources": stimuli["sources"],
    }
    with finished_file(args.out / "task.json") as file:
        file.write_text(json.dumps(description, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
