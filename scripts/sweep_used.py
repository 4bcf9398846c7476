"""Erase a concept behind each block, or steer along it, and measure a model's answers and what probes find above."""

import argparse
import json
from pathlib import Path

from layerwise.jobs.command import run
from layerwise.used.program import sweep_used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model.json")
    parser.add_argument("--stimuli", type=Path, required=True, help="folder of the stimulus set")
    parser.add_argument("--task", type=Path, required=True, help="folder of the task")
    parser.add_argument("--cell", type=json.loads, required=True, help="what decides the results beside these, as JSON")
    parser.add_argument("--concept", type=Path, required=True, help="fitted concept of the cell")
    parser.add_argument("--others", type=json.loads, default={}, help="JSON: by task/prompt, other tasks' concepts")
    parser.add_argument("--probes", type=Path, required=True, help="kept probes of the cell")
    parser.add_argument("--device-map", type=json.loads, help="how the model is spread over devices, as JSON")
    parser.add_argument("--cards", type=int, default=1, help="how many GPUs to take if no scheduler assigned any")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for work in progress")
    parser.add_argument("--kept", type=Path, help="folder of finished results by content")
    parser.add_argument("--out", type=Path, required=True, help="Parquet file to write: answers of changed runs")
    parser.add_argument("--above", type=Path, required=True, help="Parquet file to write: what probes find above")
    sweep_used(**vars(parser.parse_args()))


if __name__ == "__main__":
    run(main)
