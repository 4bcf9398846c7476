"""VLM-Lens: its own program over a data set on disk, and its database read afterwards."""

import argparse
import io
import json
import sqlite3
import sys

import numpy as np
from serving import Extract, Inputs, serve

# Types of models in transformers, and what VLM-Lens calls them.
ARCHITECTURES = {"llava": "llava", "llava_next": "llavanext", "paligemma": "paligemma", "qwen2_vl": "qwen"}


def load(args: argparse.Namespace) -> Extract:
    """The model in its own class, set up by a configuration file as its README describes."""
    import datasets
    import torch
    import yaml

    torch.set_num_threads(args.threads)

    with open(f"{args.model}/config.json") as file:
        described = json.load(file)
    architecture = ARCHITECTURES.get(described["model_type"])
    if architecture is None:
        sys.exit(f"VLM-Lens has no class for the model type {described['model_type']}")
    blocks = described["text_config"]["num_hidden_layers"]
    decoder = "model.language_model"
    modules = [f"{decoder}.embed_tokens", *(f"{decoder}.layers.{i}" for i in range(blocks - 1)), f"{decoder}.norm"]
    rows = json.loads(args.inputs.read_text())
    table = {"id": [row["id"] for row in rows], "prompt": [row["text"] for row in rows]}
    datasets.Dataset.from_dict(table | {"image": [row["image"] for row in rows]}).save_to_disk(args.work / "data")
    configuration = {
        "architecture": architecture,
        "model_path": args.model,
        "model": [{"dtype": "float32"}],
        "modules": modules,
        "dataset": [{"local_dataset_path": str(args.work / "data")}],
    }
    (args.work / "vlm_lens.yaml").write_text(yaml.safe_dump(configuration))
    # Its configuration reads the command line.
    sys.argv = ["vlm-lens", "--config", str(args.work / "vlm_lens.yaml"), "--device", "cpu"]
    sys.path.insert(0, args.source)
    from src.main import get_model
    from src.models.config import Config

    config = Config()
    tool = get_model(config.architecture, config)

    def extract(inputs: Inputs) -> np.ndarray:
        database = args.work / "states.db"
        database.unlink(missing_ok=True)
        config.output_db = str(database)
        tool.run()
        return read_last(database, [one["id"] for one in inputs], modules)

    return extract


def read_last(database: str, ids: list[int], modules: list[str]) -> np.ndarray:
    """The last token's states; the database holds those of all tokens."""
    import torch

    place = {name: layer for layer, name in enumerate(modules)}
    rows = {one: row for row, one in enumerate(ids)}
    found = {}
    with sqlite3.connect(database) as connection:
        for one, layer, stored in connection.execute("SELECT image_id, layer, tensor FROM tensors"):
            found[rows[one], place[layer]] = torch.load(io.BytesIO(stored), weights_only=True)[0, -1]
    states = [torch.stack([found[row, layer] for layer in range(len(modules))]) for row in range(len(ids))]
    return torch.stack(states).numpy()


if __name__ == "__main__":
    serve(load)
