"""Compare the best layer below the top with the topmost block under many combinations of choices."""

import argparse
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from layerwise.compare.statistics.specification_effects import effects_of
from layerwise.jobs.command import finished_file, run
from layerwise.probes.kinds.catalogue import PROBE_KINDS
from layerwise.probes.layer_buffer import layer_buffer
from layerwise.probes.options import add_engine_option, add_probe_options, start_engine, start_kind
from layerwise.probes.problems import make_problems
from layerwise.probes.specifications import (
    OWN_SPLIT,
    Specification,
    SpecificationProbes,
    check_shares,
    every_specification,
    seed_of_task,
    within_budget,
)
from layerwise.probes.texts import texts_read
from layerwise.states.cells import planned_content
from layerwise.states.shards import open_states
from layerwise.tasks.labels import read_task
from layerwise.tasks.resplits import resplit, share_of_training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_probe_options(parser)
    add_engine_option(parser)
    parser.add_argument("--prompts", nargs="+", required=True, help="the prompts of the states")
    parser.add_argument("--choices", type=json.loads, required=True, help="the section `specifications`, as JSON")
    parser.add_argument("--model-name", required=True)
    parser.add_argument("--position", required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for what does not fit into memory")
    parser.add_argument("--effects", type=Path, required=True)
    parser.add_argument("--units", type=Path, required=True, help="what images and texts add to the effects")
    args = parser.parse_args()

    labels, task = read_task(args.task)
    choices = args.choices
    every = every_specification(
        *([task["metric"], *choices["metrics"]], choices["C"], choices["raw_states"], choices["split_seeds"]),
        *(args.prompts, {name: PROBE_KINDS[name].has_penalty for name in choices["probes"]}, choices["train_shares"]),
    )
    chosen = within_budget(every, task["metric"], choices["budget"], seed_of_task(args.seed, task["task"]))
    budget = args.memory_mb * 2**20 // 4
    engine, C = start_engine(args, budget)
    kinds = {name: start_kind(PROBE_KINDS[name], args, budget) for name in choices["probes"]}
    tables = []
    with threadpool_limits(args.threads), tqdm(unit="layer", mininterval=5) as progress:
        for prompt, cell in zip(args.prompts, args.cell, strict=True):
            of_prompt = [specification for specification in chosen if specification.prompt == prompt]
            if not of_prompt:
                continue
            with (
                open_states(files_of(prompt, args.states), planned_content(cell, args.stimuli, args.model)) as states,
                layer_buffer(states.shape(args.position), budget, args.work) as buffer,
            ):
                texts = texts_read(args.stimuli, states.cell, states.item_ids)
                made_of = task["labels"], len(task["classes"]), states.item_ids, states.row_of_item
                problems = {
                    key: make_problems(labels.assign(**{"split": part}), *made_of, texts=texts)
                    for key, part in parts_of(labels, task, of_prompt, args.seed).items()
                }
                check_shares(problems)
                top = len(states.layers) - 2
                probes = SpecificationProbes(of_prompt, problems, engine, C, top, kinds)
                # The final norm's output is no candidate.
                for layer in range(top + 1):
                    probes.layer(states.layer(args.position, layer, out=buffer), layer)
                    progress.update()
                probes.warn()
            tables.append(effects_of(probes, task["metric"], args.resamples, args.seed))
    effects, units = (pd.concat(parts, ignore_index=True) for parts in zip(*tables, strict=True))
    described = {"model": args.model_name, "task": task["task"], "possible": len(every)}
    for path, table in ((args.effects, effects), (args.units, units)):
        with finished_file(path) as file:
            table.assign(**described).to_parquet(file, index=False)


def files_of(prompt: str, files: list[Path]) -> list[Path]:
    """The states files of a prompt: one, or its shards."""
    return [file for file in files if re.fullmatch(rf"{re.escape(prompt)}(\.\d+-of-\d+)?\.h5", file.name)]


def parts_of(
    labels: pd.DataFrame, task: dict[str, Any], specifications: list[Specification], seed: int
) -> dict[tuple[str, float], pd.Series]:
    """By split and share of the training images, the part of each row of the labels; of no part if it is left out."""
    splits = {s.split for s in specifications}
    part_of = {
        split: labels["split"] if split == OWN_SPLIT else resplit(labels, task["split"], int(split)) for split in splits
    }
    found = {(split, 1.0): part for split, part in part_of.items()}
    for split, share in sorted({(s.split, s.train_share) for s in specifications}):
        if share < 1:
            kept = share_of_training(labels, part_of[split], share, seed)
            found[split, share] = part_of[split].mask((part_of[split] == "train") & ~labels["group"].isin(kept))
    return found


if __name__ == "__main__":
    run(main)
