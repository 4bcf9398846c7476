"""Train a route from the layers below to the top of a frozen model, and the probe that it is compared with."""

import argparse
import json
from pathlib import Path

from layerwise.jobs.command import run
from layerwise.used.routes.files import RouteFiles
from layerwise.used.routes.program import train_route


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--states", type=Path, required=True, nargs="+", help="states file, or all its shards")
    parser.add_argument("--cell", type=json.loads, required=True, help="what the states must be made from, as JSON")
    parser.add_argument("--route", type=json.loads, required=True, help="what decides the route, as JSON")
    parser.add_argument("--model", type=Path, required=True, help="model.json")
    parser.add_argument("--head", type=Path, required=True, help="head.safetensors of the model")
    parser.add_argument("--stimuli", type=Path, required=True, help="folder of the stimulus set")
    parser.add_argument("--task", type=Path, required=True, help="folder of the task")
    parser.add_argument("--batch-size", type=int, required=True, help="inputs per forward pass")
    parser.add_argument("--device-map", type=json.loads, help="how the model is spread over devices, as JSON")
    parser.add_argument("--cards", type=int, default=1, help="how many GPUs to take if no scheduler assigned any")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for work in progress")
    parser.add_argument("--kept", type=Path, help="folder of finished routes by content")
    parser.add_argument("--control", type=Path, required=True, help="Parquet file to write: what the probe finds")
    parser.add_argument("--out", type=Path, required=True, help="safetensors file to write: the route")
    options = vars(parser.parse_args())

    files = RouteFiles(control=options.pop("control"), route=options.pop("out"))
    train_route(**options, files=files)


if __name__ == "__main__":
    run(main)
