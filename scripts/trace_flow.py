"""Ask one model one set of questions. Measure which attention its right answers need, and where they appear."""

import argparse
import json
from pathlib import Path

from layerwise.flow.program import trace_flow
from layerwise.flow.results import ResultFiles
from layerwise.jobs.command import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model.json")
    parser.add_argument("--questions", type=Path, required=True, help="folder of the questions")
    parser.add_argument("--cell", type=json.loads, required=True, help="what decides the results beside these, as JSON")
    parser.add_argument("--batch-size", type=int, required=True, help="questions that are answered together")
    parser.add_argument("--device-map", type=json.loads, help="how the model is spread over devices, as JSON")
    parser.add_argument("--cards", type=int, default=1, help="how many GPUs to take if no scheduler assigned any")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for work in progress")
    parser.add_argument("--kept", type=Path, help="folder of finished results by content")
    parser.add_argument("--changes", type=Path, required=True, help="Parquet file to write: blocked runs")
    parser.add_argument("--tracing", type=Path, required=True, help="Parquet file to write: what each layer says")
    parser.add_argument("--answers", type=Path, required=True, help="Parquet file to write: the model's answers")
    parser.add_argument("--description", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--heads", type=Path, help="Parquet file to write: blocked heads, if the cell names some")
    options = vars(parser.parse_args())

    files = ResultFiles(**{name: options.pop(name) for name in ResultFiles._fields})
    trace_flow(**options, files=files)


if __name__ == "__main__":
    run(main)
