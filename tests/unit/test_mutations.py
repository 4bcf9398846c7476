"""Configs and data files with a mistake in them: they are read, or refused by name; never a traceback."""

import io
import json
import string
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from layerwise.datasets import gqa_sources, snli
from layerwise.datasets.gqa_graphs import GRAPHS, QUESTIONS
from layerwise.errors import InputError
from layerwise.gqa_types import TABLES
from layerwise.planning.recipes import as_json
from layerwise.stimuli.building import Sources
from layerwise.stimuli.kinds.table import build_table
from layerwise.stimuli.making import build_stimuli, read_entry
from layerwise.study import Study
from layerwise.tasks.labels import build_task
from tests.conftest import REPOSITORY
from tests.faults.reliability import fault
from tests.gqa import own_format
from tests.mutations import ODD_IN_JSON, ODD_IN_YAML, ODD_KEYS, QUICK, damaged, retyped


def read_or_refused(read: Callable[[], Any], *named: object) -> Any:
    """What is read; None where it is refused by an error of moderate length that names one of some things."""
    try:
        return read()
    except InputError as error:
        said = str(error)
    assert any(str(name) in said for name in named), said
    assert len(said) < 2000
    return None


CONFIGS = ["config.yaml", "evidence.yaml", "paper.yaml", "modern.yaml", "flow-paper.yaml"]


@cache
def shipped(name: str) -> dict:
    """A shipped config with the defaults that the Snakefile reads before it."""
    parts = ("adapters.yaml", "prompts.yaml", "sources.yaml", name)
    return {
        key: value
        for part in parts
        for key, value in yaml.safe_load((REPOSITORY / "config" / part).read_text()).items()
    }


def plan(config: dict) -> None:
    """What a dry run asks of a config."""
    study = Study.from_config(config)
    grid = study.grid
    paths = [study.notes, study.receipts, grid.probe_cells(), grid.site_cells()]
    paths += map(study.stimuli_folder, grid.used_stimuli())
    paths += map(study.questions_folder, study.config.flow.questions)
    paths += map(study.model_folder, study.config.models)
    as_json([paths, [grid.planned(*cell) for cell in grid.states_cells()], study.config.entry()])
    as_json([(grid.planned_sweep(cell), study.used_files(cell)) for cell in grid.used_cells()])


@fault(
    "a key of the config is misspelt, missing, repeated or of another type, or YAML reads it as a number or a date",
    sees="one error that names the key, when the run is planned",
    kept="all finished work",
)
@QUICK
@given(st.data())
def test_configs(data):
    config, path = retyped(data.draw, shipped(data.draw(st.sampled_from(CONFIGS))), ODD_IN_YAML, ODD_KEYS)
    # By a part of its path (`datasets`, or a stimulus set's `dataset`), or as missing at the top level.
    read_or_refused(lambda: plan(config), *(part.removesuffix("s") for part in path), "top level")


def write_coco(folder: Path, instances: dict, captions: dict) -> None:
    (folder / "instances_val2017.json").write_text(json.dumps(instances))
    (folder / "captions_val2017.json").write_text(json.dumps(captions))


@pytest.fixture(scope="module")
def coco(tmp_path_factory) -> tuple[Path, list[dict]]:
    """Three images of two categories, a caption each."""
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 20, "height": 10} for i in (7, 8, 9)]
    boxes = [(1, 7, 1, [1, 1, 4, 4]), (2, 7, 90, [9, 3, 4, 4]), (3, 8, 1, [2, 1, 5, 4]), (4, 8, 90, [1, 4, 3, 3])]
    objects = [
        {
            "id": key,
            "image_id": image,
            "category_id": category,
            "bbox": box,
            "area": 9,
            "iscrowd": 0,
            "attributes": {"c": "red"},
        }
        for key, image, category, box in boxes
    ]
    categories = [{"id": 1, "name": "dog"}, {"id": 90, "name": "cat"}]
    captions = [{"id": i, "image_id": i, "caption": f"Number {i}."} for i in (7, 8, 9)]
    folder = tmp_path_factory.mktemp("coco")
    return folder, [{"images": images, "annotations": objects, "categories": categories}, {"annotations": captions}]


