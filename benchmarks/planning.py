"""How long Snakemake plans: `snakemake --dry-run` on made-up studies of 100, 1,000 and 10,000 cells.

A cell is a model x task x prompt. Every task here has its own stimuli, which is the most expensive case: each cell is
two jobs, an extraction and a probe. A study is planned before anything is made, and again when everything is finished
(up to 1,000 cells), when Snakemake reads and compares the record of every job. The study's files are empty, because
only their digests matter to a plan.

    python benchmarks/planning.py --full
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
# Models, tasks and prompts of each study.
STUDIES = {"quick": [(5, 4, 5), (20, 5, 10)], "full": [(5, 4, 5), (20, 5, 10), (50, 10, 20)]}
# For more cells than these, recording the files as made takes Snakemake more than ten minutes.
MOST_FINISHED = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="the default: up to 1,000 cells")
    size.add_argument("--full", action="store_true", help="up to 10,000 cells")
    args = parser.parse_args()
    print("| cells | models x tasks x prompts | jobs | s to plan a new study | s to plan a finished one |")
    print("|---:|---|---:|---:|---:|")
    for shape in STUDIES["full" if args.full else "quick"]:
        models, tasks, prompts = shape
        cells, again = models * tasks * prompts, "not measured"
        with tempfile.TemporaryDirectory() as folder:
            study = write_study(Path(folder), *shape)
            new, jobs = plan(study)
            if cells <= MOST_FINISHED:
                finish(study)
                finished, left = plan(study)
                if left:
                    raise SystemExit(f"{left} jobs of a finished study are planned again")
                again = f"{finished:.1f}"
        print(f"| {cells:,} | {models} x {tasks} x {prompts} | {jobs:,} | {new:.1f} | {again} |", flush=True)


def write_study(folder: Path, models: int, tasks: int, prompts: int) -> Path:
    """A study's config in ``folder``; its results belong there too."""
    (folder / "own.csv").write_text("image,text,yes\n" + "".join(f"{i}.png,a,{i % 2}\n" for i in range(4)))
    table = {"kind": "table", "file": str(folder / "own.csv"), "text_column": "text", "labels": ["yes"]}
    config = {
        "prompts": {"table": {f"prompt-{i}": {"text": f"{i}: {{text}}"} for i in range(prompts)}},
        "stimuli": {f"stimuli-{i}": table | {"prompts": [f"prompt-{j}" for j in range(prompts)]} for i in range(tasks)},
        "tasks": {f"task-{i}": {"stimuli": f"stimuli-{i}", "question": "local"} for i in range(tasks)},
        "models": {f"model-{i}": {"source": f"lab/model-{i}", "revision": "0" * 40} for i in range(models)},
        "pathvars": {name: str(folder / name) for name in ("results", "logs")},
    }
    study = folder / "study.yaml"
    study.write_text(yaml.safe_dump(config))
    return study


def snakemake(study: Path, *arguments: str) -> str:
    """Run Snakemake on a study; returns its output. Its records are kept in the study's folder."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", study.parent]
    command += ["--workflow-profile", ROOT / "profiles/default", "--cores", "2", *arguments, "--configfile", study]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stderr}")
    return done.stdout


def plan(study: Path) -> tuple[float, int]:
    """Seconds of a dry run, and how many jobs it plans."""
    start = time.perf_counter()
    said = snakemake(study, "--dry-run", "--quiet", "rules")
    counts = [line.split()[-1] for line in said.splitlines() if line.startswith("total ")]
    return time.perf_counter() - start, int(counts[0]) if counts else 0


def finish(study: Path) -> None:
    """Make every file of a study, with Snakemake's record of its job."""
    for line in snakemake(study, "--summary").splitlines()[1:]:
        file = study.parent / line.split("\t")[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"digest": "0" * 64}) if file.suffix == ".json" else "")
    snakemake(study, "--touch", "--quiet", "all")


if __name__ == "__main__":
    main()
