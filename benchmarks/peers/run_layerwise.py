"""This project's own extraction, in its own environment: texts share their image's prefix.

It is what extract_states.py does between loading the model and putting its parts together, without the checks of the
first few inputs. The whole study, which the driver runs as programs, has them.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from ours import OurStudy
from serving import Extract, Inputs, serve

from layerwise.jobs.options import Options
from layerwise.models.opening import open_model
from layerwise.states.device import start_torch
from layerwise.states.extract import extract_parts
from layerwise.states.job import Job
from layerwise.states.sharing import least_texts
from layerwise.states.work import work_folder


def load(args: argparse.Namespace) -> Extract:
    """The model, behind this project's readers."""
    study = OurStudy(args.work, args.model, json.loads(args.inputs.read_text()), args.threads)
    device = start_torch(args.threads)
    model = open_model(json.loads(study.model.read_text()), device)
    work = args.work / "parts"
    files = {"model": study.model, "stimuli": study.stimuli, "work": work, "kept": None, "out": study.states}
    how = {"cell": study.cell, "batch_size": 16, "sharing": "auto", "device_map": None, "shard": (1, 1)}

    def extract(inputs: Inputs) -> np.ndarray:
        shutil.rmtree(work, ignore_errors=True)
        job = Job(Options(**files | how))
        rows = job.rows(least_texts(model, job.inputs, "auto", device))
        with work_folder(work, job.fingerprint(device)) as folder:
            parts = extract_parts(model, rows.inputs, rows.parts, job.positions, folder)
            made = np.concatenate([states["last"] for _, states in folder.assemble(parts, job.positions)])
        order = dict(zip(rows.item_ids, rows.row_of_item, strict=True))
        states = made[[order[str(one["id"])] for one in inputs]]
        # All layers but the last block before its norm, which `output_hidden_states` does not return.
        return np.concatenate([states[:, :-2], states[:, -1:]], axis=1)

    return extract


if __name__ == "__main__":
    serve(load)