PARTS = {"dataset": "d", "images": {"val2017": "all"}}
COCO_KINDS = [
    {"kind": "coco-objects", "pairs_per_category": 4} | PARTS,
    {"kind": "coco-entailment", "captions_per_image": 1, "mismatch": "hard"} | PARTS,
    {"kind": "coco-entailment", "mismatch": "relation", "margin": 0.0} | PARTS,
    {"kind": "coco-relations", "images_per_pair": 4, "margin": 0.0} | PARTS,
]
TASK = {"min_per_class": 1, "split": {"by": "random", "val": 0.3, "test": 0.3}}
KNOWLEDGE = [
    {"about": "count", "bins": [0, 2]},
    {"about": "largest-size", "bins": 2},
    {"about": "attributes", "attribute": "c"},
    {"about": "left-right", "margin": 0.0},
]


def stimuli_of(entry: dict, folder: Path, knowledge: dict | None = None) -> None:
    """Stimuli and a task of a file, written as the programs write them; or an error that names a file."""
    sources = Sources("coco", str(folder), str(folder))
    built = read_or_refused(lambda: build_stimuli(read_entry(entry), sources, 0), folder)
    if built is None:
        return
    stimuli, _ = built
    for table in (stimuli.shown, stimuli.provenance, stimuli.objects):
        table.to_parquet(io.BytesIO())
    json.dumps(stimuli.notes)
    task = TASK | ({"knowledge": knowledge} if knowledge else {})
    if len(stimuli.shown) and entry["kind"] == "coco-objects":
        # Three images are not enough for each task; which one, the program says by its name.
        read_or_refused(
            lambda: build_task(stimuli.provenance, entry["kind"], task, 0, stimuli.categories, stimuli.objects), ""
        )


@QUICK
@given(st.data())
def test_coco_files(coco, data):
    folder, content = coco
    which = data.draw(st.integers(0, 1))
    changed, _ = retyped(data.draw, content[which], ODD_IN_JSON)
    write_coco(folder, *(changed if number == which else other for number, other in enumerate(content)))
    entry = data.draw(st.sampled_from(COCO_KINDS))
    stimuli_of(entry, folder, data.draw(st.sampled_from([None, *KNOWLEDGE])))


@QUICK
@given(st.data())
def test_damaged_bytes_of_json(coco, data):
    folder, content = coco
    write_coco(folder, *content)
    file = folder / data.draw(st.sampled_from(["instances_val2017.json", "captions_val2017.json"]))
    file.write_bytes(damaged(data.draw, file.read_bytes()))
    stimuli_of(data.draw(st.sampled_from(COCO_KINDS)), folder)


PAIRS = [
    {"Flickr30K_ID": str(i), "gold_label": label, "sentence2": f"A {label} dog.", "pairID": f"{i}.jpg#{label}"}
    | {"captionID": f"{i}.jpg#0", "sentence1": "Dogs.", "annotator_labels": [label]}
    for i in (1, 2)
    for label in ("neutral", "entailment", "-")
]


@QUICK
@given(st.data())
def test_snli_files(tmp_path, data):
    """SNLI-VE as it is read, and SNLI, from which it is built."""
    records, _ = retyped(data.draw, PAIRS, ODD_IN_JSON)
    content = "".join(json.dumps(record) + "\n" for record in records).encode()
    if data.draw(st.booleans()):
        content = damaged(data.draw, content)
    (tmp_path / "snli_ve_test.jsonl").write_bytes(content)
    stimuli_of({"kind": "snli-ve", "dataset": "d", "images": {"test": "all"}}, tmp_path)
    for name in snli.SNLI_FILES:
        (tmp_path / name).write_bytes(content if "train" in name else b"")
    lists = [tmp_path / f"{part}.txt" for part in snli.PARTS]
    for number, file in enumerate(lists):
        file.write_text(f"{number}.jpg\n")
    read_or_refused(lambda: snli.build_snli_ve(tmp_path, lists, tmp_path / "built"), tmp_path)


