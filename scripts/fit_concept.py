"""Fit what erases the concept of a task from a model's hidden states, and what steers them along it, block by block."""

import argparse
import json
from pathlib import Path

from threadpoolctl import threadpool_limits
from tqdm import tqdm

from layerwise.jobs.command import finished_file, run
from layerwise.models.interventions.concept_file import write_concept
from layerwise.probes.kept import KeptProbes
from layerwise.probes.layer_buffer import layer_buffer
from layerwise.states.cells import planned_content
from layerwise.states.shards import open_states
from layerwise.tasks.labels import read_task
from layerwise.used.concepts.fitting import ConceptProbes, FittedConcept
from layerwise.used.concepts.labelled import Labelled, concept_cell


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--states", type=Path, required=True, nargs="+", help="states file, or all its shards")
    parser.add_argument("--cell", type=json.loads, required=True, help="what the states must be made from, as JSON")
    parser.add_argument("--stimuli", type=Path, required=True, help="folder of the stimulus set")
    parser.add_argument("--model", type=Path, required=True, help="model.json")
    parser.add_argument("--task", type=Path, required=True, help="folder of the task")
    parser.add_argument("--probes", type=Path, required=True, help="kept probes of the same cell")
    parser.add_argument("--position", required=True)
    parser.add_argument("--draws", type=int, required=True, help="controls of each kind")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--memory-mb", type=int, required=True, help="memory of the job")
    parser.add_argument("--work", type=Path, required=True, help="folder for what does not fit into memory")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    labels, task = read_task(args.task)
    with (
        open_states(args.states, planned_content(args.cell, args.stimuli, args.model)) as states,
        threadpool_limits(args.threads),
        layer_buffer(states.shape(args.position), args.memory_mb * 2**20 // 4, args.work) as buffer,
        KeptProbes(args.probes) as kept,
    ):
        labelled = Labelled.of(task, labels, states.item_ids, states.row_of_item)
        cell = concept_cell(task, labels, states.cell, args.position)
        probes = ConceptProbes(kept, states.layers, cell)
        fitted = FittedConcept(labelled, cell, args.draws, args.seed)
        for block in tqdm(range(1, len(states.layers) - 1), unit="block", mininterval=5):
            fitted.block(block, states.layer(args.position, block, out=buffer), probes.layer(block))
    with finished_file(args.out) as file:
        write_concept(file, fitted.told, fitted.concepts)


if __name__ == "__main__":
    run(main)
