"""Publish what the workflow made, and refuse what it would make again."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.published import blocks_of, in_a_bare_python
from tests.workflow.conftest import TINY, Project

pytestmark = pytest.mark.slow

TOLD = """
import json
import os
layer = int({layer})
held = predictions[(predictions["layer"] == layer) & (predictions["label"] == {label!r})]
said = dict(zip(held["item_id"], [float(each[0]) for each in held["scores"]]))
print(json.dumps([len(scores), said, dict(zip(items["item_id"], margins[:, 0].tolist()))]))
"""


def publish(project: Project, out: Path, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "layerwise.console", "publish", "tiny.yaml", "--out", str(out), *options]
    environment = os.environ | {"PYTHONPATH": "scripts"}
    return subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True, check=False)


def test_published_probes_say_on_published_states_what_the_study_says(finished, tmp_path):
    out = tmp_path / "published"
    done = publish(finished, out, "--states", "llava/objects/category", "--licence", "cc-by-4.0")
    assert done.returncode == 0, done.stderr
    gathered = {file.stem for file in (finished.folder / "results/probes").glob("*.parquet")}
    assert gathered == {"scores", *(file.stem for file in (out / "tables").glob("*.parquet"))}
    published = [file for file in out.rglob("*") if file.is_file()]
    assert [file for file in published if str(finished.folder).encode() in file.read_bytes()] == []
    load, apply = blocks_of(out / "README.md")
    layer = apply.split('probe["weights"][')[1].split(",")[0]
    label = json.loads((out / "probes/llava/objects/category.json").read_text())["labels"][0]
    printed = in_a_bare_python(load + apply + TOLD.format(layer=layer, label=label), out, tmp_path / "packages")
    number, said, margins = json.loads(printed)
    assert number > 1000
    assert len(said) > 10
    for item, score in said.items():
        assert margins[item] == pytest.approx(score, abs=1e-4)


def test_results_that_a_run_would_make_again_are_not_published(finished, tmp_path):
    changed = copy.deepcopy(TINY)
    changed["probes"]["C"] = [0.01, 0.1]
    finished.configure(changed)
    try:
        done = publish(finished, tmp_path / "published")
    finally:
        finished.configure(TINY)
    assert done.returncode == 1
    assert "older than the config or the code" in done.stderr
    assert "of fit_probes" in done.stderr
    assert "run `snakemake all --cores 2 --configfile tiny.yaml` first" in done.stderr
    assert not (tmp_path / "published").exists()
