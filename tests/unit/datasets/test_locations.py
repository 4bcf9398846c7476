"""Which archives a study needs, where they come from, and how a mistake in that is told."""

import copy
import shutil
from pathlib import Path
from typing import Literal

import pytest
import yaml

from layerwise.datasets.catalogue import ANNOTATED, FORMATS, PACKINGS, QUESTIONS
from layerwise.datasets.format import FolderFormat
from layerwise.datasets.formats.snli import split_lists
from layerwise.errors import InputError
from layerwise.stimuli.catalogue import KINDS
from layerwise.study import Study
from tests.conftest import REPOSITORY


@pytest.fixture
def downloading(study) -> dict:
    """The demo's grid over the real data sets, as far as that can be planned without them."""
    del study["flow"]
    study |= yaml.safe_load((REPOSITORY / "config/sources.yaml").read_text())
    study["datasets"] = {
        "shapes-coco": {"format": "coco", "download": "coco-2017"},
        "shapes-snli-ve": {"format": "snli-ve", "download": "snli-ve", "download_images": "flickr30k"},
    }
    return study


def checked(config: dict) -> Study:
    return Study.from_config(copy.deepcopy(config))


def archives(study: Study, stimuli: str) -> list[str]:
    entry = study.config.stimuli[stimuli]
    receipts = study.data.receipts(*KINDS[entry.kind].reads(entry))
    return [receipt.removesuffix(".json") for receipt in receipts]


def test_only_the_archives_of_sampled_parts_are_needed(downloading, tmp_path):
    assert archives(checked(downloading), "captions") == [
        "data/coco-2017/archives/annotations_trainval2017.zip",
        "data/coco-2017/archives/train2017.zip",
        "data/coco-2017/archives/val2017.zip",
    ]
    downloading["stimuli"]["captions"]["images"] = {"val2017": 100}
    downloading["stimuli"]["hypotheses"]["images"] = {"test": "all"}
    downloading["pathvars"] = {"data": "/scratch/data"}
    study = checked(downloading)
    assert archives(study, "captions") == [
        "/scratch/data/coco-2017/archives/annotations_trainval2017.zip",
        "/scratch/data/coco-2017/archives/val2017.zip",
    ]
    assert archives(study, "hypotheses") == [
        "/scratch/data/snli-ve/archives/snli_ve_test.jsonl.gz",
        "/scratch/data/flickr30k/archives/flickr30k_images.tar.gz",
    ]


def test_what_is_there_is_not_downloaded(downloading, world):
    coco, flickr = world / "coco", world / "snli_ve/flickr30k_images"
    datasets = downloading["datasets"]
    datasets["shapes-coco"]["images"] = str(coco)
    datasets["shapes-snli-ve"] = {"format": "snli-ve", "download": "snli-ve", "images": str(flickr)}
    study = checked(downloading)
    assert archives(study, "captions") == ["data/coco-2017/archives/annotations_trainval2017.zip"]
    assert study.data.folders("shapes-coco") == {"annotations": "data/coco-2017/annotations", "images": str(coco)}
    assert not any("flickr30k" in archive for archive in archives(study, "hypotheses"))
    del datasets["shapes-coco"]["images"]
    datasets["shapes-coco"]["annotations"] = str(coco / "annotations")
    study = checked(downloading)
    assert [Path(archive).name for archive in archives(study, "captions")] == ["train2017.zip", "val2017.zip"]
    datasets["shapes-coco"] = {"format": "coco", "images": str(coco), "annotations": str(coco / "annotations")}
    assert archives(checked(downloading), "captions") == []


def test_snli_ve_from_snli_needs_lists(downloading, tmp_path):
    dataset = downloading["datasets"]["shapes-snli-ve"]
    dataset["download"] = "snli"
    study = checked(downloading)
    served = [Path(archive).name for archive in archives(study, "hypotheses")]
    assert served == ["snli_1.0.zip", "flickr30k_train_val.lst", "flickr30k_test.lst", "flickr30k_images.tar.gz"]
    assert study.data.folders("shapes-snli-ve")["annotations"] == "data/snli/snli_ve"
    dataset["splits"] = str(tmp_path)
    for name in ("train.txt", "val.txt"):
        (tmp_path / name).touch()
    with pytest.raises(
        InputError, match=r"shapes-snli-ve.splits: .* has no complete lists of images: train.txt, dev.txt"
    ):
        checked(downloading)
    (tmp_path / "test.txt").touch()
    study = checked(downloading)
    assert [Path(file).name for file in split_lists(study.data, "snli")] == ["train.txt", "val.txt", "test.txt"]
    assert [Path(archive).name for archive in archives(study, "hypotheses")] == [
        "snli_1.0.zip",
        "flickr30k_images.tar.gz",
    ]
    downloading["datasets"]["again"] = dataset | {"splits": str(tmp_path.parent)}
    with pytest.raises(InputError, match="all data sets that are built from snli must name the same lists"):
        checked(downloading)


