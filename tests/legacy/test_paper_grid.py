"""config/paper.yaml from addresses to figures: a mirror on this machine for its data sets, tiny models for its four.

Only addresses, paths and sizes are changed. Each model is built from its real code - Kosmos-2 from transformers, the
others from their authors' (see cases.py) - with random weights, in the files that the published one has. A model whose
authors' code cannot be had here is left out; a stand-in for LaVIT's code keeps the second environment in the run.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.legacy.cases import CASES, NotHad, checksums, code_of
from tests.mirror import coco_archives, expected, serving, snli_ve_archives
from tests.workflow.conftest import copy_project

pytestmark = pytest.mark.whole

# Model of the study: case of its code, and the one to fall back on.
OLDER = {"lavit": ("lavit", "lavit-standin"), "emu": ("emu",), "qwen-vl": ("qwen_vl",)}
FIGURES = ["entailment-by-layer", "recognition-by-model-by-layer", "recognition-by-prompt-by-layer"]


def test_the_papers_grid_from_addresses_to_figures(world, environments, tmp_path):
    project = copy_project(tmp_path)
    config = yaml.safe_load((REPOSITORY / "config/paper.yaml").read_text())
    config["pathvars"] = {"environments": str(environments)}
    config["probes"] = {"C": [0.01, 1.0], "resamples": 100}
    config["stimuli"]["captions"]["images"] = {"train2017": 30, "val2017": "all"}
    config["stimuli"]["hypotheses"]["images"] = {"train": 20, "dev": "all", "test": "all"}
    config["stimuli"]["objects"] |= {"images": {"train2017": 40, "val2017": "all"}, "pairs_per_category": 24}
    for task in config["tasks"].values():
        task["min_per_class"] = 1
    config["models"]["kosmos-2"] = config["models"]["kosmos-2"] | {"source": str(kosmos2(tmp_path / "kosmos-2"))}
    needs = {}
    for name, cases in OLDER.items():
        entry = config["models"].pop(name)
        if (code := first_had(cases, tmp_path)) is not None:
            needs[entry["adapter"]] = {"environment": "legacy", "upstream": code[1]}
            config["models"][name] = entry | {"source": str(tmp_path / name / "model"), "dtype": "float32"}
            config["models"][name].pop("revision", None)
    config["adapters"] = needs
    assert len(config["models"]) >= 2
    for name in OLDER.keys() & config["models"].keys():
        entry = config["models"][name]
        build(project, config, name, environments, needs[entry["adapter"]]["upstream"])
        entry["convert"] = checksums(Path(entry["source"]))

    archives = {"coco-2017": coco_archives(world / "coco"), "snli-ve": snli_ve_archives(world / "snli_ve")}
    archives["flickr30k"] = {"flickr30k_images.tar.gz": archives["snli-ve"].pop("flickr30k_images.tar.gz")}
    with serving() as mirror:
        for source, files in archives.items():
            mirror.files |= {f"/{source}/{file}": content for file, content in files.items()}
        config["sources"] = {
            source: {
                "base": f"{mirror.address}/{source}",
                "files": {file: {"path": file} | expected(content) for file, content in files.items()},
            }
            for source, files in archives.items()
        }
        project.configure(config)
        # The server falls out in the middle of the first files, and the run ends; the same command goes on from there.
        mirror.answers, mirror.breaks = [200, 200] + [503] * 1000, [1000, 1000]
        assert project.snakemake("downloads", check=False).returncode != 0
        assert not list((tmp_path / "data").rglob("*.zip"))
        mirror.answers, mirror.breaks = [], []
        project.snakemake()
    assert sum(span == "bytes=1000-" for _, span in mirror.requests) >= 2

    scores = pd.read_parquet(tmp_path / "results/probes/scores.parquet")
    assert set(scores["model"]) == set(config["models"])
    assert set(scores["task"]) == {"entailment", "snli-ve", "snli-ve-binary", "objects"}
    assert scores.groupby("model")["layer"].max().to_dict() == dict.fromkeys(config["models"], 3 + 1)
    for figure in FIGURES:
        assert (tmp_path / f"results/figures/{figure}.png").stat().st_size > 10_000
    assert "kosmos-2" in (tmp_path / "results/tables/table2.md").read_text()
    assert project.planned() == {}


def first_had(cases: tuple[str, ...], folder: Path) -> tuple[str, dict] | None:
    for name in cases:
        try:
            return name, code_of(CASES[name], folder / f"{name}-code")
        except NotHad as error:
            print(f"{name}: {error}", file=sys.stderr)
    return None


def build(project, config: dict, name: str, environments: Path, code: dict) -> None:
    """Make a tiny model of the authors' code, in the folder that the config names."""
    adapter, folder = config["models"][name]["adapter"], Path(config["models"][name]["source"])
    folder.mkdir(parents=True)
    config = {key: config[key] for key in ("pathvars", "adapters")} | {
        "stimuli": {"own": {"kind": "table", "file": "own/colours.csv", "labels": ["warm"], "prompts": ["describe"]}},
        "tasks": {"warm": {"stimuli": "own", "question": "local"}},
        "models": {name: {"source": str(folder), "adapter": adapter}},
    }
    project.configure(config)
    clone = f"results/upstream/{adapter}/{code['commit']}"
    project.snakemake(f"{clone}/cloned.txt")
    image = project.folder / "own/0.png"
    command = [environments / "legacy/bin/python", "tests/legacy/reference.py", adapter, "--out", folder.parent]
    command += ["--code", project.folder / clone / "code" / code["folder"], "--images", image, "--prompts", "A circle?"]
    made = subprocess.run(list(map(str, command)), cwd=project.folder, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


def kosmos2(folder: Path) -> Path:
    """A tiny Kosmos-2 with its own processor, as ``save_pretrained`` writes it."""
    import torch

    from tests.families.queries import kosmos2

    torch.manual_seed(0)
    model, processor = kosmos2()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    return folder
