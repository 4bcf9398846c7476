"""From repositories of the hub to figures: downloaded in spite of a cut, offline afterwards, and rerun by revision."""

import copy
import hashlib
import io
import json
import random
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from layerwise.datasets.hub_files import read_receipt
from tests.hub import COMMIT, Hub, card, parquet
from tests.workflow.conftest import TINY, Project, copy_project

RELATIONS = ["left of", "right of", "above"]
CITED = "@article{relations,\n  title={Relations},\n  year={2023}\n}"
# Commits after the first one: with another licence, and with another question.
RELICENSED, REWORDED = (hashlib.sha1(name).hexdigest() for name in (b"relicensed", b"reworded"))
TABLES = ["results/tables/table1.md", "results/tables/table2.md"]
FIGURES = ["results/figures/entailment-by-layer.png", "results/figures/recognition-by-model-by-layer.png"]
NOWHERE = "http://127.0.0.1:9"


def picture(seed: int, size: int) -> bytes:
    """A photograph's file: noise cannot be compressed."""
    file = io.BytesIO()
    Image.frombytes("RGB", (size, size), random.Random(seed).randbytes(3 * size * size)).save(file, "PNG")
    return file.getvalue()


def questions(size: int) -> Hub:
    """Pictures inside rows, two questions about each; no split but one, and no configuration."""
    rows = [(number, answer) for number in range(30) for answer in ("yes", "no")]
    pictures = [picture(number, size) for number in range(30)]
    table = {
        "image": [{"bytes": pictures[number], "path": f"{number}.png"} for number, _ in rows],
        "question": [
            f"Is there a {'dog' if answer == 'yes' else 'cat'} in picture {number}?" for number, answer in rows
        ],
        "answer": [answer for _, answer in rows],
    }
    files = {"README.md": card(license="mit"), "data/test-00000-of-00001.parquet": parquet(table)}
    return Hub("lab/questions", files, "dataset")


def relations() -> Hub:
    """ClassLabel in two configurations of several splits, and pictures beside the tables."""
    files = {}
    for place, (split, count) in enumerate({"train": 36, "validation": 12, "test": 18}.items()):
        names = [f"pictures of {split}/it's {number}.png" for number in range(count)]
        files |= {name: picture(1000 * (place + 1) + number, 40) for number, name in enumerate(names)}
        rows = {
            "picture": names,
            "text": [f"Where is thing {number % 4}?" for number in range(count)],
            "relation": [number % 3 for number in range(count)],
        }
        # Another column, so that the other configuration is no table that this study could read.
        files[f"full/{split}.parquet"] = parquet({"other": [1]})
        files[f"small/{split}-00000-of-00001.parquet"] = parquet(rows, {"relation": RELATIONS})
    configs = [
        {
            "config_name": name,
            "data_files": [{"split": split, "path": f"{name}/{split}*"} for split in ("train", "validation", "test")],
        }
        for name in ("full", "small")
    ]
    files["README.md"] = card(f"# Citation\n```\n{CITED}\n```\n", license="cc-by-4.0", configs=configs)
    found = Hub("lab/relations", files, "dataset")
    found.commits[RELICENSED] = files | {"README.md": card(license="cc-by-nc-4.0", configs=configs)}
    rows["text"][0] = "Where is everything?"
    changed = {"small/test-00000-of-00001.parquet": parquet(rows, {"relation": RELATIONS})}
    found.commits[REWORDED] = found.commits[RELICENSED] | changed
    return found


def study() -> dict:
    """A grid over both data sets."""
    config = copy.deepcopy(TINY)
    del config["worlds"], config["embedded_models"]
    config["models"] = {"mine": {"source": "models/mine", "batch_size": 32}}
    config["datasets"] = {
        "questions": {"format": "hub", "repository": "lab/questions", "revision": COMMIT},
        "relations": {
            "format": "hub",
            "repository": "lab/relations",
            "revision": COMMIT,
            "configuration": "small",
            "pictures": ["pictures of */*"],
        },
    }
    config["prompts"] = {"table": {"asked": {"text": "{text}"}}}
    config["stimuli"] = {
        "questions": {
            "kind": "table",
            "dataset": "questions",
            "images": {"test": "all"},
            "text_column": "question",
            "labels": {"answer": {"classes": {"yes": "present", "no": "absent"}}},
            "prompts": ["asked"],
        },
        "relations": {
            "kind": "table",
            "dataset": "relations",
            "images": {"train": "all", "validation": "all", "test": "all"},
            "image_column": "picture",
            "text_column": "text",
            "labels": ["relation"],
            "prompts": ["asked"],
        },
    }
    config["tasks"] = {
        "questions": {"stimuli": "questions", "question": "global", "min_per_class": 1},
        "relations": {"stimuli": "relations", "question": "local", "split": {"by": "official"}, "min_per_class": 1},
    }
    config["states"] = {"positions": ["last"]}
    config["probes"] |= {"controls": {"random_labels": 0, "description_length": False}}
    return config


@pytest.fixture
def project(tmp_path, warm, tiny_llava, monkeypatch) -> Project:
    project = copy_project(tmp_path / "project", warm)
    shutil.copytree(tiny_llava, project.folder / "models/mine")
    project.configure(study())
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return project


def revise(project: Project, commit: str) -> None:
    config = study()
    config["datasets"]["relations"]["revision"] = commit
    project.configure(config)


def sources(project: Project, stimuli: str) -> list[dict]:
    """Of the newest recipe."""
    files = sorted(
        project.folder.glob(f"results/stimuli/{stimuli}/*/stimuli.json"), key=lambda file: file.stat().st_mtime
    )
    return json.loads(files[-1].read_text())["sources"]


