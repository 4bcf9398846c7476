"""The test items of the page: which are there, what is said of them, and their pictures."""

import base64
import json
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from layerwise import results
from layerwise.compare.inputs import Given, read_estimates
from layerwise.errors import InputError
from layerwise.explore.catalogue import PARTS
from layerwise.explore.document import page
from layerwise.explore.items.block import block, block_bytes
from layerwise.explore.items.budget import SHARE_OF_ITEMS
from layerwise.explore.items.files import read_sample, write_sample
from layerwise.explore.items.sampling import sample
from layerwise.several_pictures import each
from layerwise.study import Study
from tests.cells import run_here
from tests.conftest import REPOSITORY
from tests.sampled import LAYERS, MODELS, PROMPTS, TASKS, cells_of, labels_of, plan, write_study

ITEMS = 60


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> tuple[Path, Given]:
    folder = tmp_path_factory.mktemp("study")
    return folder, write_study(folder, ITEMS)


@pytest.fixture(scope="module")
def sampled(study):
    folder, given = study
    write_sample(folder / "explore", sample(plan(folder), given))
    return read_sample(folder / "explore")


def page_of(folder: Path) -> str:
    """The page of a sample, with this part alone."""
    content = PARTS["items"].make(Given({"sampled-items": [folder / "items.json"]}), [])
    return page(REPOSITORY / "report/page", "Title", {"items": content}, {"items": "Test items"}, facts={})


@pytest.mark.parametrize("task", [name for name, task in TASKS.items() if task.classes])
def test_margins_are_those_of_the_predictions(study, sampled, task, tmp_path):
    folder, _ = study
    shown = pd.read_parquet(folder / f"stimuli/{TASKS[task].stimuli}/0123abcd/items.parquet").assign(image_id="i")
    labels_of(TASKS[task], ITEMS).assign(image_id="i", group="g").to_parquet(folder / f"tasks/{task}/labels.parquet")
    of_task = sampled.margins[sampled.margins["task"] == task]
    assert {*zip(of_task["model"], of_task["prompt"], strict=True)} == {*cells_of(TASKS[task])}
    for (model, prompt), rows in of_task.groupby(["model", "prompt"]):
        file = folder / f"probes/{model}/{task}/{prompt}.predictions.parquet"
        found = results.predictions(file, folder / f"tasks/{task}", shown, split="test", made_by="")
        by_key = {(row.layer, row.label, row.item_id): row for row in found.itertuples()}
        for row in rows.itertuples():
            assert len(row.by_layer) == LAYERS
            for layer, (margin, k) in enumerate(zip(row.by_layer, row.predicted, strict=True)):
                expected = by_key[layer, row.label, row.item_id]
                scores, y = np.asarray(expected.scores, np.float32), expected.y
                assert k == expected.pred
                assert TASKS[task].classes[k] == expected.predicted
                if len(scores) == 1:
                    assert margin == (scores[0] if y == 1 else -scores[0])
                else:
                    assert margin == scores[y] - max(score for at, score in enumerate(scores) if at != y)
                assert (margin > 0) == (k == y)


def test_numbers_have_their_estimates(study, sampled):
    folder, _ = study
    for row in sampled.margins[sampled.margins["task"] == "area"].itertuples():
        for layer, value in enumerate(row.by_layer):
            found = read_estimates(folder / f"probes/{row.model}/area/{row.prompt}.estimates.parquet", layer, "test")
            assert value == np.float32(found.set_index("item_id").loc[row.item_id, "estimate"])
    truths = labels_of(TASKS["area"], ITEMS).set_index("item_id")["y"]
    of_task = sampled.items[sampled.items["task"] == "area"]
    assert of_task["y"].tolist() == truths.loc[of_task["item_id"]].tolist()


def wrong_by(folder: Path, task: str, model: str, prompt: str) -> pd.Series:
    """How far a cell is wrong about each label and test item at most, from its file."""
    ending = "predictions" if TASKS[task].classes else "estimates"
    rows = pd.read_parquet(folder / f"probes/{model}/{task}/{prompt}.{ending}.parquet").query("split == 'test'")
    if ending == "estimates":
        by = (rows["estimate"] - rows["y"]).abs()
    else:
        scores, y = np.stack(rows["scores"].to_numpy()), rows["y"].to_numpy()
        both = np.concatenate([np.zeros_like(scores), scores], axis=1) if scores.shape[1] == 1 else scores
        own = both[np.arange(len(y)), y]
        both[np.arange(len(y)), y] = -np.inf
        by = pd.Series(both.max(axis=1) - own, index=rows.index)
    return by.groupby([rows["label"], rows["item_id"]]).max()


