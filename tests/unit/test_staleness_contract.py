"""What docs/workflow.md says that a change makes again, key by key, against what the recipes and cells make of it.

Without Snakemake: it plans from these folders and params, as tests/workflow/test_staleness.py shows.
"""

import copy
import csv
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from PIL import Image

from layerwise.config.base import Section
from layerwise.config.data import World
from layerwise.config.flow import Flow, FlowModel, Heads, Questions, TableQuestions
from layerwise.config.lens import Lens
from layerwise.config.models import EmbeddedModel, Model
from layerwise.config.pooled import Pooled
from layerwise.config.prompts import Prompt
from layerwise.config.routes import Route
from layerwise.config.specifications import Specifications
from layerwise.config.study import StudyConfig
from layerwise.config.tasks import Task
from layerwise.config.tower import Tower
from layerwise.config.used import Used
from layerwise.datasets.tables import read_table
from layerwise.planning import recipes
from layerwise.stimuli.catalogue import KINDS
from layerwise.study import Study
from tests.conftest import REPOSITORY

ROWS = [["a.png", "one", "1", "yes", "no"], ["b.png", "two", "2", "no", "no"], ["c.png", "three", "3", "no", "yes"]]


def documented() -> dict[str, str]:
    """By key, what docs/workflow.md says of it."""
    said = {}
    for row in re.findall(r"^\| (`.*?) \| (.*) \|$", (REPOSITORY / "docs/workflow.md").read_text(), flags=re.MULTILINE):
        keys = re.findall(r"`([^`]+)`", row[0])
        # A first word before a colon is the section that the others are in.
        section = keys.pop(0) + "." if row[0].startswith(f"`{keys[0]}`:") else ""
        said |= {f"{section}{key}": row[1] for key in keys}
    return said


def known_keys() -> set[str]:
    """Every key of a study that the table must speak of."""
    entries: dict[str, list[type[Section]]] = {
        "worlds": [World],
        "embedded_models": [EmbeddedModel],
        "stimuli": [kind.entry_class for kind in KINDS.values()],
        "tasks": [Task],
        "models": [Model],
        "flow.questions": [Questions, TableQuestions],
        "flow.models": [FlowModel],
    }
    keys = {
        f"{name}.NAME.{key}" for name, classes in entries.items() for entry in classes for key in entry.model_fields
    }
    keys |= {f"prompts.KIND.NAME.{key}" for key in Prompt.model_fields}
    for name in ("pathvars", "states", "probes", "carry", "likeness", "explore"):
        keys |= {f"{name}.{key}" for key in type(StudyConfig.model_fields[name].default).model_fields}
    keys |= {f"specifications.{key}" for key in Specifications.model_fields}
    named = (("lens", Lens), ("tower", Tower), ("pooled", Pooled))
    keys |= {f"{name}.{key}" for name, section in named for key in section.model_fields}
    keys |= {f"used.{key}" for key in Used.model_fields if key != "routes"}
    keys |= {f"used.routes.NAME.{field.alias or key}" for key, field in Route.model_fields.items()}
    keys |= {f"flow.heads.{key}" for key in Heads.model_fields}
    keys |= {f"flow.{key}" for key in Flow.model_fields if key not in ("questions", "models", "heads")}
    return keys | {"seed", "include", "extends", "leave_out"}


def test_the_docs_speak_of_every_key():
    # Where data comes from, and what adapters need, is in the table of sources and in docs/paper-models.md.
    assert set(documented()) <= known_keys()
    # One row stands for whatever decides what a kind shows.
    shown = {key for kind in KINDS.values() for key in set(kind.entry_class.model_fields) - kind.not_shown}
    assert known_keys() - set(documented()) == {f"stimuli.NAME.{key}" for key in shown - {"kind", "images"}}


