"""Items: balance, pairing, sampling, digests, images."""

import copy
import json

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from layerwise.datasets import coco, snli_ve
from layerwise.errors import InputError
from layerwise.planning.recipes import as_before
from layerwise.stimuli.building import Sources, Stimuli
from layerwise.stimuli.items import items_digest
from layerwise.stimuli.kinds.coco_entailment import build_entailment, pair_off
from layerwise.stimuli.kinds.coco_objects import build_objects
from layerwise.stimuli.kinds.snli_ve import build_hypotheses
from layerwise.stimuli.kinds.table import build_table
from layerwise.stimuli.making import build_stimuli, read_entry
from layerwise.stimuli.prompts import check_cue, render_prompts, unique_inputs
from layerwise.stimuli.sampling import sample_ids
from layerwise.study import Study
from tests.conftest import REPOSITORY
from tests.faults.reliability import fault
from tests.items import finished


@pytest.fixture(scope="module")
def parts(world):
    folder = world / "coco"
    return {part: coco.read_part(folder / "annotations", folder, part) for part in ("train2017", "val2017")}


@pytest.mark.parametrize("mismatch", ["random", "hard"])
def test_entailment_tells_nothing_by_text_or_image_alone(parts, mismatch):
    stimuli = build_entailment(parts, {"train2017": 40, "val2017": "all"}, 2, mismatch, seed=1)
    both = stimuli.provenance.assign(text=stimuli.shown["text"], image=stimuli.shown["image"])
    both["caption"] = [item_id.rsplit("/", 1)[1] for item_id in both["item_id"]]
    for key in ("caption", "image"):
        counts = both.groupby(key)["label:match"].value_counts().unstack()
        assert (counts["match"] == counts["mismatch"]).all(), key
    assert both.groupby("image_id")["group"].nunique().eq(1).all()
    assert both.groupby("group")["part"].nunique().eq(1).all()
    assert both.loc[both["part"] == "train2017", "image_id"].nunique() == 40


def test_own_captions_are_the_matches(parts):
    stimuli = build_entailment(parts, {"val2017": "all"}, 1, "random", seed=1)
    own = parts["val2017"].captions.groupby("image_id")["caption"].agg(set)
    for (_, shown), (_, known) in zip(stimuli.shown.iterrows(), stimuli.provenance.iterrows(), strict=True):
        image = int(known["image_id"].split("/")[1])
        if known["label:match"] == "match":
            assert shown["text"] in own[image]
        else:
            partner = {int(i) for i in known["group"].split("/")[1].split("+")} - {image}
            assert shown["text"] in own[partner.pop()]


def test_hard_mismatches_share_more_categories(parts):
    categories = parts["train2017"].objects.groupby("image_id")["category"].agg(set)

    def shared(mismatch):
        groups = build_entailment(parts, {"train2017": "all"}, 1, mismatch, seed=1).provenance["group"].unique()
        pairs = [[int(i) for i in group.split("/")[1].split("+")] for group in groups]
        return np.mean([len(categories[a] & categories[b]) / len(categories[a] | categories[b]) for a, b in pairs])

    assert shared("hard") > shared("random") + 0.2


def test_images_of_one_caption_are_never_partners():
    texts = [frozenset({"same"})] * 2 + [frozenset({"other"})] * 2
    for seed in range(20):
        pairs, alone = pair_off([1, 2, 3, 4], [frozenset()] * 4, texts, "random", np.random.default_rng(seed))
        assert alone == 0
        assert all({a, b} not in ({1, 2}, {3, 4}) for a, b in pairs)
    _, alone = pair_off([1, 2, 3], [frozenset()] * 3, [frozenset({"same"})] * 3, "hard", np.random.default_rng(0))
    assert alone == 3


def test_objects_are_balanced_in_every_part(parts):
    stimuli = build_objects(parts, {"train2017": "all", "val2017": "all"}, 20, None, seed=1)
    counts = stimuli.provenance.groupby(["part", "category"])["label:presence"].value_counts().unstack()
    assert (counts["present"] == counts["absent"]).all()
    per_category = stimuli.provenance.groupby("category").size()
    assert (per_category <= 20).all()
    assert (per_category >= 12).all()
    truth = parts["train2017"].objects
    present = {(f"train2017/{row.image_id}", row.category) for row in truth.itertuples()}
    train = stimuli.provenance[stimuli.provenance["part"] == "train2017"]
    for row in train.itertuples():
        assert ((row.image_id, row.category) in present) == (row[-1] == "present")


def test_objects_refuse_an_unknown_category(parts):
    with pytest.raises(InputError, match="no category 'unicorn'; the data set has"):
        build_objects(parts, {"val2017": "all"}, 20, ["unicorn"], seed=1)


def test_a_part_samples_the_same_whatever_the_others_do(parts):
    alone = build_objects({"val2017": parts["val2017"]}, {"val2017": 10}, 1000, None, seed=1)
    beside = build_objects(parts, {"train2017": "all", "val2017": 10}, 10000, None, seed=1)
    assert set(alone.shown["item_id"]) == {i for i in beside.shown["item_id"] if i.startswith("val2017")}


