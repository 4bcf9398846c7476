"""Reasons for a job, as short as a line, from those that Snakemake itself gives."""

import json
import os
import subprocess
import sys
from itertools import pairwise

from tests.conftest import REPOSITORY

SNAKEFILE = """
import json
from layerwise.jobs.reasons import shorten_reasons
shorten_reasons()
entry = {"text": f"Don't say \\"{config['text'] * 500}\\"\\n; now: x", "image": config["image"]}
rule all:
    input: [f"{i}.txt" for i in range(5)]
    output: "all.txt"
    message: "all"
    shell: "touch {output}"
rule one:
    output: "{i}.txt"
    params: json.dumps({"entry": entry, "dtype": "float32"}), config["resamples"], config["code"], ["a", "b"]
    message: "one {wildcards.i}"
    shell: "touch {output}"
"""


def snakemake(folder, *options, **config):
    (folder / "config.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", "config.json", *options]
    environment = {"PYTHONPATH": str(REPOSITORY / "scripts"), "PATH": os.defpath, "HOME": str(folder)}
    found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    lines = (found.stdout + found.stderr).splitlines()
    return {above.split(": ")[1]: line for above, line in pairwise(lines) if "Reason: " in line}


def test_reasons_name_what_changed_and_a_few_files(tmp_path):
    """Both values of the param have 500 words; the reasons of Snakemake itself take 6,000 characters."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    reasons = snakemake(tmp_path, text="word", image="shown", resamples=100, code="0" * 16)
    assert reasons["one 1"] == "Reason: Missing output files: 1.txt"
    assert reasons["all"].endswith("Input files updated by another job: 0.txt, 1.txt, 2.txt and 2 more")
    reasons = snakemake(tmp_path, "-n", text="other", image="none", resamples=1000, code="f" * 16)
    changed = f'code ("{"0" * 16}" before, "{"f" * 16}" now), '
    changed += 'entry.image ("shown" before, "none" now), entry.text, other params ([100] before, [1000] now)'
    assert reasons["one 1"] == f"Reason: Params have changed since last execution: {changed}"
