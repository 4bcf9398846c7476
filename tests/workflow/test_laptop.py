"""config/laptop.yaml: planned as it is, and run to figures on stand-ins of its models and data."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
import transformers
import yaml
from PIL import Image

from layerwise.study import Study
from tests.conftest import REPOSITORY
from tests.families.idefics import smolvlm
from tests.hub import environment, serve
from tests.standins import STAND_INS, picture
from tests.workflow.conftest import Project, copy_project

FILE = REPOSITORY / "config/laptop.yaml"
PICTURES = 24


def make_models(folder: Path, name: str, seed: int) -> tuple[str, str]:
    """Write a tiny SmolVLM and a language model with its decoder; their folders."""
    torch.manual_seed(seed)
    model, processor = smolvlm()
    language = transformers.LlamaForCausalLM(model.config.text_config)
    language.model.load_state_dict(model.model.text_model.state_dict())
    seeing, reading = folder / name, folder / f"{name}-text"
    for each, words, out in ((model, processor, seeing), (language, processor.tokenizer, reading)):
        each.save_pretrained(out)
        words.save_pretrained(out)
    return str(seeing), str(reading)


def make_coco(folder: Path, categories: list[str]) -> None:
    """Write pictures with annotations and captions in COCO's format; half of them have each category."""
    images, boxes, captions = [], [], []
    for number in range(1, PICTURES + 1):
        name = f"{number:012}.jpg"
        (folder / "val2017").mkdir(parents=True, exist_ok=True)
        (folder / "val2017" / name).write_bytes(picture(f"laptop {number}"))
        width, height = Image.open(folder / "val2017" / name).size
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        there = [place for place in range(len(categories)) if (number >> place % 4) + place // 4 & 1]
        for place in there or [0]:
            box = {"id": len(boxes) + 1, "image_id": number, "category_id": place + 1, "bbox": [1, 2, 20, 20]}
            boxes.append(box | {"area": 400, "iscrowd": 0})
        said = " and ".join(f"a {categories[place]}" for place in there) or "something else"
        captions.append({"id": number, "image_id": number, "caption": f"Picture {number} shows {said}."})
    kinds = [{"id": place + 1, "name": name, "supercategory": "things"} for place, name in enumerate(categories)]
    (folder / "annotations").mkdir()
    for file, content in (
        ("instances_val2017", {"images": images, "annotations": boxes, "categories": kinds}),
        ("captions_val2017", {"images": images, "annotations": captions}),
    ):
        (folder / f"annotations/{file}.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def project(tmp_path_factory, warm) -> Project:
    """The study as it is, but for sizes and paths."""
    project = copy_project(tmp_path_factory.mktemp("laptop"), warm)
    study = yaml.safe_load(FILE.read_text())
    study["include"] = ["config/recipes/pope.yaml"]
    study["pathvars"] = {"results": "results"}
    for seed, size in enumerate((("256m", "135m"), ("500m", "360m"))):
        folders = make_models(project.folder / "models", size[0], seed)
        for name, source in zip((f"smolvlm-{size[0]}", f"smollm2-{size[1]}"), folders, strict=True):
            study["models"][name]["source"] = source
    make_coco(project.folder / "coco", study["stimuli"]["objects"]["categories"])
    study["datasets"]["coco"] = {"format": "coco", "images": "coco", "annotations": "coco/annotations"}
    for name in ("captions", "objects"):
        study["stimuli"][name]["images"] = {"val2017": "all"}
    study["stimuli"]["pope-adversarial"]["images"] = {"test": 20}
    study["tasks"] |= {
        name: study["tasks"].get(name, {}) | {"min_per_class": 1} for name in study["models"]["smolvlm-256m"]["tasks"]
    }
    study["probes"] = {"C": [1.0], "resamples": 100}
    project.configure(study)
    return project


def test_it_is_what_it_says():
    study = Study.load(FILE)
    cells = study.grid.states_cells()
    assert len(study.config.models) == 4
    for name, model in study.config.models.items():
        prompts = {cell.prompt for cell in cells if cell.model == name}
        texts = {"agree-text-only", "category-text-only", "pope-text-only"}
        if model.processor is None:
            assert prompts == texts
        else:
            assert prompts == texts | {"agree", "no-cue", "category", "pope"}
            # A tile of 512 pixels has as many tokens as the cost is estimated with.
            assert model.processor == {"size": {"longest_edge": 512}, "do_image_splitting": False}
            assert model.expected.image_tokens == 64


@pytest.mark.slow
def test_it_is_planned_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    project = copy_project(tmp_path / "project")
    planned = project.snakemake("--dry-run", "--quiet", "rules", configfile="config/laptop.yaml").stdout
    jobs = [line.split() for line in planned.splitlines()]
    for rule, count in (("set_processor", 2), ("register_model", 4), ("extract_states", 2 * 7 + 2 * 3)):
        assert [rule, str(count)] in jobs


# Some 200 jobs.
@pytest.mark.whole
@pytest.mark.timeout(1800)
def test_it_runs_to_figures(project, monkeypatch):
    with serve(*STAND_INS["pope"]().hubs("pope")) as hub:
        for key, value in environment(hub, project.folder).items():
            if key.startswith("HF_"):
                monkeypatch.setenv(key, value)
        project.snakemake("downloads")
    project.snakemake()
    results = project.folder / "results"
    scores = pd.read_parquet(results / "probes/scores.parquet")
    assert set(scores["model"]) == {"smolvlm-256m", "smolvlm-500m", "smollm2-135m", "smollm2-360m"}
    assert set(scores["task"]) == {"captions", "objects", "pope-adversarial"}
    (described,) = (results / "models/smolvlm-256m").glob("*/model.json")
    assert json.loads(described.read_text())["image_processor"]["settings"]["do_image_splitting"] is False
    for figure in (
        "entailment-by-layer",
        "recognition-by-prompt-by-layer",
        "which-layer",
        "known-and-said-smolvlm-256m",
    ):
        assert (results / f"figures/{figure}.png").stat().st_size > 1000
    assert (results / "explore/index.html").exists()
    assert project.planned() == {}