def test_hypotheses_keep_all_pairs_of_a_sampled_image(world):
    folder = world / "snli_ve"
    read = {part: snli_ve.read_part(folder, folder / "flickr30k_images", part) for part in ("train", "test")}
    stimuli = build_hypotheses(read, {"train": 5, "test": "all"}, seed=1)
    train = stimuli.provenance[stimuli.provenance["part"] == "train"]
    assert train["image_id"].nunique() == 5
    assert len(train) == read["train"][0]["image_id"].isin(train["image_id"]).sum()


def test_hypotheses_balanced_within_every_image(world):
    folder = world / "snli_ve"
    pairs, counts = snli_ve.read_part(folder, folder / "flickr30k_images", "train")
    # One image without a contradiction, one with fewer of them, the others with two of each label.
    first, second = pairs["image_id"].unique()[:2]
    contradictions = pairs["gold_label"] == "contradiction"
    without = pairs["image_id"].eq(first) & contradictions
    fewer = pairs.index[pairs["image_id"].eq(second) & contradictions][:1]
    read = {"train": (pairs[~without].drop(fewer), counts)}
    stimuli = build_hypotheses(read, {"train": "all"}, 1, pairs_per_label=2)
    table = stimuli.provenance.groupby("image_id")["label:gold_label"].value_counts().unstack()
    assert table.eq(table["neutral"], axis=0).all(axis=None)
    assert first not in table.index
    assert table.loc[second, "neutral"] == 1
    assert table.drop(second).eq(2).all(axis=None)
    assert stimuli.notes["images_without_every_label"] == 1
    fewest = build_hypotheses(read, {"train": "all"}, 1, pairs_per_label=1).provenance
    assert fewest.groupby(["image_id", "label:gold_label"]).size().eq(1).all()
    # Of two that would do, the seed decides, and the same seed the same.
    ones = [set(build_hypotheses(read, {"train": "all"}, seed, 1).shown["item_id"]) for seed in (1, 1, 2)]
    assert ones[0] == ones[1] != ones[2]


def test_sampling():
    rng = np.random.default_rng(0)
    assert sample_ids([5, 1, 3], "all", rng) == [5, 1, 3]
    assert sample_ids([5, 1, 3], 9, rng) == [5, 1, 3]
    sampled = sample_ids(list(range(100)), 10, rng)
    assert sampled == sorted(sampled)
    assert len(set(sampled)) == 10
    assert sampled == sample_ids(list(range(100)), 10, np.random.default_rng(0))


def test_digest_follows_content_not_paths():
    items = pd.DataFrame(
        {"item_id": ["a"], "image": ["x.jpg"], "image_sha256": ["0"], "text": ["t"], "category": [None]}
    )
    digest = items_digest(items, [])
    assert items_digest(items.assign(image="elsewhere/x.jpg"), []) == digest
    for change in ({"item_id": "b"}, {"image_sha256": "1"}, {"text": "u"}, {"text": None}, {"category": "c"}):
        assert items_digest(items.assign(**change), []) != digest, change
    assert items_digest(items, ["c"]) != digest


def one_item(image) -> Stimuli:
    return Stimuli(pd.DataFrame({"item_id": ["a"], "image": [str(image)]}), pd.DataFrame(), [], {})


def test_bad_images_are_named(tmp_path):
    with pytest.raises(InputError, match=r"gone.jpg: the image is missing"):
        finished(one_item(tmp_path / "gone.jpg"))
    with pytest.raises(InputError, match="val2017: there is no such folder, but annotations name its images"):
        finished(one_item(tmp_path / "val2017/1.jpg"))
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(InputError, match=r"empty.jpg: not a readable image"):
        finished(one_item(tmp_path / "empty.jpg"))
    (tmp_path / "page.jpg").write_text("<html>")
    with pytest.raises(InputError, match=r"page.jpg: not a readable image"):
        finished(one_item(tmp_path / "page.jpg"))
    Image.effect_noise((400, 300), 50).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"cut.jpg: not a readable image"):
        finished(one_item(tmp_path / "cut.jpg"))
    Image.new("RGB", (4, 4)).save(tmp_path / "fine.jpg")
    assert len(finished(one_item(tmp_path / "fine.jpg"))["image_sha256"][0]) == 64


