"""Names, captions and prompts that a shell would take for commands, and a token that must be written nowhere."""

import copy
import csv
import json
import os
import shutil
import subprocess
import sys

import pandas as pd
from PIL import Image

from layerwise.states.store import StatesFile
from layerwise.stimuli.items import read_items
from tests.faults.reliability import fault
from tests.workflow.conftest import TINY, copy_project

# A shell would make the file `canary`; str.format and Snakemake would look for a wildcard.
HOSTILE = "\"'$(touch canary)`touch canary`; touch canary & {text} {{x}} {wildcards.model} %s \\ \n| é <b>"
# Braces around a word alone are a placeholder, and an unknown one is refused.
PROMPT = "Is this so: {text}? \"'$(touch canary)`touch canary`; touch canary & { x } {{}} {a.b} %s \\ \n| é <b>"
TOKEN = "hf_canaryCanaryCanaryCanaryCanary"
TABLES = ["results/tables/table1.md", "results/tables/table2.md"]


@fault(
    "a prompt, a caption or a file name contains quotes, `$(...)`, braces or newlines",
    sees="nothing: the model sees the text unchanged",
    kept="the machine is safe: none of it is run",
)
@fault(
    "a token is in the environment (HF_TOKEN)",
    sees="nothing: only the hub's client gets it",
    kept="the token stays secret: no log, param, record or result contains it",
)
def test_what_a_shell_would_run_goes_through_as_it_is(tmp_path, tiny_llava):
    project = copy_project(tmp_path / "project")
    own = project.folder / "own"
    with open(own / "hostile.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "caption", "warm"])
        for i in range(60):
            name = f"{i} '$(touch canary)' {{model}} \"; touch canary.png"
            colour = (200 - i, 60, 40) if i % 2 else (40, 60, 200 - i)
            Image.new("RGB", (40, 30), colour).save(own / name, format="png")
            rows.writerow([name, f"{i} {HOSTILE}", "yes" if i % 2 else "no"])
    config = copy.deepcopy(TINY)
    del config["embedded_models"]
    config["models"] = {"llava": {"source": str(tiny_llava), "batch_size": 8}}
    table = {"kind": "table", "file": "own/hostile.csv", "labels": ["warm"], "text_column": "caption"}
    config["stimuli"] = {"own": table | {"prompts": ["hostile"]}}
    config["tasks"] = {
        "warm": config["tasks"]["warm"] | {"question": "global", "split": {"by": "random"}, "min_per_class": 1}
    }
    config["prompts"] = {"table": {"hostile": {"text": PROMPT}}}
    config["probes"]["controls"] = {"random_labels": 0, "description_length": False}
    config["states"] = {"positions": ["last"]}
    project.configure(config)
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "results/tables/table1.md",
        "results/tables/table2.md",
        "--cores",
        "2",
    ]
    environment = os.environ | {"HF_TOKEN": TOKEN, "HUGGING_FACE_HUB_TOKEN": TOKEN}
    done = subprocess.run(
        [*command, "--configfile", "tiny.yaml"],
        cwd=project.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not list(project.folder.rglob("canary"))

    with StatesFile(project.folder / "results/states/llava/own/hostile.h5") as states:
        assert states.cell["prompt_entry"]["text"] == PROMPT
        assert len(set(states.row_of_item)) == 60
    items, _ = read_items(next((project.folder / "results/stimuli/own").iterdir()))
    assert set(items["text"]) == {f"{i} {HOSTILE}" for i in range(60)}
    described = json.loads(next(project.folder.glob("results/stimuli/own/*/prompts.json")).read_text())
    assert json.dumps(PROMPT) in json.dumps(described)
    assert len(pd.read_parquet(project.folder / "results/probes/scores.parquet")) > 0

    told = [file for folder in ("results", "logs", ".snakemake") for file in (project.folder / folder).rglob("*")]
    assert not [file for file in told if file.is_file() and TOKEN.encode() in file.read_bytes()]
    assert TOKEN not in done.stdout + done.stderr
    shutil.rmtree(project.folder)