def test_addresses_and_what_is_known_of_the_files(downloading):
    data = checked(downloading).data
    assert data.address("coco-2017", "val2017.zip") == "http://images.cocodataset.org/zips/val2017.zip"
    assert data.expected("coco-2017", "val2017.zip") == {
        "size": 815585330,
        "md5": "442b8da7639aecaf257c1dceb8ba8c80",
    }
    assert data.address("gqa", "images.zip") == "https://downloads.cs.stanford.edu/nlp/data/gqa/images.zip"
    assert data.address("snli", "flickr30k_test.lst").startswith("https://raw.githubusercontent.com/")
    assert data.annotation_receipts("gqa", "val_sceneGraphs.json") == ["data/gqa/archives/sceneGraphs.zip.json"]
    assert data.annotation_receipts("gqa", "val_balanced_questions.json") == ["data/gqa/archives/questions1.2.zip.json"]
    downloading["sources"]["coco-2017"]["base"] = "https://mirror.example.org/coco/"
    downloading["sources"]["coco-2017"]["files"]["val2017.zip"] |= {"path": "http://10.0.0.1/v.zip", "md5": None}
    data = checked(downloading).data
    assert data.address("coco-2017", "train2017.zip") == "https://mirror.example.org/coco/zips/train2017.zip"
    assert data.address("coco-2017", "val2017.zip") == "http://10.0.0.1/v.zip"
    assert data.expected("coco-2017", "val2017.zip") == {"size": 815585330}


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("shapes-coco", {"download": "coco"}, "no source 'coco' of format coco; the config has coco-2017"),
        ("shapes-coco", {"download": "snli-ve"}, "no source 'snli-ve' of format coco"),
        ("shapes-coco", {"images": "/no"}, "shapes-coco.images: there is no folder '/no'"),
        ("shapes-coco", {"splits": "."}, "datasets.shapes-coco: unknown key 'splits'; known keys of the kind coco"),
        ("shapes-coco", {"world": "shapes"}, "give either `world`, or both"),
        ("shapes-snli-ve", {"download_images": "coco-2017"}, "no source 'coco-2017' of format flickr30k"),
        ("shapes-snli-ve", {"download_images": None}, "if you have accepted their terms, `download_images: flickr30k`"),
        ("shapes-snli-ve", {"images": "."}, "`images` or `download_images`, not both"),
        ("shapes-snli-ve", {"splits": "."}, "only a download of SNLI itself is divided by lists"),
        ("shapes-snli-ve", {"corrected_labels": {"dev": "no.csv"}}, "corrected_labels.dev: there is no file 'no.csv'"),
    ],
)
def test_mistakes_in_a_data_set(downloading, name, change, complaint):
    downloading["datasets"][name] |= change
    downloading["datasets"][name] = {k: v for k, v in downloading["datasets"][name].items() if v is not None}
    with pytest.raises(InputError, match=complaint):
        checked(downloading)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda c: c["stimuli"]["captions"]["images"].update(test2017=3), "holds images of the part 'test2017'"),
        (
            lambda c: c["stimuli"]["hypotheses"]["images"].update(val=3),
            "no archive of sources.snli-ve holds snli_ve_val",
        ),
        (
            lambda c: c["sources"]["gqa"].update(base="ftp://x"),
            r"sources.gqa.base: must be an address .*, not 'ftp://x'",
        ),
        (
            lambda c: c["sources"]["gqa"]["files"]["images.zip"].update(md5="abc"),
            r"images.zip.md5: must be an MD5 checksum.*, not 'abc'",
        ),
        (lambda c: c["sources"]["gqa"]["files"].update({"x.zip": {}}), r"files.x.zip: "),
    ],
)
def test_parts_and_sources_that_do_not_fit(downloading, change, complaint):
    change(downloading)
    with pytest.raises(InputError, match=complaint):
        checked(downloading)


def test_the_recipe_of_stimuli_follows_what_is_shown_and_its_sources(downloading, world, tmp_path):
    def recipe() -> str:
        return checked(downloading).stimuli_folder("hypotheses")

    before = recipe()
    dataset = downloading["datasets"]["shapes-snli-ve"]
    folder = world / "snli_ve"
    in_place = {"format": "snli-ve", "images": str(folder / "flickr30k_images"), "annotations": str(folder)}
    downloading["datasets"]["shapes-snli-ve"] = in_place
    lying_there = recipe()
    # The user's own files, which may change, in place of a download, which may not.
    assert lying_there != before
    copy = shutil.copytree(folder, tmp_path / "copy")
    in_place["annotations"] = str(copy)
    assert recipe() == lying_there
    (copy / "snli_ve_dev.jsonl").touch()
    assert recipe() != lying_there
    downloading["datasets"]["shapes-snli-ve"] = dataset
    assert recipe() == before
    (tmp_path / "dev.csv").write_text("pairID,gold_label\n")
    dataset["corrected_labels"] = {"dev": str(tmp_path / "dev.csv")}
    assert recipe() != before
    # Of a part that is not sampled they change nothing.
    downloading["stimuli"]["hypotheses"]["images"] = {"train": 5, "test": 5}
    without_dev = recipe()
    del dataset["corrected_labels"]
    assert recipe() == without_dev


def test_entries_of_the_catalogues_fit_each_other():
    for name, form in FORMATS.items():
        assert form.entry_class.model_fields["format"].annotation == Literal[name]
        if isinstance(form, FolderFormat):
            assert {*form.packings, form.image_packing} - {""} <= set(PACKINGS), name
    for name, kind in KINDS.items():
        assert kind.entry_class.model_fields["kind"].annotation == Literal[name]
        assert kind.required <= kind.allowed
        assert set(kind.formats) <= set(FORMATS)
        # A job that is told no format can only mean one.
        assert len([form for form in kind.formats if not FORMATS[form].named_in_jobs]) <= 1
    assert {*ANNOTATED, *QUESTIONS} <= set(FORMATS)