def test_repeated_ids_are_refused(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.jpg")
    twice = one_item(tmp_path / "a.jpg")
    twice = Stimuli(pd.concat([twice.shown] * 2), twice.provenance, [], {})
    with pytest.raises(InputError, match="two items have the id 'a'"):
        finished(twice)


def test_prompts_keep_braces_of_a_caption():
    items = pd.DataFrame({"text": ["{category} {0} $(x)"], "category": [None]})
    assert render_prompts({"text": '{{"{text}"}}'}, items, []) == ['{{"{category} {0} $(x)"}}']


def test_category_cues():
    items = pd.DataFrame({"text": [None], "category": ["star"]})
    assert render_prompts({"text": "A {category}?"}, items, ["bar", "star"]) == ["A star?"]
    assert render_prompts({"text": "Any of {categories}?"}, items, ["bar", "star"]) == ["Any of bar, star?"]
    listed = {"text": "Any of {categories}?", "categories": ["star"]}
    assert render_prompts(listed, items, ["bar", "star"]) == ["Any of star?"]
    check_cue("p", listed, ["bar", "star"])
    with pytest.raises(InputError, match="prompt p: there is no category 'star' among bar"):
        check_cue("p", listed, ["bar"])


def test_items_of_one_input_share_a_row():
    items = pd.DataFrame({"item_id": list("abcd"), "image": list("xxyx"), "image_sha256": list("1121")})
    inputs, rows = unique_inputs(items, ["p", "p", "p", "q"])
    assert list(zip(inputs["image"], inputs["prompt"], strict=True)) == [("x", "p"), ("y", "p"), ("x", "q")]
    assert rows == [0, 0, 1, 2]


@pytest.fixture
def table(tmp_path):
    def write(rows: str, **entry):
        for name in "abc":
            Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.jpg")
        (tmp_path / "mine.csv").write_text(rows)
        given = {"kind": "table", "file": str(tmp_path / "mine.csv"), "labels": ["wet"]} | entry
        return build_table(read_entry(given))[0]

    return write


def test_own_table(table, tmp_path):
    stimuli = table("image,wet,part\nb.jpg,yes,train\na.jpg,no,test\n", split_column="part")
    assert dict(zip(stimuli.shown["item_id"], stimuli.shown["image"], strict=True)) == {
        "0": str(tmp_path / "b.jpg"),
        "1": str(tmp_path / "a.jpg"),
    }
    known = stimuli.provenance.set_index("item_id")
    assert known.loc["0", ["group", "part", "label:wet"]].tolist() == ["b.jpg", "train", "yes"]


@fault(
    "your own table has an empty cell, a repeated id, or a missing picture",
    sees="one error that names file and row",
    kept="all finished work",
)
@pytest.mark.parametrize(
    ("rows", "entry", "complaint"),
    [
        ("image,wet\nz.jpg,yes\n", {}, "row 2: there is no image"),
        ("image,wet,part\na.jpg,yes,tets\n", {"split_column": "part"}, "row 2: 'part' is 'tets'"),
        (
            "image,wet,part\na.jpg,yes,test\na.jpg,no,train\n",
            {"split_column": "part"},
            "'a.jpg' are in different splits",
        ),
        ("image,dry\na.jpg,yes\n", {}, "no column 'wet'"),
        ("id,image,wet\n1,a.jpg,yes\n1,b.jpg,no\n", {"id_column": "id"}, "row 3: the id '1' is in a row above too"),
        ('text,image,wet\n"",a.jpg,yes\n', {"text_column": "text"}, "row 2: the column 'text' is empty"),
    ],
)
def test_own_table_complaints(table, rows, entry, complaint):
    with pytest.raises(InputError, match=complaint):
        table(rows, **entry)


def test_premises_are_shown_where_they_are_asked_for_and_change_nothing_else(world):
    entry = {"kind": "snli-ve", "dataset": "shapes", "images": {"train": 5, "test": "all"}}
    sources = Sources("snli-ve", str(world / "snli_ve"), str(world / "snli_ve/flickr30k_images"))
    plain, with_premises = (build_stimuli(read_entry(entry | more), sources, 1)[0] for more in ({}, {"premise": True}))
    assert list(plain.shown) == ["item_id", "image", "text"]
    pd.testing.assert_frame_equal(with_premises.shown[list(plain.shown)], plain.shown)
    pd.testing.assert_frame_equal(with_premises.provenance, plain.provenance)
    said = {}
    for part in ("train", "test"):
        for line in (world / f"snli_ve/snli_ve_{part}.jsonl").read_text().splitlines():
            record = json.loads(line)
            said[record["pairID"]] = f"{record['sentence1']} So: {record['sentence2']}"
    items = finished(with_premises)
    prompts = render_prompts({"text": "{premise} So: {text}"}, items, [])
    assert prompts == [said[item] for item in items["item_id"]]


def test_a_set_without_premises_keeps_its_recipe(tmp_path):
    config = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())
    config |= yaml.safe_load((REPOSITORY / "config/prompts.yaml").read_text())
    folders, notes = [], []
    for more in ({}, {"premise": False}, {"premise": True}):
        changed = copy.deepcopy(config)
        changed["stimuli"]["hypotheses"] |= more
        study = Study.from_config(changed, directory=tmp_path)
        folders.append(study.stimuli_folder("hypotheses"))
        notes.append([note for note in study.notes if "premise" in note])
        # What recipes and jobs are given, as before there was this key.
        assert ("premise" in as_before("stimuli", study.config.stimuli["hypotheses"].entry())) is bool(study.notes)
    assert folders[0] == folders[1] != folders[2]
    assert notes == [[], [], ["The config: stimuli.hypotheses.premise: none of its prompts shows {premise}."]]
