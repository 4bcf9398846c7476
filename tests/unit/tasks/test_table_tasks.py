"""Several labels of one table as several tasks: what is refused, shared splits, left-out items, numbers."""

import copy
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

from layerwise.errors import InputError
from layerwise.planning.grid import ProbeCell, StatesCell
from layerwise.planning.used_grid import asks_for
from layerwise.states.writing import new_states, write_rows
from layerwise.stimuli.kinds.table import build_table
from layerwise.stimuli.making import read_entry
from layerwise.study import Study
from layerwise.tasks.labels import build_task, read_task
from layerwise.tasks.numbers import build_number_task
from tests.cells import run_here
from tests.conftest import REPOSITORY

ENTRY = {"min_per_class": 2, "split": {"by": "random", "val": 0.2, "test": 0.3}}
LABELS = {
    "wet": {"column": "answer", "classes": {"yes": "wet", "no": "dry"}},
    "side": {},
    "seen": {"classes": {"yes": "wet", "no": "dry"}, "others": "leave-out"},
    "far": {"as": "number", "unit": "m", "others": "leave-out"},
    "size": {"as": "number"},
}
SIDES = ["above", "below", "front", "left", "right"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table of 200 items over 100 pictures; every tenth lacks its distance, every fourth was not seen."""
    folder, rng = tmp_path_factory.mktemp("own"), np.random.default_rng(0)
    rows = []
    for i in range(200):
        far = "" if i % 10 == 0 else f"{rng.uniform(1, 9):.3f}"
        seen = "unclear" if i % 4 == 0 else rng.choice(["yes", "no"])
        rows.append([f"{i // 2}.png", rng.choice(["Yes", "no "]), rng.choice(SIDES), seen, far, rng.integers(1, 90)])
    for i in range(100):
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    table = pd.DataFrame(rows, columns=["image", "answer", "side", "seen", "far", "size"])
    table.to_csv(folder / "own.csv", index=False)
    return folder


@pytest.fixture
def planned(study, folder):
    """Plans the demo's study with tasks over the table."""
    entry = {"kind": "table", "file": str(folder / "own.csv"), "labels": LABELS, "prompts": ["look"]}
    study["prompts"]["table"]["look"] = {"text": "Look."}
    study["stimuli"]["own"] = entry

    def plan(labels=None, stimuli=entry, **tasks):
        config = copy.deepcopy(study)
        config["stimuli"]["own"] = stimuli | ({} if labels is None else {"labels": labels})
        config["tasks"] = {name: {"stimuli": "own", "question": "local"} | task for name, task in tasks.items()}
        return Study.from_config(config)

    return plan


@pytest.mark.parametrize(
    ("task", "complaint"),
    [
        (
            {"labels": ["wett"]},
            "mine.labels: there is no label 'wett'; stimuli.own has wet, side, seen, far, size",
        ),
        (
            {},
            r"mine.labels: the labels of one task share the same two classes, but wet has .*dry.* and side has \w+.*; "
            r"write a task for each label, with `labels: \[wet\]` or `labels: \[side\]`, which costs no forward pass",
        ),
        (
            {"labels": ["wet", "far"]},
            "mine.labels: far is a number, and wet has classes; write a task for each, with `metric: r2` for the numb",
        ),
        (
            {"labels": ["side"], "metric": "r2"},
            "mine.metric: r2 is for numbers, and side of stimuli.own has classes; take another metric, such as accur",
        ),
        (
            {"labels": ["far"]},
            "mine.metric: accuracy is for classes, and far of stimuli.own is a number; write `metric: r2`",
        ),
        ({"metric": "r2", "classes": ["a", "b"]}, "mine.classes: the labels are numbers and have no classes"),
        ({"metric": "r2", "split": {"seeds": [1]}}, "mine.split.seeds: numbers are read under one split"),
    ],
)
def test_a_task_that_does_not_fit_its_labels_stops_the_plan(planned, task, complaint):
    with pytest.raises(InputError, match=complaint):
        planned(mine=task)


def test_a_table_of_numbers_alone_or_of_classes_alone_stops_the_plan_too(planned):
    with pytest.raises(InputError, match=r"mine.metric: accuracy is for classes, and far, size of stimuli.own are num"):
        planned({name: LABELS[name] for name in ("far", "size")}, mine={})
    with pytest.raises(
        InputError, match=r"r2 is for numbers, and side, seen of stimuli.own have classes; .*labels.side"
    ):
        planned(["side", "seen"], mine={"metric": "r2"})
    with pytest.raises(
        InputError, match=r"tasks.objects.metric: r2 is for numbers, and this task has classes; take acc"
    ):
        planned(objects={"stimuli": "objects", "metric": "r2"})


def test_labels_share_a_task_if_their_classes_are_the_same(planned):
    """Also where a task names two of many classes, and where a table's classes are only in its cells."""
    assert planned(mine={"labels": ["wet", "seen"]}).grid.classes_of("mine") == ["dry", "wet"]
    assert planned(["side", "seen"], mine={"classes": ["left", "right"]}).grid.classes_of("mine") == ["left", "right"]
    assert planned(mine={"labels": ["side"]}).grid.classes_of("mine") is None


def test_answers_are_checked_against_the_classes_that_a_table_names(planned, study):
    study["prompts"]["table"]["look"]["answers"] = {"wet": ["yes"], "dryy": ["no"]}
    with pytest.raises(InputError, match=r"look.answers: there is no class 'dryy'; stimuli.own has dry, wet"):
        planned({name: LABELS[name] for name in ("wet", "seen", "far")}, mine={"labels": ["wet"]})


def test_a_prompt_that_asks_for_one_label_is_not_scored_for_another(planned, study):
    """Although the sides are only in the cells, and `seen` has the same classes as `wet`."""
    study["prompts"]["table"]["look"]["answers"] = {"wet": ["yes"], "dry": ["no"]}
    several = {name: {"labels": [name]} for name in ("wet", "seen", "side")}
    grid = planned(**several).grid
    assert {cell.task for cell in grid.said_cells()} == {"wet", "seen"}
    assert asks_for(grid, "wet", "look")
    assert not asks_for(grid, "side", "look")
    assert planned(side=several["side"]).grid.said_cells() == []
    # Where no label names these classes, the sides may be meant.
    assert planned(["side", "seen"], side=several["side"]).grid.said_cells()


def test_each_label_is_a_task_and_none_costs_a_forward_pass(planned):
    several = {"wet": {"labels": ["wet"]}, "side": {"labels": ["side"]}, "far": {"metric": "r2"}}
    one, all_ = planned(wet=several["wet"]).grid, planned(**several).grid
    cells = all_.states_cells()
    assert cells == one.states_cells() == [StatesCell("shapes-llava", "own", "look")]
    assert all_.number_cells() == [ProbeCell("shapes-llava", "far", "look")]
    assert {cell.task for cell in all_.probe_cells()} == {"wet", "side"}
    assert all_.number_tasks() == ["far"]
    # What only reads classes has no cell of the numbers.
    for found in (all_.said_cells(), all_.written_cells(), all_.kind_cells(), all_.used_cells(), all_.carried_cells()):
        assert "far" not in {cell.task for cell in found}


def test_other_sections_refuse_numbers(planned, study):
    for section, complaint in [
        ({"used": {"tasks": ["far"]}}, "used.tasks: far is about numbers"),
        ({"carry": {"labels": ["far"]}}, "carry.labels: far is about numbers"),
        ({"specifications": {"tasks": ["far"]}}, "specifications.tasks: far is about numbers"),
        ({"probes": {"kinds_of": {"tasks": ["far"]}}}, "probes.kinds_of.tasks: far is about numbers"),
        ({"carry": {"tasks": [{"from": "wet", "to": "far"}]}}, "carry.tasks.0.to: far is about numbers"),
    ]:
        study |= section
        with pytest.raises(InputError, match=complaint):
            planned(wet={"labels": ["wet"]}, far={"metric": "r2"})
        del study[next(iter(section))]
    of_far = {"task": "far", "prompt": "look"}
    study["models"]["erased"] = {"source": "embedded", "intervention": {"erase": of_far | {"block": 1}}}
    with pytest.raises(InputError, match=r"models.erased.intervention.erase.task: far is about numbers"):
        planned(far={"metric": "r2"})
    del study["models"]["erased"]
    route = of_far | {"kind": "gates", "model": "shapes-llava"}
    study["used"] = {"tasks": ["wet"], "routes": {"to-far": route}}
    study["prompts"]["table"]["look"]["answers"] = {"wet": ["yes"], "dry": ["no"]}
    with pytest.raises(InputError, match=r"used.routes.to-far.task: far is about numbers"):
        planned(wet={"labels": ["wet"]}, far={"metric": "r2"})


@pytest.fixture(scope="module")
def made(folder):
    """Provenance and notes of the table's stimuli."""
    stimuli, _ = build_table(read_entry({"kind": "table", "file": str(folder / "own.csv"), "labels": LABELS}))
    return stimuli.provenance, stimuli.notes["labels"]


def test_labels_are_columns_of_the_provenance(made, folder):
    provenance, told = made
    assert told == {
        "wet": {"classes": ["dry", "wet"]},
        "side": {"classes": SIDES},
        "seen": {"classes": ["dry", "wet"]},
        "far": {"unit": "m"},
        "size": {"unit": ""},
    }
    table = pd.read_csv(folder / "own.csv").loc[provenance["item_id"].astype(int)].reset_index(drop=True)
    assert list(provenance["label:wet"]) == list(table["answer"].map({"Yes": "wet", "no ": "dry"}))
    assert list(provenance["label:seen"].isna()) == list(table["seen"] == "unclear")
    assert provenance["number:far"].dtype == np.float64
    np.testing.assert_array_equal(provenance["number:far"], table["far"])


def test_tasks_of_one_table_share_their_split_and_count_the_items_that_lack_a_label(made):
    provenance, told = made
    of_group, dropped, kinds = {}, {}, {}
    for name in LABELS:
        entry = ENTRY | {"labels": [name]}
        if "unit" in told[name]:
            labels, description = build_number_task(provenance, "table", entry, 3, described=told)
        else:
            labels, description = build_task(provenance, "table", entry, 3)
        of_group[name] = labels.drop_duplicates("group").set_index("group")["split"].sort_index()
        dropped[name], kinds[name] = description["dropped_items"], description["kind"]
    assert dropped == {"wet": 0, "side": 0, "seen": 50, "far": 20, "size": 0}
    assert kinds == {"wet": "binary", "side": "multiclass", "seen": "binary", "far": "regression", "size": "regression"}
    for split in of_group.values():
        pd.testing.assert_series_equal(split, of_group["wet"].loc[split.index])
    # Balanced over the five sides, as no split by chance is.
    sides, _ = build_task(provenance, "table", ENTRY | {"labels": ["side"]}, 3)
    shares = pd.crosstab(sides["y"], sides["split"], normalize="index")
    assert shares["test"].between(0.25, 0.35).all()


def test_numbers_keep_their_unit_and_labels_of_the_other_kind_are_not_theirs(made):
    provenance, told = made
    labels, description = build_number_task(provenance, "table", ENTRY | {"labels": ["far"]}, 0, described=told)
    assert (description["units"], description["labels"]) == ({"far": "m"}, ["far"])
    known = provenance.set_index("item_id")["number:far"]
    np.testing.assert_array_equal(labels["y"], known.loc[labels["item_id"]])
    both, described = build_number_task(provenance, "table", ENTRY, 0, described=told)
    assert described["labels"] == ["far", "size"]
    assert both["label"].value_counts().to_dict() == {"size": 200, "far": 180}
    with pytest.raises(InputError, match="there is no label 'wet'; the labels are far, size"):
        build_number_task(provenance, "table", ENTRY | {"labels": ["wet"]}, 0, described=told)


def test_labels_without_items_or_with_too_many_classes_are_refused(made):
    provenance, _ = made
    with pytest.raises(InputError, match="no item has the label 'seen'; its cells are empty, or all are left out"):
        build_task(provenance.assign(**{"label:seen": None}), "table", ENTRY | {"labels": ["seen"]}, 0)
    with pytest.raises(InputError, match=r"the labels wet, side must share the same two classes, .*`labels: \[wet\]`"):
        build_task(provenance, "table", ENTRY | {"labels": ["wet", "side"]}, 0)


def test_a_number_s_scores_are_those_of_scikit_learn(folder, tmp_path, monkeypatch):
    """From the table to the scores by the workflow's programs; scikit-learn gets the table and states as they are."""
    entry = {"kind": "table", "file": str(folder / "own.csv"), "labels": LABELS}
    run = [["make_stimuli.py", "--name", "own", "--entry", json.dumps(entry), "--seed", 0, "--out", tmp_path / "own"]]
    task = ENTRY | {"stimuli": "own", "question": "local", "metric": "r2", "labels": ["far"]}
    told = ["--name", "far", "--entry", json.dumps(task), "--seed", 5]
    run.append(["make_task.py", *told, "--stimuli", tmp_path / "own", "--out", tmp_path / "far"])
    for program, *options in run:
        run_here(["python", str(REPOSITORY / "scripts" / program), *map(str, options)], monkeypatch)
    assert json.loads((tmp_path / "far/task.json").read_text())["units"] == {"far": "m"}

    items = list(pd.read_parquet(tmp_path / "own/items.parquet")["item_id"])
    far = pd.read_csv(folder / "own.csv")["far"].loc[[int(item) for item in items]].to_numpy()
    states = np.random.default_rng(1).standard_normal((200, 3, 12)).astype(np.float32)
    states[:, :, 3] += np.nan_to_num(far)[:, None] * [0.0, 0.3, 1.0]
    digest = json.loads((tmp_path / "own/stimuli.json").read_text())["digest"]
    cell = {"prompt": "look", "prompt_entry": {"text": "Look."}, "stimuli_digest": digest}
    shape = {"layers": ["embeddings", "block 1", "final norm"], "rows": 200, "width": 12, "dtype": "float32"}
    of_items = {"item_ids": items, "row_of_item": range(200), "cell": cell}
    with new_states(tmp_path / "s.h5", positions=["last"], **shape, **of_items) as datasets:
        write_rows(datasets["last"], 0, states)
    penalties = [1e-3, 0.1, 10.0]
    options = ["--states", tmp_path / "s.h5", "--cell", "{}", "--stimuli", tmp_path / "own", "--task", tmp_path / "far"]
    options += ["--position", "last", "--penalties", *penalties, "--resamples", 50, "--seed", 0, "--threads", 1]
    options += ["--memory-mb", 2000, "--work", tmp_path / "work", "--scores", tmp_path / "r.parquet"]
    command = ["python", str(REPOSITORY / "scripts/fit_regressions.py"), *map(str, options)]
    run_here([*command, "--estimates", str(tmp_path / "e.parquet")], monkeypatch)

    scores = pd.read_parquet(tmp_path / "r.parquet")
    found = scores[scores["probe"] == "ridge"].set_index(["layer", "metric", "split"])["value"]
    split = read_task(tmp_path / "far")[0].set_index("item_id")["split"].reindex(items).to_numpy()
    assert set(np.isnan(far) == pd.isna(split)) == {True}
    for layer in range(3):
        rows = {name: np.flatnonzero(split == name) for name in ("train", "val", "test")}
        x = StandardScaler().fit(states[rows["train"], layer]).transform(states[:, layer]).astype(float)
        fits = [Ridge(alpha=each * len(rows["train"])).fit(x[rows["train"]], far[rows["train"]]) for each in penalties]
        best = min(fits, key=lambda fit: np.square(fit.predict(x[rows["val"]]) - far[rows["val"]]).mean())
        read = best.predict(x[rows["test"]])
        assert found[layer, "r2", "test"] == pytest.approx(r2_score(far[rows["test"]], read), abs=1e-5)
        assert found[layer, "mae", "test"] == pytest.approx(np.abs(far[rows["test"]] - read).mean(), rel=1e-5)
    assert found[0, "r2", "test"] < 0.2 < 0.5 < found[2, "r2", "test"]