@pytest.fixture
def study(tmp_path, monkeypatch, tiny_llava):
    """A validated study of every kind of stimuli, with a model from a folder; in a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_llava, "weights")
    Path("own").mkdir()
    for name in ("a", "b", "c"):
        Image.new("RGB", (8, 8), (len(name), 0, 0)).save(f"own/{name}.png")
    write_table(
        [["a.png", "one", "1", "yes", "no"], ["b.png", "two", "2", "no", "no"], ["c.png", "three", "3", "no", "yes"]]
    )
    config = yaml.safe_load((REPOSITORY / "config/evidence.yaml").read_text())
    # One model that is trained and one prompt each: planning is asked often here.
    config["models"] = {"shapes-llava": {"source": "embedded"}}
    # Sections that name models, tasks and prompts.
    for section in ("states", "probes", "carry", "specifications", "used"):
        del config[section]
    for stimuli in config["stimuli"].values():
        stimuli["prompts"] = stimuli["prompts"][:1]
    for task in config["tasks"].values():
        # The first prompt may not have them.
        task.pop("positions", None)
    for file in ("adapters", "prompts", "sources"):
        config |= yaml.safe_load((REPOSITORY / f"config/{file}.yaml").read_text())
    table = {"kind": "table", "file": "own/own.csv", "text_column": "text", "labels": ["warm"], "prompts": ["plain"]}
    config["stimuli"]["own"] = table | {"id_column": "id"}
    config["tasks"]["own"] = {"stimuli": "own", "question": "local"}
    config["models"]["folder"] = {"source": "weights"}
    config["models"]["hub"] = {"source": "lab/model", "revision": "0" * 40}
    config["datasets"]["shapes-gqa"] = {"format": "gqa", "world": "shapes"}
    config["flow"] = {
        "questions": {"asked": {"dataset": "shapes-gqa", "prompt": "short"}},
        "models": {"shapes-llava": {"window": 1}},
    }
    return config


def write_table(rows: list[list[str]]) -> None:
    with open("own/own.csv", "w", newline="") as file:
        csv.writer(file).writerows([["image", "text", "id", "warm", "split"], *rows])


def planned(config: dict) -> dict[tuple[str, ...], object]:
    """By cell, all that decides whether Snakemake plans its forward passes."""
    study = Study.from_config(config)
    grid = study.grid
    cells = {
        cell: (study.model_folder(cell.model), study.stimuli_folder(cell.stimuli), grid.planned(*cell))
        for cell in grid.states_cells()
    }
    flows = {
        cell: (study.model_folder(cell.model), study.questions_folder(cell.questions), grid.planned_flow(*cell))
        for cell in grid.flow_cells()
    }
    sweeps = {("sweep", *cell): (study.concept_file(cell), grid.planned_sweep(cell)) for cell in grid.used_cells()}
    routes = {("route", name): (study.route_files(name), grid.planned_route(name)) for name in grid.route_cells()}
    tokens = {("tokens", *cell): (study.tokens_file(cell), grid.planned_tokens(cell)) for cell in grid.tokens_cells()}
    return cells | flows | sweeps | routes | tokens


def stale(before: dict, after: dict) -> set[tuple[str, ...]]:
    """Cells of both that are planned otherwise."""
    return {cell for cell in before if cell in after and before[cell] != after[cell]}


CUT = {"cut-image": {"blocks": "upper"}}
# Another value for every key of these sections, and the entry that it is tried on where not all have it.
MODELS = {
    "source": "lab/other", "revision": "1" * 40, "weights": "random", "dtype": "float16", "quantization": "8bit",
    "trust_remote_code": True, "convert": {"a.bin": "0" * 64}, "adapter": "kosmos2", "conversation": "chat",
    "batch_size": 3, "device_map": "auto", "cards": 2, "sharing": "never", "shards": 3, "mem_mb": 9,
    "expected": {"layers": 1, "width": 8, "parameters": 1, "image_tokens": 4}, "prompts": ["plain"],
    "processor": {"do_resize": False},
}  # fmt: skip
STIMULI = {
    "images": ("captions", {"val2017": "all"}), "captions_per_image": ("captions", 2), "mismatch": ("captions", "hard"),
    "pairs_per_label": ("hypotheses", 2), "pairs_per_category": ("objects", 4), "categories": ("objects", ["circle"]),
    "premise": ("hypotheses", True),
    "images_per_pair": ("relations", 4), "margin": ("relations", 0.2), "image_column": ("own", "text"),
    "text_column": ("own", "warm"), "id_column": ("own", "image"), "labels": ("own", ["warm", "split"]),
    "prompts": ("own", ["plain", "describe"]),
}  # fmt: skip


@pytest.mark.parametrize("key", [*MODELS, "intervention"])
def test_keys_of_a_model(study, key):
    before = planned(study)
    study["models"]["hub"][key] = MODELS.get(key)
    if key == "device_map":
        study["models"]["hub"]["cards"] = 1
    if key == "intervention":
        study["models"]["base"] = dict(study["models"]["hub"])
        del study["models"]["base"]["intervention"]
        study["models"]["hub"][key] = CUT
    changed = stale(before, planned(study))
    assert {cell[0] for cell in changed} <= {"hub"}
    assert bool(changed) is documented()[f"models.NAME.{key}"].startswith("forward passes")


def test_an_embedded_model_counts_by_how_it_is_trained(study):
    study["embedded_models"]["captions"] = {"objective": "captions"}
    study["models"]["shapes-llava"]["embedded"] = "shapes"
    study["models"]["captions"] = {"source": "embedded", "embedded": "captions"}
    before = planned(study)
    # Defaults written out, and another name for the same model.
    study["embedded_models"] = {"other": {"seed": 0, "objective": "both"}, "captions": {"objective": "captions"}}
    study["models"]["shapes-llava"]["embedded"] = "other"
    assert not stale(before, planned(study))
    for key, value in {"seed": 1, "objective": "questions", "steps_scale": 2.0}.items():
        changed = copy.deepcopy(study)
        changed["embedded_models"]["captions"][key] = value
        assert {cell[0] for cell in stale(before, planned(changed))} == {"captions"}
        assert documented()[f"embedded_models.NAME.{key}"] == "this embedded model and everything made with it"
    study["models"]["captions"]["embedded"] = "other"
    study["models"]["shapes-llava"]["embedded"] = "captions"
    assert {cell[0] for cell in stale(before, planned(study))} == {"captions", "shapes-llava"}


def test_a_seed_draws_random_weights(study):
    study["models"]["hub"] |= {"weights": "random"}
    before = planned(study)
    study["models"]["hub"]["seed"] = 0
    assert not stale(before, planned(study))
    study["models"]["hub"]["seed"] = 1
    assert {cell[0] for cell in stale(before, planned(study))} == {"hub"}


@pytest.mark.parametrize("key", STIMULI)
def test_keys_of_stimuli(study, key):
    name, value = STIMULI[key]
    before = planned(study)
    study["stimuli"][name][key] = value
    changed = stale(before, planned(study))
    assert {cell[1] for cell in changed} <= {name}
    said = documented().get(f"stimuli.NAME.{key}", documented()["stimuli.NAME.kind"])
    assert bool(changed) is said.startswith("forward passes")


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("states.keep", False),
        ("states.positions", ["image-mean", "last"]),
        ("states.dtype", "bfloat16"),
        ("probes.C", [1.0]),
        ("probes.resamples", 200),
        ("probes.engine", "sklearn"),
        ("probes.controls", {"random_labels": 0}),
        ("flow.resamples", 200),
        ("flow.question_tokens", "words"),
        ("explore", {"items": 5, "megabytes": 1.5, "pictures": "linked", "side": 64, "linked": ["own"]}),
        ("leave_out", ["hub"]),
        ("include", []),
        ("extends", []),
        ("pathvars", {"logs": "elsewhere"}),
        ("tasks.own", {"stimuli": "own", "question": "global", "min_per_class": 2, "split": {"seed": 3}}),
    ],
)
def test_keys_about_what_is_kept_and_probed(study, where, value):
    before = planned(study)
    *path, key = where.split(".")
    entry = study
    for name in path:
        entry = entry.setdefault(name, {})
    entry[key] = value
    said = documented().get(where, "nothing")
    assert bool(stale(before, planned(study))) is bool(re.match("forward passes|flows$", said))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("items", 50, "sweeps"),
        ("strengths", [1], "sweeps"),
        ("along", "probe", "sweeps"),
        ("draws", 3, "concepts and sweeps"),
        ("tasks", ["entailment", "snli-ve"], "only the new concepts and sweeps"),
        ("prompts", ["agree"], "only the new concepts and sweeps"),
        ("models", ["shapes-llava", "folder"], "only the new concepts and sweeps"),
    ],
)
def test_keys_of_what_is_erased_and_steered(study, key, value, said):
    without = planned(study)
    study["used"] = {"tasks": ["entailment"], "models": ["shapes-llava"]}
    before = planned(study)
    assert not stale(without, before)
    sweeps = {cell for cell in before if cell[0] == "sweep"}
    draws = Study.from_config(study).grid.concept_draws()
    assert len(sweeps) == 1
    study["used"][key] = value
    assert stale(before, planned(study)) == (set() if said.startswith("only") else sweeps)
    assert (Study.from_config(study).grid.concept_draws() != draws) is said.startswith("concepts")
    assert documented()[f"used.{key}"].startswith(said)


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("map", "kind", "attention"),
        ("map", "from", 2),
        ("map", "rank", 2),
        ("attention", "heads", 2),
        ("attention", "size", 2),
        ("map", "model", "folder"),
        ("map", "task", "matching"),
        ("map", "prompt", "caption"),
    ],
)
def test_keys_of_a_route(study, kind, key, value):
    study["stimuli"]["captions"]["prompts"] = ["agree", "caption"]
    study["tasks"]["matching"] = study["tasks"]["entailment"]
    route = {"kind": kind, "model": "shapes-llava", "task": "entailment", "prompt": "agree", "from": 1}
    study["used"] = {"tasks": ["entailment"], "routes": {"up": dict(route), "other": dict(route)}}
    before = planned(study)
    study["used"]["routes"]["up"][key] = value
    assert stale(before, planned(study)) == {("route", "up")}
    assert documented()[f"used.routes.NAME.{key}"].startswith("this route")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("share", 0.5, "image tokens"),
        ("layers", [0, 3], "image tokens"),
        ("tasks", ["objects", "own"], "only the new"),
        ("models", ["shapes-llava", "folder"], "only the new"),
    ],
)
def test_keys_of_image_tokens(study, key, value, said):
    without = planned(study)
    study["pooled"] = {"tasks": ["objects"], "models": ["shapes-llava"]}
    before = planned(study)
    assert not stale(without, before)
    kept = {cell for cell in before if cell[0] == "tokens"}
    assert kept == {("tokens", "shapes-llava", "objects")}
    study["pooled"][key] = value
    after = planned(study)
    assert stale(before, after) == (set() if said.startswith("only") else kept)
    assert (len(after) > len(before)) is said.startswith("only")
    assert documented()[f"pooled.{key}"].startswith(said)


def test_the_order_of_positions_is_for_probes_alone(study):
    study["states"] = {"positions": ["last", "image-mean"]}
    before = planned(study)
    study["states"]["positions"].reverse()
    assert not stale(before, planned(study))


def test_the_seed_draws_nothing_of_an_own_table_or_of_own_weights(study):
    before = planned(study)
    study["seed"] = 7
    changed = stale(before, planned(study))
    assert {cell for cell in before if cell not in changed} == {("folder", "own", "plain"), ("hub", "own", "plain")}


def test_a_key_that_came_later_changes_nothing_at_its_default(study, monkeypatch):
    """As if two keys had come after the first release."""
    before = planned(study)
    later = {"models": {"conversation": "auto"}, "stimuli": {"margin": 0.1}}
    monkeypatch.setattr(recipes, "CAME_LATER", later)
    at_default = planned(study)
    study["models"]["hub"]["conversation"] = "auto"
    study["stimuli"]["relations"]["margin"] = 0.1
    assert not stale(at_default, planned(study))
    study["models"]["hub"]["conversation"] = "chat"
    study["stimuli"]["relations"]["margin"] = 0.2
    changed = stale(at_default, planned(study))
    assert {cell for cell in before if cell[0] == "hub" or cell[1] == "relations"} == changed
    assert planned(study).keys() == before.keys()


def test_what_an_own_table_shows_counts_and_nothing_else_in_it(study):
    before = planned(study)

    def changed() -> set[str]:
        return {cell[1] for cell in stale(before, planned(study))}

    write_table([[*row[:3], "yes", "yes"] for row in ROWS])
    Path("own/own.csv").touch()
    assert changed() == set()
    for place, value in ((0, "b.png"), (1, "one, more"), (2, "9")):
        write_table([[*ROWS[0][:place], value, *ROWS[0][place + 1 :]], *ROWS[1:]])
        assert changed() == {"own"}
    write_table(ROWS)
    assert changed() == set()
    picture = Path("own/b.png").read_bytes()
    Image.new("RGB", (8, 8), (9, 0, 0)).save("own/b.png")
    assert changed() == {"own"}
    Path("own/b.png").write_bytes(picture)
    before = planned(study)
    # Moved with its times, as mv does.
    Path("own").rename("moved")
    study["stimuli"]["own"]["file"] = "moved/own.csv"
    assert changed() == set()


@pytest.mark.parametrize("name", ["own.CSV", "blank-first.csv", "OWN.PARQUET"])
def test_a_replaced_picture_counts_in_every_table_that_can_be_read(study, name):
    entry = study["stimuli"]["own"]
    text, entry["file"] = Path(entry["file"]).read_text(), f"own/{name}"
    if name.lower().endswith(".csv"):
        # A blank line is no row.
        Path(entry["file"]).write_text("\n" * name.startswith("blank") + text)
    else:
        pd.read_csv("own/own.csv", dtype=str).to_parquet(entry["file"], index=False)
    assert read_table(entry["file"], ["image", "text"])["text"].tolist() == ["one", "two", "three"]
    before = planned(study)
    Image.new("RGB", (8, 8), (9, 0, 0)).save("own/b.png")
    assert {cell[1] for cell in stale(before, planned(study))} == {"own"}


def test_weights_count_by_content(study):
    before = planned(study)
    shutil.copytree("weights", "copy", copy_function=shutil.copyfile)
    study["models"]["folder"]["source"] = "copy"
    assert not stale(before, planned(study))
    weights = Path("copy/model.safetensors")
    content = bytearray(weights.read_bytes())
    content[-8:] = bytes(8)
    weights.write_bytes(content)
    assert {cell[0] for cell in stale(before, planned(study))} == {"folder"}