@pytest.mark.parametrize("task", TASKS)
def test_the_worst_of_every_cell_are_there_in_turns(study, sampled, task):
    folder, _ = study
    items = sampled.items[sampled.items["task"] == task]
    wrong = [wrong_by(folder, task, *cell) for cell in cells_of(TASKS[task])]
    for label, rows in items.groupby("label"):
        wanted = 5 if len(TASKS[task].labels) == 1 else 2
        worst = rows[rows["worst"] > 0].sort_values("worst")["item_id"].tolist()
        assert len(worst) == wanted
        in_order = [of_cell[label].sort_values(ascending=False, kind="stable") for of_cell in wrong]
        in_order = [of_cell[of_cell > 0].index for of_cell in in_order]
        turns = [of_cell[rank] for rank in range(ITEMS) for of_cell in in_order if rank < len(of_cell)]
        expected = list(dict.fromkeys(turns))
        assert worst == expected[:wanted]
        drawn = rows[rows["drawn"] > 0]
        assert sorted(drawn["drawn"]) == list(range(1, wanted + 1))


def test_only_test_items_are_shown(sampled):
    for task, rows in sampled.items.groupby("task"):
        labels = labels_of(TASKS[task], ITEMS).set_index(["label", "item_id"])
        assert set(labels.loc[pd.MultiIndex.from_frame(rows[["label", "item_id"]]), "split"]) == {"test"}
        n = labels[labels["split"] == "test"].groupby("label").size()
        assert sampled.description["tasks"][task]["tested"] == n.to_dict()


def test_items_are_drawn_by_seed(study, sampled):
    folder, given = study
    again = sample(plan(folder, ["agree"]), given)
    assert again.items["item_id"].tolist() == sampled.items[sampled.items["task"] == "agree"]["item_id"].tolist()
    other = sample(plan(folder, ["agree"], seed=1), given)
    drawn = [set(found.items[found.items["drawn"] > 0]["item_id"]) for found in (again, other)]
    worst = [set(found.items[found.items["worst"] > 0]["item_id"]) for found in (again, other)]
    assert drawn[0] != drawn[1]
    assert worst[0] == worst[1]


def test_what_the_model_says_is_its_most_probable_answer(study, sampled):
    folder, _ = study
    answers = results.answers(folder / "answers/llava/captions/plain.parquet", made_by="")
    top = answers[answers["layer"] == LAYERS - 1].set_index("item_id")
    wrote = pd.read_parquet(folder / "generated/llava/captions/plain.parquet").set_index("item_id")
    rows = sampled.margins[sampled.margins["said"].notna()]
    assert set(map(tuple, rows[["model", "task", "prompt"]].to_numpy())) == {("llava", "agree", "plain")}
    for row in rows.itertuples():
        assert row.said == top.loc[row.item_id, "said"]
        assert row.p == pytest.approx(top.loc[row.item_id, f"p:{row.said}"])
        assert (row.written, row.written_class) == tuple(wrote.loc[row.item_id, ["text", "class"]])


def test_prompts_are_as_the_model_read_them_and_say_what_it_saw(sampled):
    own = sampled.items.drop_duplicates(["task", "item_id"]).set_index(["task", "item_id"])["pictures"]
    for row in sampled.texts.itertuples():
        number = int(row.item_id.split()[1])
        assert row.text == f'Is it true? "There is thing {number}."'
        pictures = own[row.task, row.item_id]
        if row.prompt in ("plain", "both"):
            assert (row.shown, row.pictures) == ("shown", pictures)
        elif row.prompt == "swapped":
            assert (row.shown, each(row.pictures)) == ("chosen", each(pictures)[::-1])
        elif row.prompt == "text-only":
            assert (row.shown, row.pictures) == ("none", "")
        elif row.prompt == "grey":
            assert (row.shown, row.pictures) == ("blank", "blank")
        else:
            assert (row.shown, len(row.pictures)) == ("shuffled", 64)
            assert row.pictures != pictures


def test_copies_are_small_and_show_the_picture(study, sampled):
    folder, _ = study
    shown = sampled.thumbnails.set_index("sha256")
    named = {
        one for cells in (sampled.items, sampled.texts) for cell in cells["pictures"] if cell for one in each(cell)
    }
    assert named == set(shown.index)
    files = pd.read_parquet(folder / "stimuli/captions/0123abcd/items.parquet").set_index("image_sha256")["image"]
    for checksum in set(shown.index) & set(files.index):
        row = shown.loc[checksum]
        assert (row["width"], row["height"]) == (32, 27)
        assert not row["address"]
        with Image.open(files[checksum]) as original:
            wanted = np.asarray(original.convert("RGB").resize((32, 27), Image.Resampling.LANCZOS), float)
        (folder / "copy").write_bytes(row["content"])
        with Image.open(folder / "copy") as copy:
            assert Image.MIME[copy.format] == row["media_type"]
            assert np.abs(np.asarray(copy.convert("RGB"), float) - wanted).mean() < 6