@pytest.fixture(scope="module")
def gqa(world) -> list[dict]:
    """A question of each type and its scene graph, in GQA's own files."""
    questions, graphs = own_format(world / "gqa")
    of_type = {question["types"]["detailed"]: (key, question) for key, question in questions.items()}
    kept = dict(of_type.values())
    return [
        kept,
        {
            question["imageId"]: graphs[question["imageId"]]
            for question in kept.values()
            if question["imageId"] in graphs
        },
    ]


@QUICK
@given(st.data())
def test_gqas_own_files(gqa, tmp_path, data):
    which = data.draw(st.integers(0, 1))
    changed, _ = retyped(data.draw, gqa[which], ODD_IN_JSON)
    for number, name in enumerate([QUESTIONS, GRAPHS]):
        (tmp_path / name).write_text(json.dumps(changed if number == which else gqa[number]))
    read_or_refused(lambda: gqa_sources.read_questions(tmp_path, list(TABLES)), tmp_path)


@QUICK
@given(st.data())
def test_gqa_tables(world, tmp_path, data):
    kind = data.draw(st.sampled_from(list(TABLES)))
    header, *rows = (world / "gqa" / TABLES[kind]).read_bytes().splitlines(keepends=True)[:3]
    (tmp_path / TABLES[kind]).write_bytes(damaged(data.draw, b"".join([header, *rows])))
    for read in (gqa_sources.check_questions, gqa_sources.read_questions):
        read_or_refused(partial(read, tmp_path, [kind]), tmp_path)


CELLS = st.one_of(
    st.sampled_from(["a.png", "b.png", "yes", "no ", "train", "test", "", " ", "../a.png", "/etc", "n" * 300, "\0"]),
    st.text(string.printable, max_size=5),
    st.none(),
)
COLUMN_TYPES = [
    pa.string(),
    pa.binary(),
    pa.int64(),
    pa.float32(),
    pa.bool_(),
    pa.list_(pa.int8()),
    pa.date32(),
    pa.null(),
]
COLUMN_TYPES += [pa.struct([("bytes", pa.binary()), ("path", pa.string())]), pa.dictionary(pa.int8(), pa.string())]


@QUICK
@given(st.data())
def test_own_tables(tmp_path, data):
    for name in "ab":
        Image.new("1", (1, 1)).save(tmp_path / f"{name}.png")
    entry = {"kind": "table", "image_column": "image", "labels": ["wet"]}
    entry |= data.draw(st.sampled_from([{}, {"text_column": "text"}, {"split_column": "part"}, {"id_column": "id"}]))
    columns = ["image", "wet", "text", "part", "id"]
    plain = {
        "image": ["a.png", "b.png"],
        "wet": ["0", "1"],
        "text": ["x", "y"],
        "part": ["train", "test"],
        "id": ["1", "2"],
    }
    table = pd.DataFrame(plain)
    table.loc[data.draw(st.integers(0, 1)), data.draw(st.sampled_from(columns))] = data.draw(CELLS)
    if data.draw(st.booleans()):
        entry["file"] = str(tmp_path / "t.csv")
        Path(entry["file"]).write_bytes(damaged(data.draw, table.to_csv(index=False).encode()))
    else:
        entry["file"] = str(tmp_path / "t.parquet")
        column, kind = data.draw(st.sampled_from(columns)), data.draw(st.sampled_from(COLUMN_TYPES))
        odd = pa.array([b"1" if kind == pa.binary() else None] * 2, kind)
        cells = {name: odd if name == column else pa.array(table[name].astype(object), pa.string()) for name in columns}
        pq.write_table(pa.table(cells), entry["file"])
    stimuli = read_or_refused(lambda: build_table(read_entry(entry), pictures=tmp_path)[0], entry["file"])
    for part in () if stimuli is None else (stimuli.shown, stimuli.provenance):
        part.to_parquet(io.BytesIO())
