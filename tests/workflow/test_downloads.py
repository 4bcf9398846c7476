"""From addresses to figures: the tiny grid over a mirror that serves a world in the data sets' own archives."""

import copy
import json
import random
import re
import shutil
import subprocess

import pandas as pd
import pytest
import yaml

from tests.mirror import coco_archives, expected, serving, snli_ve_archives, zipped
from tests.workflow.conftest import TINY, Project, copy_project

FIGURES = [f"results/figures/{name}-by-layer.png" for name in ("entailment", "recognition-by-model")]
VAL = "data/coco-2017/archives/val2017.zip"


@pytest.fixture(scope="module")
def archives(world) -> dict[str, dict[str, bytes]]:
    """What each source serves, by file."""
    snli_ve = snli_ve_archives(world / "snli_ve")
    images = {"flickr30k_images.tar.gz": snli_ve.pop("flickr30k_images.tar.gz")}
    return {"coco-2017": coco_archives(world / "coco"), "snli-ve": snli_ve, "flickr30k": images}


@pytest.fixture
def mirror(archives):
    with serving() as mirror:
        for source, files in archives.items():
            mirror.files |= {f"/{source}/{file}": content for file, content in files.items()}
        yield mirror


def study(archives, mirror) -> dict:
    """The tiny grid over downloads, with every address pointed at the mirror as a user would."""
    config = copy.deepcopy(TINY)
    del config["stimuli"]["own"], config["tasks"]["warm"], config["worlds"], config["embedded_models"]
    config["models"] = {"mine": {"source": "models/mine", "batch_size": 32}}
    config["datasets"] = {
        "shapes-coco": {"format": "coco", "download": "coco-2017"},
        "shapes-snli-ve": {"format": "snli-ve", "download": "snli-ve", "download_images": "flickr30k"},
    }
    config["stimuli"]["captions"]["images"] = {"train2017": 40, "val2017": "all"}
    config["stimuli"]["hypotheses"] |= {"images": {"train": 20, "dev": "all", "test": 5}, "pairs_per_label": 1}
    config["stimuli"]["objects"] |= {"images": {"val2017": "all"}, "pairs_per_category": 20}
    config["tasks"]["objects"]["min_per_class"] = 1
    for stimuli in config["stimuli"].values():
        del stimuli["prompts"][1:]
    config["sources"] = {
        source: {
            "base": f"{mirror.address}/{source}",
            "files": {file: {"path": file} | expected(content) for file, content in files.items()},
        }
        for source, files in archives.items()
    }
    return config


@pytest.fixture
def project(tmp_path, archives, mirror, warm) -> Project:
    project = copy_project(tmp_path, warm)
    project.configure(study(archives, mirror))
    return project


def test_from_addresses_to_figures(project, archives, mirror, tiny_llava):
    shutil.copytree(tiny_llava, project.folder / "models/mine")
    project.snakemake(*FIGURES)
    data, results = project.folder / "data", project.folder / "results"
    assert all((project.folder / figure).stat().st_size > 1000 for figure in FIGURES)
    assert sorted(path for path, _ in mirror.requests) == sorted(mirror.files)
    # All that is shown was unpacked, and nothing else.
    shown = [pd.read_parquet(file) for file in results.glob("stimuli/*/*/items.parquet")]
    assert len(shown) == 3
    images = {image for items in shown for image in items["image"]}
    assert images == {str(file.relative_to(project.folder)) for file in data.rglob("*.jpg")}
    assert sum("/train2017/" in image for image in images) == 40
    assert not list(data.rglob("*partial*"))
    assert project.planned(*FIGURES) == {}
    # Another mirror of the same bytes, and archives that were deleted to make room, are no reason to do anything.
    for receipt in data.glob("*/archives/*.json"):
        receipt.with_suffix("").unlink()
    config = study(archives, mirror)
    for source in config["sources"].values():
        source["base"] = "https://elsewhere.invalid"
    project.configure(config)
    assert project.planned(*FIGURES) == {}
    # More images: the archive is gone, and the message says what to do.
    config = study(archives, mirror)
    config["stimuli"]["captions"]["images"]["train2017"] = 50
    project.configure(config)
    error = failure(project, "results/tasks/entailment/task.json")
    assert "train2017.zip was deleted; delete data/coco-2017/archives/train2017.zip.json too" in error
    (data / "coco-2017/archives/train2017.zip.json").unlink()
    (data / "coco-2017/archives/val2017.zip.json").unlink()
    project.snakemake("results/tasks/entailment/task.json")
    assert len(list(data.glob("coco-2017/train2017/*.jpg"))) >= 50


def test_downloads_alone(project, mirror):
    """For a login node: what a study needs and nothing else, each archive with its receipt."""
    config = yaml.safe_load((project.folder / "tiny.yaml").read_text())
    config["tasks"] = {"objects": config["tasks"]["objects"]}
    project.configure(config)
    project.snakemake("downloads")
    needed = ["/coco-2017/annotations_trainval2017.zip", "/coco-2017/val2017.zip"]
    assert sorted(path for path, _ in mirror.requests) == needed
    for path in needed:
        assert (project.folder / f"data/coco-2017/archives/{path.split('/')[-1]}.json").is_file()
    made = {file.name for file in (project.folder / "results").iterdir()}
    assert made == {"README.md", "study.json"}


def failure(project, *targets) -> str:
    result = project.snakemake(*targets, check=False)
    assert result.returncode
    output = result.stdout + result.stderr
    assert "Traceback" not in output
    return output