@pytest.mark.parametrize(
    ("changed", "linked"), [({"pictures": "linked"}, "all"), ({"linked": ["captions"]}, "captions")]
)
def test_linked_pictures_are_never_copied(study, changed, linked):
    folder, given = study
    page_folder = folder / f"linked-{linked}"
    write_sample(page_folder, sample(plan(folder, **changed, folder=page_folder), given))
    html, found = page_of(page_folder), read_sample(page_folder)
    embedded = {base64.b64encode(content).decode() for content in found.thumbnails["content"] if content}
    # Beside the pairs' copies, only the grey picture that stands for none.
    pairs = {one for cell in found.items.query("task == 'order'")["pictures"] for one in each(cell)}
    assert len(embedded) == 1 + (0 if linked == "all" else len(pairs))
    assert html.count("data:image/") == len(embedded)
    items = pd.read_parquet(folder / "stimuli/captions/0123abcd/items.parquet")
    addresses = found.thumbnails[found.thumbnails["address"] != ""].set_index("sha256")["address"]
    assert set(found.items.query("task == 'agree'")["pictures"]) <= set(addresses.index)
    for image, checksum in zip(items["image"], items["image_sha256"], strict=True):
        content = Path(image).read_bytes()
        assert base64.b64encode(content).decode()[:200] not in html
        if checksum in addresses.index:
            address = addresses[checksum]
            assert not {"#", " "} & set(address)
            assert (page_folder / unquote(address)).resolve() == Path(image)
            assert address in html


def test_a_page_without_pictures_has_none(study):
    folder, given = study
    page_folder = folder / "none"
    write_sample(page_folder, sample(plan(folder, pictures="none", folder=page_folder), given))
    html = page_of(page_folder)
    assert "data:image/" not in html
    assert "pictures%20" not in html
    assert "shows no pictures" in html


def test_pictures_shrink_before_items_are_left_out(tmp_path):
    given = write_study(tmp_path, 30, ["agree"], side=120, noise=90)
    whole = sample(plan(tmp_path, ["agree"], side=96), given)
    sizes = {}
    for share in (0.9, 0.35, 0.1):
        budget = share * block_bytes(whole) / SHARE_OF_ITEMS / 1e6
        found = sizes[share] = sample(plan(tmp_path, ["agree"], side=96, megabytes=budget), given)
        assert block_bytes(found) == found.description["bytes"] <= SHARE_OF_ITEMS * budget * 1e6
    assert [found.description["side"] for found in sizes.values()] == [72, 48, 48]
    assert sizes[0.9].description["left_out"] == 0
    assert sizes[0.9].items.equals(whole.items)
    fewer = sizes[0.1]
    assert fewer.description["left_out"] == len(whole.items) - len(fewer.items) > 0
    assert len(fewer.items) == fewer.description["at_most"]
    # What was drawn first, and the worst, stay to the last.
    assert {1} <= set(fewer.items["drawn"]) & set(fewer.items["worst"])
    write_sample(tmp_path / "explore", fewer)
    assert f"{fewer.description['left_out']} sampled items are left out" in page_of(tmp_path / "explore")


def test_the_page_has_the_numbers_of_the_files(sampled):
    shown = json.loads(json.dumps(block(sampled)))
    for name, task in shown["tasks"].items():
        items = sampled.items[sampled.items["task"] == name]
        assert task["rows"]["item"] == items["item_id"].tolist()
        assert [task["labels"][code] for code in task["rows"]["label"]] == items["label"].tolist()
        for cell in task["cells"]:
            rows = sampled.margins.query("task == @name and model == @cell['model'] and prompt == @cell['prompt']")
            rows = rows.set_index(["label", "item_id"]).loc[pd.MultiIndex.from_frame(items[["label", "item_id"]])]
            margins = np.frombuffer(base64.b64decode(cell["margins"]), "<f4").reshape(len(items), cell["layers"])
            assert np.array_equal(margins, np.stack(rows["by_layer"]))
            classes = np.frombuffer(base64.b64decode(cell["predicted"]), "<i2").reshape(len(items), cell["layers"])
            assert np.array_equal(classes, np.stack(rows["predicted"]))
            if "said" in cell:
                assert [task["classes"][k] for k in cell["said"]] == rows["said"].tolist()