@pytest.mark.slow
def test_downloads_are_planned_with_their_origin_and_made_once(project, serve_hub, monkeypatch):
    hub, other = questions(24), relations()
    monkeypatch.setenv("HF_ENDPOINT", serve_hub(hub, other).address)
    plan = project.snakemake("stimuli", "--dry-run").stdout
    origin = "{name} from the Hugging Face hub: lab/{name} at 0123456789ab, {splits} (licence: {licence})"
    for name, splits in {"questions": "split test", "relations": "splits test, train, validation"}.items():
        page = f"see https://huggingface.co/datasets/lab/{name}"
        assert f"Download {origin.format(name=name, splits=splits, licence=page)}" in plan
    project.snakemake("stimuli")
    assert not any("full/" in path or path.endswith(".py") for path in other.sent)
    (source,) = sources(project, "questions")
    assert (source["repository"], source["revision"], source["licence"]) == ("lab/questions", COMMIT, "mit")
    (table,) = project.folder.glob("results/stimuli/relations/*/items.parquet")
    items = pd.read_parquet(table)
    assert len(items) == 36 + 12 + 18
    receipts = [read_receipt(file) for file in project.folder.glob(f"data/hub/*/{COMMIT}/*.json")]
    (root,) = [str(receipt.root) for receipt in receipts if receipt.repository == "lab/relations"]
    assert items["image"].str.startswith(f"{root}/pictures of ").all()
    labels = pd.read_parquet(table.with_name("provenance.parquet"))["label:relation"]
    assert labels.value_counts().to_dict() == dict.fromkeys(RELATIONS, 22)
    # Offline, nothing is left to do.
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    assert project.planned("stimuli") == {}
    # Known by now, the licence is told with what else is downloaded of the same commit. The other set stays as it is.
    config = study()
    del config["stimuli"]["relations"]["images"]["train"]
    project.configure(config)
    plan = project.snakemake("stimuli", "--dry-run").stdout
    jobs = dict(re.findall(r"^([\w-]+) +(\d+)$", plan, flags=re.MULTILINE))
    rerun = {"download_hub_files": "1", "make_stimuli": "1", "check_prompts": "1"}
    assert jobs == rerun | {"stimuli": "1", "total": "4"}
    fewer = {"name": "relations", "splits": "splits test, validation"}
    assert f"Download {origin.format(**fewer, licence='cc-by-4.0')}" in plan
    config["datasets"]["relations"]["licence"] = "for research alone"
    project.configure(config)
    plan = project.snakemake("stimuli", "--dry-run").stdout
    assert f"Download {origin.format(**fewer, licence='for research alone')}" in plan
    # Its files are there already.
    project.snakemake("stimuli")


@pytest.mark.whole
def test_from_repositories_to_figures(project, serve_hub, monkeypatch):
    hub, other = questions(400), relations()
    monkeypatch.setenv("HF_ENDPOINT", serve_hub(hub, other).address)
    (table,) = [path for path in hub.files if path.endswith(".parquet")]
    # The connection breaks in the middle of the pictures.
    hub.left = 11 << 20
    cut = project.snakemake(*TABLES, *FIGURES, check=False)
    assert cut.returncode
    assert f"Missing: {table}. What was downloaded is kept; the same command goes on." in cut.stdout + cut.stderr
    hub.left, hub.sent = None, {}
    project.snakemake(*TABLES, *FIGURES)
    assert hub.sent == {table: [(10 << 20, len(hub.files[table]))]}
    assert all((project.folder / figure).stat().st_size > 1000 for figure in FIGURES)
    said = (project.folder / TABLES[0]).read_text()
    assert re.search(r"\| lab/questions \| questions \| 0123456789ab \| mit \| not stated \|", said)
    assert re.search(
        r"\| lab/relations \| relations \| 0123456789ab \| cc-by-4.0 \| @article\{relations, title=\{Rela", said
    )
    # Once everything is there, nothing is asked for, and nothing is left to do.
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    hub.asked, other.asked = [], []
    assert project.planned(*TABLES, *FIGURES) == {}
    # Nor does it take the downloads: the hub's cache may be cleared.
    snapshots = [json.loads(file.read_text())["root"] for file in project.folder.glob("data/hub/**/*.json")]
    for root in map(Path, set(snapshots)):
        root.rename(f"{root}-away")
    assert project.planned(*TABLES, *FIGURES) == {}
    for root in map(Path, set(snapshots)):
        Path(f"{root}-away").rename(root)
    monkeypatch.setenv("HF_ENDPOINT", hub.address)

    # A commit that changes no table makes the stimuli again, keeps their states, and tells the new licence.
    revise(project, RELICENSED)
    rerun = {"download_hub_files": 1, "make_stimuli": 1, "check_prompts": 1, "make_task": 1, "extract_states": 1}
    planned = project.planned(*TABLES, *FIGURES)
    assert planned | rerun == planned
    assert planned["fit_probes"] == 1
    before = {
        file: file.stat().st_mtime_ns for file in project.folder.glob("results/**/questions/**/*") if file.is_file()
    }
    other.sent = {}
    project.snakemake(*TABLES, *FIGURES)
    assert list(other.sent) == ["README.md"]
    log = (project.folder / "logs/states/mine/relations/asked.log").read_text()
    assert "its content exists already" in log
    said = (project.folder / TABLES[0]).read_text()
    assert re.search(rf"\| lab/relations \| relations \| {RELICENSED[:12]} \| cc-by-nc-4.0 \| not stated \|", said)

    # One that changes a row runs the model over this data set alone.
    revise(project, REWORDED)
    other.sent = {}
    project.snakemake(*TABLES, *FIGURES)
    assert list(other.sent) == ["small/test-00000-of-00001.parquet"]
    assert "its content exists already" not in (project.folder / "logs/states/mine/relations/asked.log").read_text()
    assert before
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert not hub.asked
