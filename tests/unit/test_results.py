"""Readers of finished results: that ids join what belongs together, and what is said where nothing is there yet."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from layerwise import results
from layerwise.errors import InputError
from layerwise.flow.questions import COLUMNS, questions_digest
from layerwise.probes.fits import Fit
from layerwise.probes.kept import digest_of_labels, probes_file
from layerwise.probes.problems import Standardisation
from layerwise.several_pictures import joined_checksum
from layerwise.states.writing import new_states, write_rows
from layerwise.stimuli.items import items_digest
from layerwise.study import Study
from layerwise.used.results import Above, Sweep, Told, write_above, write_sweep

LAYERS = ["embeddings", "block 1", "block 2", "final norm"]
ITEMS = ["a", "b", "c", "d", "e"]
# Items a and c read the same, and so do b and e.
ROW_OF_ITEM = [0, 1, 0, 2, 1]
STATES = np.random.default_rng(0).normal(size=(3, 4, 6)).astype(np.float32)
EXPECTED = STATES[ROW_OF_ITEM].swapaxes(0, 1)


def write_states(path, items, rows, states, **cell):
    """One file; ``items`` are places in ITEMS, ``rows`` the row of each among ``states``."""
    with new_states(
        path,
        positions=["last"],
        layers=LAYERS,
        rows=len(states),
        width=6,
        dtype="float32",
        item_ids=[ITEMS[item] for item in items],
        row_of_item=rows,
        cell={"prompt": "p"} | cell,
        places=items if "shard" in cell else None,
    ) as datasets:
        write_rows(datasets["last"], 0, states)
    return path


@pytest.fixture(params=["one file", "shards"])
def files(request, tmp_path) -> list[Path]:
    if request.param == "one file":
        return [write_states(tmp_path / "p.h5", range(5), ROW_OF_ITEM, STATES)]
    return [
        write_states(tmp_path / "p.1-of-2.h5", [1, 3, 4], [0, 1, 0], STATES[1:], shard=[1, 2]),
        write_states(tmp_path / "p.2-of-2.h5", [0, 2], [0, 0], STATES[:1], shard=[2, 2]),
    ]


def test_several_pictures_of_an_item_are_shown_side_by_side(tmp_path):
    for name, colour, size in (("red", (255, 0, 0), (20, 10)), ("blue", (0, 0, 255), (40, 80))):
        Image.new("RGB", size, colour).save(tmp_path / f"{name}.png")
    red, blue = str(tmp_path / "red.png"), str(tmp_path / "blue.png")
    assert Study.picture(red).size == (20, 10)
    both = Study.picture(f"{red}\n{blue}")
    # As high as the higher one, and a gap of a twentieth between them.
    assert both.size == (160 + 4 + 40, 80)
    assert [both.getpixel((x, 40)) for x in (0, 159, 162, 164, 203)] == [
        (255, 0, 0),
        (255, 0, 0),
        (255, 255, 255),
        (0, 0, 255),
        (0, 0, 255),
    ]


def test_states_come_per_item_in_the_stimulis_order(files):
    everything = results.states(files, made_by="")
    assert np.array_equal(everything.values, EXPECTED)
    assert list(everything.item_ids) == ITEMS
    assert everything.layers == LAYERS
    for layer, name in enumerate(LAYERS):
        for asked in (layer, name):
            one = results.states(files, layer=asked, made_by="")
            assert np.array_equal(one.values, EXPECTED[layer])
            assert one.layers == [name]


def test_states_follow_the_order_that_is_asked_for(files):
    wanted = ["d", "a", "d"]
    assert np.array_equal(results.states(files, made_by="").of(wanted), EXPECTED[:, [3, 0, 3]])
    one = results.states(files, layer=2, made_by="")
    assert np.array_equal(one.of(pd.Series(wanted)), EXPECTED[2, [3, 0, 3]])
    with pytest.raises(InputError, match="no states of item 'z'"):
        one.of(["a", "z"])


def test_layers_and_positions_that_are_not_there_are_named(files):
    with pytest.raises(InputError, match=r"no layer 4 .* 0 \(embeddings\), .* 3 \(final norm\)"):
        results.states(files, layer=4, made_by="")
    with pytest.raises(InputError, match="no layer 'block 3'"):
        results.states(files, layer="block 3", made_by="")
    with pytest.raises(InputError, match="no position 'image-mean'"):
        results.states(files, "image-mean", made_by="")
    with pytest.raises(InputError, match="another cell"):
        results.states(files, cell={"prompt": "q"}, made_by="")


SHOWN = pd.DataFrame(
    {
        "item_id": ["v/1/cat", "v/1/dog", "v/2/cat"],
        "image": ["pictures/1.png", "pictures/1.png", "/elsewhere/2.png"],
        "image_sha256": ["1", "1", "2"],
        "text": [None, None, None],
        "category": ["cat", "dog", "cat"],
    }
)
PROVENANCE = pd.DataFrame(
    {
        # In another order than the items.
        "item_id": ["v/2/cat", "v/1/cat", "v/1/dog"],
        "image_id": ["v/2", "v/1", "v/1"],
        "group": ["v/2", "v/1", "v/1"],
        "part": "v",
        "category": ["cat", "cat", "dog"],
        "label:presence": ["absent", "present", "absent"],
    }
)


@pytest.fixture
def stimuli(tmp_path) -> Path:
    folder = tmp_path / "stimuli"
    folder.mkdir()
    SHOWN.to_parquet(folder / "items.parquet")
    PROVENANCE.to_parquet(folder / "provenance.parquet")
    described = {"categories": ["cat", "dog"], "digest": items_digest(SHOWN, ["cat", "dog"])}
    (folder / "stimuli.json").write_text(json.dumps(described))
    return folder


@pytest.fixture
def task(tmp_path) -> Path:
    folder = tmp_path / "task"
    folder.mkdir()
    keys = {"item_id": SHOWN["item_id"], "image_id": ["v/1", "v/1", "v/2"], "group": ["v/1", "v/1", "v/2"]}
    labels = pd.DataFrame(keys | {"label": SHOWN["category"], "y": [1, 0, 0], "split": ["test", "test", "val"]})
    labels.to_parquet(folder / "labels.parquet")
    described = {"labels": ["cat", "dog"], "classes": ["absent", "present"], "metric": "accuracy"}
    (folder / "task.json").write_text(json.dumps(described))
    return folder


def test_items_carry_where_they_come_from_and_what_is_asked(stimuli):
    prompts = {"cue": {"text": "Is there a {category}?"}, "list": {"text": "Which of {categories}?"}}
    items = results.items(stimuli, Path("/project"), prompts, made_by="")
    assert list(items["image_id"]) == ["v/1", "v/1", "v/2"]
    assert list(items["label:presence"]) == ["present", "absent", "absent"]
    assert list(items["image"]) == ["/project/pictures/1.png", "/project/pictures/1.png", "/elsewhere/2.png"]
    assert list(items["prompt:cue"]) == ["Is there a cat?", "Is there a dog?", "Is there a cat?"]
    assert set(items["prompt:list"]) == {"Which of cat, dog?"}


def test_items_of_several_pictures_have_a_path_a_line_and_their_places_in_words(stimuli):
    sums = SHOWN["image_sha256"].map(lambda found: f"{found}\n{found}")
    shown = SHOWN.assign(image=SHOWN["image"] + "\nright.png", picture_sha256=sums)
    shown["image_sha256"] = [joined_checksum(cell.split("\n")) for cell in sums]
    shown.to_parquet(stimuli / "items.parquet")
    described = {"categories": [], "digest": items_digest(shown, []), "pictures": 2}
    (stimuli / "stimuli.json").write_text(json.dumps(described))
    prompts = {
        "placed": {"text": "Left {image 1}, right {image 2}: a {category}?"},
        "right": {"text": "Left {image 1}, right {image 2}: a {category}?", "images": ["none", 2]},
    }
    items = results.items(stimuli, Path("/project"), prompts, made_by="")
    assert items["image"].iloc[0] == "/project/pictures/1.png\n/project/right.png"
    assert items["prompt:placed"].iloc[1] == "Left {image 1}, right {image 2}: a dog?"
    # What a prompt leaves out has no place, and what is left is the first that the model sees.
    assert items["prompt:right"].iloc[1].count("{image 1}") == 1
    assert "{image 2}" not in items["prompt:right"].iloc[1]
    assert "picture_sha256" not in items


def test_labels_name_their_classes(task):
    assert list(results.labels(task, made_by="")["truth"]) == ["present", "absent", "absent"]


def test_cells_are_gathered_under_their_names(tmp_path):
    files = {("m", "t", f"p{i}"): tmp_path / f"p{i}.scores.parquet" for i in range(2)}
    for i, file in enumerate(files.values()):
        pd.DataFrame({"layer": [0, 1], "value": [i, i + 0.5]}).to_parquet(file)
    table = results.gathered(files, made_by="")
    assert list(table.columns) == ["model", "task", "prompt", "layer", "value"]
    assert list(table.query("prompt == 'p1'")["value"]) == [1, 1.5]
    with pytest.raises(InputError, match="no cells to read"):
        results.gathered({}, made_by="")


def test_comparisons_of_flow_are_one_table_under_their_names(tmp_path):
    files = {(model, "asked"): tmp_path / f"{model}.parquet" for model in ("a", "b")}
    for place, file in enumerate(files.values()):
        pd.DataFrame({"window": [place], "mean": [0.5]}).to_parquet(file)
    table = results.flow_comparison(files, made_by="")
    assert table.to_dict("list") == {
        "model": ["a", "b"],
        "questions": ["asked", "asked"],
        "window": [0, 1],
        "mean": [0.5, 0.5],
    }
    assert results.comparison(files["a", "asked"], made_by="")["window"].tolist() == [0]
    with pytest.raises(InputError, match=r"which-layer\.parquet: not there yet; run `snakemake it`"):
        results.comparison(tmp_path / "which-layer.parquet", made_by="snakemake it")
    with pytest.raises(InputError, match="names no models under `flow`"):
        results.flow_comparison({}, made_by="")


def test_predictions_stand_beside_what_was_shown(stimuli, task, tmp_path):
    file = tmp_path / "p.predictions.parquet"
    table = {"label": ["cat", "dog", "cat"], "split": ["test", "test", "val"], "item_id": SHOWN["item_id"]}
    table |= {"group": ["v/1", "v/1", "v/2"], "text": 0, "y": [1, 0, 0], "pred": [0, 0, 1]}
    table = pd.DataFrame(table | {"scores": [[-1.0], [-2.0], [3.0]]})
    pd.concat([table.assign(layer=layer) for layer in (0, 1)]).to_parquet(file)
    shown = results.items(stimuli, Path("/project"), made_by="")

    found = results.predictions(file, task, shown, layer=1, split="test", made_by="")
    assert list(found["item_id"]) == ["v/1/cat", "v/1/dog"]
    assert list(found["truth"]) == ["present", "absent"]
    assert list(found["predicted"]) == ["absent", "absent"]
    assert list(found["image"]) == ["/project/pictures/1.png"] * 2
    assert len(results.predictions(file, task, shown, made_by="")) == 6

    with pytest.raises(InputError, match="no predictions of layer 2"):
        results.predictions(file, task, shown, layer=2, made_by="")
    with pytest.raises(InputError, match="split 'train'; give one of val, test"):
        results.predictions(file, task, shown, split="train", made_by="")
    with pytest.raises(InputError, match=r"item 'v/2/cat' is not among the stimuli .*`?snakemake"):
        results.predictions(file, task, shown[:2], made_by="snakemake probes")


def test_kept_probes_are_read_by_layer_and_label(task, tmp_path):
    file, states = tmp_path / "p.probes.h5", {"model_digest": "m", "prompt_entry": {"text": "q"}}
    labels = pd.read_parquet(task / "labels.parquet")
    cell = {
        "labels_digest": digest_of_labels(labels),
        "classes": ["absent", "present"],
        "position": "last",
        "states": states,
    }
    rng = np.random.default_rng(0)
    fits = [[Fit(rng.normal(size=(1, 3)), rng.normal(size=1), 0.1, True) for _ in range(2)] for _ in range(2)]
    as_it_is = Standardisation(*(np.full(3, value, np.float32) for value in (0, 1, 1)))
    with probes_file(file, ["embeddings", "block 1"], ["cat", "dog"], ["absent", "present"], cell) as keep:
        for of_layer in fits:
            keep(of_layer, as_it_is)

    x = rng.normal(size=(5, 3))
    found = results.probe(file, task, "block 1", "dog", cell=states, position="last", made_by="")
    assert (found.labels, found.weights.shape, found.C.tolist()) == (["dog"], (1, 1, 3), [0.1])
    assert found.margins(x) == pytest.approx(fits[1][1].scores(x), abs=1e-6)
    both = results.probe(file, task, 0, made_by="")
    assert both.margins(x, "cat") == pytest.approx(fits[0][0].scores(x), abs=1e-6)

    with pytest.raises(InputError, match=r"no layer 2 .*give one of 0 \(embeddings\), 1 \(block 1\)"):
        results.probe(file, task, 2, made_by="")
    with pytest.raises(InputError, match="there is no label 'cow'; the probes have cat, dog"):
        results.probe(file, task, 0, "cow", made_by="")
    with pytest.raises(InputError, match=r"not there yet; run `snakemake probes`"):
        results.probe(tmp_path / "other.h5", task, 0, made_by="snakemake probes")
    others = {"model_digest": {"cell": states | {"model_digest": "n"}}, "position": {"position": "x"}}
    for changed, wrong in others.items():
        with pytest.raises(InputError, match=rf"another cell or task \({changed} changed since\); run `snakemake"):
            results.probe(file, task, 0, **wrong, made_by="snakemake probes")
    # Another split of the same items.
    labels.assign(split="train").to_parquet(task / "labels.parquet")
    with pytest.raises(InputError, match="labels_digest changed since"):
        results.probe(file, task, 0, made_by="snakemake probes")


def test_flows_name_the_question_and_its_picture(tmp_path):
    row = {"question_id": "q1", "type": "ChooseAttr", "image_id": "7", "image": "7.jpg", "image_sha256": "7"}
    row |= {"question": "Is it red or blue?", "answer": "red", "options": ["red", "blue"]}
    asked = pd.DataFrame([row | {"objects": [{"name": "bar", "x": 1, "y": 2, "w": 3, "h": 4}]}])[COLUMNS]
    asked.to_parquet(tmp_path / "questions.parquet")
    digest = questions_digest(pd.read_parquet(tmp_path / "questions.parquet"))
    (tmp_path / "questions.json").write_text(json.dumps({"digest": digest}))
    keys = {"question_id": ["q1", "q1"], "image_id": "7", "type": "ChooseAttr", "n_layers": 2}
    tables = {
        "knockout": keys | {"flow": "image->last", "window": [1, 2], "p": 0.5, "p_blocked": 0.25, "change": -50.0},
        "tracing": keys | {"layer": [0, 1], "norm": True, "casing": "lower", "p": 0.5},
        "answers": {name: keys[name][:1] if name == "question_id" else keys[name] for name in list(keys)[:3]}
        | {"answer": "red", "given": "red", "outcome": "kept", "image_tokens": 4, "object_tokens": 1},
        "heads": keys
        | {"flow": "image->last", "layer": [2, 0], "head": [1, 0], "group": ["", "two"]}
        | {"p": 0.5, "p_blocked": [0.25, 0.5], "change": [-50.0, 0.0]},
    }
    files = {name: tmp_path / f"{name}.parquet" for name in tables}
    for name, table in tables.items():
        pd.DataFrame(table).to_parquet(files[name])

    flow = results.flow(files, tmp_path, Path("/project"), made_by="")
    for table, rows in zip(flow, (1, 2, 2, 2), strict=True):
        assert list(table["question"]) == ["Is it red or blue?"] * rows
        assert list(table["image"]) == ["/project/7.jpg"] * rows
        assert list(table["answer"]) == ["red"] * rows
    assert list(flow.knockout["change"]) == [-50.0, -50.0]
    assert list(flow.tracing["layer"]) == [0, 1]
    assert flow.answers["given"].item() == "red"
    assert list(flow.heads["group"]) == ["", "two"]
    # A study need not block heads.
    del files["heads"]
    assert results.flow(files, tmp_path, Path("/project"), made_by="").heads is None


def test_sweeps_stand_beside_what_was_asked(stimuli, tmp_path):
    told = Told(["absent", "present"], {}, {}, blocks=2, along="probe", strengths=[1.0], draws=1)
    run = {"block": [0, 1, 2], "change": ["free", "erase", "steer"], "strength": [0.0, 0.0, 1.0]}
    run |= {"source": ["own", "control", "own"], "of": ["", "", "t/p"], "draw": [-1, 0, -1], "pseudo": [-1, 1, -1]}
    item = {"item_id": ["v/1/dog", "v/1/cat", "v/1/cat"], "image": ["s1"] * 3, "y": [0, 1, 1]}
    p = np.array([[0.6, 0.4], [0.3, 0.7], [0.9, 0.1]])
    write_sweep(tmp_path / "p.parquet", Sweep(told, pd.DataFrame(item | run | {"mass": 0.5}), np.log(p)))
    read = pd.DataFrame(item | {key: run[key] for key in ("block", "source", "draw")} | {"above": [1, 1, 2]})
    write_above(tmp_path / "p.above.parquet", Above(told, read, np.array([[-1.0], [2.0], [-0.5]])))
    shown = results.items(stimuli, Path("/project"), made_by="").assign(question=["cat?", "dog?", "cat?"])

    files = tmp_path / "p.parquet", tmp_path / "p.above.parquet"
    answers, above = results.used(*files, shown, made_by="")
    first = ["item_id", "image_id", "image", "question", "y", "truth", "block"]
    assert list(answers)[:7] == list(above)[:7] == first
    for table in (answers, above):
        assert list(table["truth"]) == ["absent", "present", "present"]
        assert list(table["question"]) == ["dog?", "cat?", "cat?"]
        assert list(table["image"]) == ["/project/pictures/1.png"] * 3
    np.testing.assert_allclose(answers[["p:absent", "p:present"]], p, rtol=1e-6)
    assert list(answers["said"]) == ["absent", "present", "absent"]
    np.testing.assert_allclose(answers["margin"], np.log([0.6 / 0.4, 0.7 / 0.3, 0.1 / 0.9]), rtol=1e-5)
    assert list(above["predicted"]) == ["absent", "present", "absent"]

    # Of more classes the highest margin counts.
    told = Told(["a", "b", "c"], {}, {}, blocks=2, along="", strengths=[], draws=1)
    write_sweep(files[0], Sweep(told, pd.DataFrame(item | run | {"mass": 0.5}), np.log(np.full((3, 3), 1 / 3))))
    write_above(files[1], Above(told, read, np.eye(3)[[2, 0, 1]]))
    answers, above = results.used(*files, shown, made_by="")
    assert list(above["predicted"]) == ["c", "a", "b"]
    np.testing.assert_allclose(answers["margin"], np.log(0.5), rtol=1e-5)
    with pytest.raises(InputError, match=r"p\.parquet: item 'v/1/cat' is not among the stimuli .*`?snakemake used"):
        results.used(*files, shown[1:], made_by="snakemake used")


def test_what_is_not_there_yet_says_what_makes_it(tmp_path):
    makes = "snakemake states --cores 2 --configfile my.yaml"
    files = [tmp_path / "p.1-of-2.h5", tmp_path / "p.2-of-2.h5"]
    for read in (
        lambda: results.states(files, made_by=makes),
        lambda: results.items(tmp_path / "none", tmp_path, made_by=makes),
        lambda: results.labels(tmp_path / "none", made_by=makes),
        lambda: results.gathered({("m", "t", "p"): tmp_path / "none"}, made_by=makes),
        lambda: results.predictions(tmp_path / "none", tmp_path, SHOWN, made_by=makes),
        lambda: results.flow({"knockout": tmp_path / "none"}, tmp_path, tmp_path, made_by=makes),
        lambda: results.used(tmp_path / "none", tmp_path / "none.above", SHOWN, made_by=makes),
    ):
        with pytest.raises(InputError, match=f"not there yet.*run `{makes}`"):
            read()
    with pytest.raises(InputError, match=r"p\.1-of-2\.h5: not there yet \(and 1 more\)"):
        results.states(files, made_by=makes)
    (tmp_path / "objects/01234567").mkdir(parents=True)
    with pytest.raises(InputError, match="objects were made by another config or by other code; run"):
        results.items(tmp_path / "objects/76543210", tmp_path, made_by=makes)