def test_a_file_of_one_row_group_reads_the_same(study, sampled, tmp_path):
    folder, given = study
    for model, prompt in cells_of(TASKS["what"]):
        # In another order, too.
        name = f"{model}/what/{prompt}.predictions.parquet"
        rows = pd.read_parquet(folder / "probes" / name).sample(frac=1, random_state=0)
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        rows.to_parquet(tmp_path / name)
        assert pq.ParquetFile(tmp_path / name).num_row_groups == 1
    found = sample(plan(folder, ["what"]), Given(given.files | {"predictions": [tmp_path]}))
    before = sampled.margins[sampled.margins["task"] == "what"]
    keys = ["model", "prompt", "label", "item_id"]
    both = before.merge(found.margins, on=keys, suffixes=("", "_again"))
    assert len(both) == len(before) == len(found.margins)
    assert all(map(np.array_equal, both["by_layer"], both["by_layer_again"]))


def test_pictures_that_are_gone_leave_an_empty_place(tmp_path):
    given = write_study(tmp_path, 30, ["agree"])
    for file in (tmp_path / "my pictures #1").iterdir():
        file.unlink()
    found = sample(plan(tmp_path, ["agree"]), given)
    # All but the grey one.
    assert found.description["missing"] == len(found.thumbnails) - 1 > 0
    write_sample(tmp_path / "explore", found)
    assert "pictures were gone" in page_of(tmp_path / "explore")


def test_damaged_files_are_named(tmp_path):
    given = write_study(tmp_path, 30, ["agree"])
    file = tmp_path / "probes/twin/agree/plain.predictions.parquet"
    whole = pd.read_parquet(file)
    asked = plan(tmp_path, ["agree"])
    whole.query("layer != 2 or item_id != 'item 0020'").to_parquet(file)
    with pytest.raises(InputError, match=r"twin/agree/plain\.predictions\.parquet: has no margin of item 'item 0020'"):
        sample(plan(tmp_path, ["agree"], items=30), given)
    whole.drop(columns="scores").to_parquet(file)
    with pytest.raises(InputError, match=r"plain\.predictions\.parquet: lacks the columns scores"):
        sample(asked, given)
    file.write_bytes(b"no")
    with pytest.raises(InputError, match=r"plain\.predictions\.parquet: cannot be read"):
        sample(asked, given)
    whole.to_parquet(file)
    stimuli = tmp_path / "stimuli/captions/0123abcd/items.parquet"
    items = pd.read_parquet(stimuli)
    items.assign(text="Another.").to_parquet(stimuli)
    with pytest.raises(InputError, match=r"not the file that stimuli\.json describes"):
        sample(asked, given)


def test_the_program_writes_what_the_page_reads(study, tmp_path, monkeypatch):
    given = study[1]
    command = ["python", str(REPOSITORY / "scripts/sample_items.py"), "--inputs"]
    command += [f"{name}={path}" for name, paths in given.files.items() for path in paths]
    cells = [f"{','.join(MODELS)}/{name}/{','.join(PROMPTS[task.stimuli])}" for name, task in TASKS.items()]
    command += ["--cells", *cells, "--says", "llava/agree/plain", "--writes", "--prompts", json.dumps(PROMPTS)]
    command += ["--shown-as", '{"twin": "untrained"}', "--items", "3", "--seed", "4", "--pictures", "copied"]
    command += ["--linked", "pairs", "--side", "32", "--megabytes", "5", "--out", str(tmp_path)]
    run_here(command, monkeypatch)
    found = read_sample(tmp_path)
    assert set(found.margins["model"]) == {"llava", "untrained"}
    assert found.margins["written"].isna().all()
    assert found.description["linked"] == found.thumbnails["address"].ne("").sum() > 0
    assert len(page_of(tmp_path)) > 1e4
    (tmp_path / "margins.parquet").unlink()
    with pytest.raises(InputError, match=r"margins\.parquet: cannot be read"):
        read_sample(tmp_path)


def test_licences_decide_what_is_copied(tmp_path):
    loaded = Study.load(REPOSITORY / "config/paper.yaml")
    assert {name: loaded.allows_copies(name) for name in loaded.grid.used_stimuli()} == {
        "captions": True,
        "hypotheses": False,
        "objects": True,
    }
    assert all(map(Study.load(REPOSITORY / "config/config.yaml").allows_copies, ("captions", "hypotheses", "objects")))
    own = tmp_path / "own.yaml"
    config = {"datasets": {"coco": {"copies": False}, "snli-ve": {"copies": True}}, "explore": {"linked": ["objects"]}}
    own.write_text(json.dumps(config))
    changed = Study.load(REPOSITORY / "config/paper.yaml", own)
    assert [changed.allows_copies(name) for name in ("captions", "hypotheses", "objects")] == [False, True, False]
    own.write_text(json.dumps({"explore": {"linked": ["scans"]}}))
    with pytest.raises(InputError, match=r"explore\.linked: there is no 'scans'; `stimuli` has captions"):
        Study.load(REPOSITORY / "config/config.yaml", own)