def test_a_failed_job_is_taken_up_where_it_stopped(project, archives, mirror):
    """What Snakemake deletes of a failed job is not what was downloaded."""
    # Large enough to be read in several pieces.
    content = mirror.files["/coco-2017/val2017.zip"] = zipped(
        {"val2017/noise.jpg": random.Random(0).randbytes(400_000)}
    )
    config = study(archives, mirror)
    config["sources"]["coco-2017"]["files"]["val2017.zip"] |= expected(content)
    project.configure(config)
    mirror.answers, mirror.breaks = [200, 404], [300_000]
    error = failure(project, f"{VAL}.json")
    assert "answers 404 Not Found; correct the address in sources.coco-2017.files.val2017.zip" in error
    kept = (project.folder / f"{VAL}.partial").stat().st_size
    assert kept
    assert not (project.folder / VAL).exists()
    project.snakemake(f"{VAL}.json")
    assert mirror.asked_for("/coco-2017/val2017.zip")[-1] == f"bytes={kept}-"
    assert (project.folder / VAL).read_bytes() == content


def unsafe(content: bytes) -> bytes:
    return zipped({"val2017/../../../../outside.jpg": b"x"})


@pytest.mark.parametrize(
    ("change", "known", "complaint"),
    [
        (lambda content: content[:-1] + b"x", True, "its md5 is"),
        (lambda content: content[:-1000], False, "val2017.zip is damaged or cut short"),
        (unsafe, False, "'val2017/../../../../outside.jpg' would leave the folder"),
    ],
    ids=["wrong checksum", "truncated zip", "path out of the folder"],
)
def test_bad_archives_leave_nothing_that_looks_finished(project, mirror, change, known, complaint):
    mirror.files["/coco-2017/val2017.zip"] = change(mirror.files["/coco-2017/val2017.zip"])
    config = yaml.safe_load((project.folder / "tiny.yaml").read_text())
    if not known:
        config["sources"]["coco-2017"]["files"]["val2017.zip"] |= {"size": None, "md5": None}
    project.configure(config)
    error = failure(project, "results/tasks/objects/task.json")
    assert complaint in error
    files = {file.name for file in (project.folder / "data").rglob("*") if file.is_file()}
    assert not {name for name in files if name.startswith("val2017") or name.endswith((".jpg", ".partial"))}
    assert not list(project.folder.rglob("outside.jpg"))
    assert not list((project.folder / "results").rglob("stimuli.json"))


def test_a_full_disk(project, archives, small_disk):
    """The archive fits, what is in it does not: seen before anything is written, and in one line."""
    config = yaml.safe_load((project.folder / "tiny.yaml").read_text())
    config["pathvars"] = {"data": str(small_disk)}
    project.configure(config)
    room = len(archives["coco-2017"]["annotations_trainval2017.zip"]) + 12_000
    subprocess.run(["mount", "-o", f"remount,size={room}", small_disk], check=True)
    error = failure(project, "--cores", "1", "results/tasks/objects/task.json")
    assert re.search(r"(unpacking annotations_trainval2017|val2017).zip needs .*B, but .* are free; make room", error)
    files = {file.name for file in small_disk.rglob("*") if file.is_file() and not file.name.endswith(".lock")}
    assert files <= {"annotations_trainval2017.zip", "annotations_trainval2017.zip.json"}
    # With more room the same command goes on.
    subprocess.run(["mount", "-o", "remount,size=10m", small_disk], check=True)
    project.snakemake("results/tasks/objects/task.json")


def test_snli_ve_built_from_snli_over_a_folder_of_pictures(project, archives, mirror, world):
    """Flickr30k lies on the disk, so that nothing but SNLI is downloaded; the lists are the user's."""
    lines = [line for part in ("train", "dev", "test") for line in lines_of(world, part)]
    parts = {f"snli_1.0/snli_1.0_{part}.jsonl": lines[i::3] for i, part in enumerate(("train", "dev", "test"))}
    mirror.files["/snli/snli_1.0.zip"] = zipped({name: "\n".join(of).encode() for name, of in parts.items()})
    (project.folder / "lists").mkdir()
    for part, name in (("train", "train"), ("dev", "val"), ("test", "test")):
        ids = dict.fromkeys(json.loads(line)["Flickr30K_ID"] for line in lines_of(world, part))
        (project.folder / f"lists/{name}.txt").write_text("\n".join(ids))
    config = study(archives, mirror)
    config["datasets"]["shapes-snli-ve"] = {
        "format": "snli-ve",
        "download": "snli",
        "splits": "lists",
        "images": str(world / "snli_ve/flickr30k_images"),
        "corrected_labels": {"test": "corrected.csv"},
    }
    config["sources"]["snli"] = {"base": f"{mirror.address}/snli"}
    test = [json.loads(line) for line in lines_of(world, "test")]
    rows = "".join(f"{line['pairID']},{line['gold_label']}\n" for line in test[:-1])
    (project.folder / "corrected.csv").write_text("pairID,gold_label\n" + rows)
    project.configure(config)
    project.snakemake("results/tasks/snli-ve/task.json")
    assert [path for path, _ in mirror.requests] == ["/snli/snli_1.0.zip"]
    described = json.loads(next((project.folder / "results/stimuli/hypotheses").glob("*/stimuli.json")).read_text())
    assert described["pairs_without_corrected_label"] == 1
    provenance = pd.read_parquet(next((project.folder / "results/stimuli/hypotheses").glob("*/provenance.parquet")))
    given = {json.loads(line)["pairID"]: part for part in ("train", "dev", "test") for line in lines_of(world, part)}
    assert len(provenance) > 60
    assert dict(zip(provenance["item_id"], provenance["part"], strict=True)).items() <= given.items()


def lines_of(world, part: str) -> list[str]:
    return (world / f"snli_ve/snli_ve_{part}.jsonl").read_text().splitlines()
