"""Readers of COCO and SNLI-VE: what they read, and how they complain."""

import gzip
import json
import math

import pytest

from layerwise.datasets import coco, snli, snli_ve
from layerwise.datasets.annotated import check_measured
from layerwise.errors import InputError
from tests.faults.reliability import fault


@pytest.fixture
def coco_folder(tmp_path):
    """Two images, three objects, two categories; and a way to write it with a change."""

    def write(change=lambda instances, captions: None):
        instances = {
            "images": [{"id": 7, "file_name": "7.jpg"}, {"id": 9, "file_name": "9.jpg"}],
            "categories": [{"id": 1, "name": "person"}, {"id": 90, "name": "toothbrush"}],
            "annotations": [
                {"id": 1, "image_id": 7, "category_id": 90},
                {"id": 2, "image_id": 7, "category_id": 90},
                {"id": 3, "image_id": 9, "category_id": 1},
            ],
        }
        captions = {"annotations": [{"id": 5, "image_id": 9, "caption": "A person {here}."}]}
        change(instances, captions)
        (tmp_path / "instances_val2017.json").write_text(json.dumps(instances))
        (tmp_path / "captions_val2017.json").write_text(json.dumps(captions))
        (tmp_path / "val2017").mkdir(exist_ok=True)
        return coco.read_part(tmp_path, tmp_path, "val2017")

    return write


def test_coco(coco_folder, tmp_path):
    part = coco_folder()
    assert part.categories == ["person", "toothbrush"]
    assert part.objects.to_dict("list") == {"image_id": [7, 9], "category": ["toothbrush", "person"]}
    assert part.captions.to_dict("records") == [{"caption_id": 5, "image_id": 9, "caption": "A person {here}."}]
    assert list(part.images["image"]) == [str(tmp_path / "val2017/7.jpg"), str(tmp_path / "val2017/9.jpg")]


@fault(
    "an annotation repeats an id, refers to an unknown id, lacks a field, or has an empty caption",
    sees="one error that names file and record",
    kept="all finished work",
)
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda i, c: i["images"].append({"id": 7, "file_name": "x.jpg"}), "two images have the id 7"),
        (
            lambda i, c: i["annotations"].append({"image_id": 8, "category_id": 1}),
            "record 3 of 'annotations' has image_id 8",
        ),
        (lambda i, c: i["annotations"].append({"image_id": 7, "category_id": 2}), "record 3 .* category_id 2"),
        (
            lambda i, c: c["annotations"].append({"id": 6, "image_id": 8, "caption": ""}),
            "captions_val2017.json: record 1",
        ),
        (lambda i, c: c["annotations"][0].update(caption=" "), "captions_val2017.json: record 0 .* empty 'caption'"),
        (lambda i, c: c["annotations"][0].update(caption=math.nan), "record 0 .* empty 'caption', or one that is no"),
        (lambda i, c: c["annotations"][0].update(caption="\u200b"), "record 0 .* empty 'caption'"),
        (lambda i, c: c["annotations"][0].update(caption="\ud800"), "record 0 .* empty 'caption', or one that is no"),
        (
            lambda i, c: c["annotations"].append({"id": 5, "image_id": 9, "caption": "B."}),
            "record 1 .* id 5 of record 0",
        ),
        (lambda i, c: i["categories"][0].pop("name"), "record 0 of 'categories' has no 'name'"),
        (lambda i, c: i["categories"][0].update(name=None), "record 0 of 'categories' has an empty 'name'"),
        (lambda i, c: i["categories"][0].update(name="toothbrush"), "two categories have the name 'toothbrush'"),
        (
            lambda i, c: i["images"][0].update(file_name="9.jpg"),
            r"two images have the file_name '9.jpg' \(records 0 and",
        ),
        (lambda i, c: i["images"][0].update(id="7"), "some images have a number as id, and others a text"),
        (lambda i, c: i["images"].append({"id": "7", "file_name": "x.jpg"}), "two images have the id '7'"),
        *(
            (lambda i, c, wrong=wrong: i["images"][1].update(id=wrong), "record 1 of 'images' has the id .* no id")
            for wrong in (True, None, 7.5, math.nan, [7], "")
        ),
        (lambda i, c: i["annotations"][2].update(image_id=True), "record 2 of 'annotations' has the image_id True"),
        (
            lambda i, c: i["annotations"][2].update(image_id="9"),
            r"record 2 .* image_id '9'.* \(9 is there: text and num",
        ),
        (
            lambda i, c: i["annotations"][2].update(category_id=None),
            "record 2 of 'annotations' has the category_id None",
        ),
        (
            lambda i, c: i["annotations"][1].update(id=1, category_id=1),
            "record 1 .* the id 1 of record 0, but says some",
        ),
        (lambda i, c: i["annotations"][0].update(iscrowd="1"), "record 0 of 'annotations' has 'iscrowd' '1'"),
        (lambda i, c: i.pop("annotations"), "there is no list 'annotations'"),
    ],
)
def test_coco_complaints(coco_folder, change, complaint):
    with pytest.raises(InputError, match=complaint):
        coco_folder(change)


def change_ids(kind):
    """A change of all ids of COCO's files into another kind of value."""

    def change(instances, captions):
        for record in [*instances["images"], *instances["categories"]]:
            record["id"] = kind(record["id"])
        for record in [*instances["annotations"], *captions["annotations"]]:
            record.update({key: kind(record[key]) for key in ("id", "image_id", "category_id") if key in record})

    return change


@pytest.mark.parametrize(
    ("change", "ids"),
    [
        (change_ids(float), [7, 9]),
        (lambda i, c: i["annotations"][0].update(image_id=7.0), [7, 9]),
        (lambda i, c: i["images"][0].update(id=7.0), [7, 9]),
        (lambda i, c: i["categories"][1].update(id=90.0), [7, 9]),
        (lambda i, c: c["annotations"][0].update(image_id=9.0), [7, 9]),
        (change_ids(str), ["7", "9"]),
    ],
)
def test_ids_are_those_of_pycocotools(coco_folder, tmp_path, change, ids):
    """One id that some tool wrote as a float must not make all others of the part unknown."""
    from pycocotools.coco import COCO

    part = coco_folder(change)
    theirs = COCO(tmp_path / "instances_val2017.json")
    assert [str(i) for i in part.images["image_id"]] == [str(i) for i in ids]
    named = {record["id"]: record["name"] for record in theirs.dataset["categories"]}
    expected = {(i, named[a["category_id"]]) for i in theirs.getImgIds() for a in theirs.imgToAnns[i]}
    assert set(part.objects.itertuples(index=False, name=None)) == expected
    assert set(part.annotations["image_id"]) == set(part.images["image_id"]) == set(theirs.imgs)
    # What items are named after: no "7.0".
    assert set(part.annotations["image_id"].astype(str)) == {"7", "9"}
    assert list(part.captions["image_id"].astype(str)) == ["9"]


def test_a_repeated_record_counts_once(coco_folder):
    box = {"image_id": 9, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12}

    def change(instances, captions):
        # Three boxes and a crowd; then one again by its id, one by its content, one of its own id and place.
        instances["annotations"] = [
            box | {"id": 1},
            box | {"id": 2, "bbox": [1, 2, 3, 5]},
            box | {"id": 3, "iscrowd": 1},
        ]
        instances["annotations"] += [box | {"id": 1}, box | {"id": 4}, box | {"id": 2.0, "bbox": [1, 2, 3, 5]}]
        # Without a place nothing says whether two of one category are one.
        instances["annotations"] += [
            {"id": 5, "image_id": 7, "category_id": 1},
            {"id": 6, "image_id": 7, "category_id": 1},
        ]
        captions["annotations"] *= 2
        # COCO's own files have the same words twice for one image: two people said so.
        captions["annotations"].append(captions["annotations"][0] | {"id": 6})

    part = coco_folder(change)
    assert part.annotations["image_id"].tolist() == [9, 9, 9, 7, 7]
    assert part.annotations["record"].tolist() == [0, 1, 2, 6, 7]
    assert part.captions["caption_id"].tolist() == [5, 6]
    assert part.repeated == 4


def test_what_cannot_be_measured_is_named_when_it_is_asked_for(coco_folder):
    boxes = [
        [1, 2, 3, 4],
        None,
        [1, 2, 3],
        [1, 2, 3, "4"],
        [100, 2, 3, 4],
        [1, -9, 3, 4],
        [1, 2, 3, True],
        [1, 2, 3, 10**400],
    ]

    def change(instances, captions):
        instances["images"][0] |= {"width": 20, "height": 10}
        instances["annotations"] = [
            {"id": number, "image_id": 7, "category_id": 1, "bbox": box} for number, box in enumerate(boxes)
        ]
        # The one image has no height.
        instances["annotations"].append({"id": 99, "image_id": 9, "category_id": 1, "bbox": boxes[0]})

    annotations = coco_folder(change).annotations
    assert annotations["x"].notna().tolist() == [True] + [False] * len(boxes[1:]) + [False]
    assert annotations.loc[0, ["x", "y"]].tolist() == [2.5 / 20, 4 / 10]
    check_measured(annotations[:1], "x")
    with pytest.raises(InputError, match=r"instances_val2017.json: record 4 of 'annotations' has no usable 'bbox'"):
        check_measured(annotations[4:], "x")


def test_parts_must_list_the_same_categories(coco_folder, tmp_path):
    """What nobody looked for in a part is not absent there. Ids and order may differ, for names are compared."""
    coco_folder()
    for kind in ("instances", "captions"):
        content = json.loads((tmp_path / f"{kind}_val2017.json").read_text())
        if kind == "instances":
            content["categories"] = [{"id": 90, "name": "person"}, {"id": 1, "name": "toothbrush"}]
        (tmp_path / f"{kind}_train2017.json").write_text(json.dumps(content))
    parts = coco.read_parts(tmp_path, tmp_path, ["train2017", "val2017"])
    assert parts["train2017"].objects["category"].tolist() == ["person", "toothbrush"]
    assert parts["val2017"].objects["category"].tolist() == ["toothbrush", "person"]
    coco_folder(lambda i, c: i["categories"].append({"id": 3, "name": "cat"}))
    for order in (["train2017", "val2017"], ["val2017", "train2017"]):
        with pytest.raises(
            InputError, match=r"instances_val2017.json has the category 'cat', and .*train2017.json has"
        ):
            coco.read_parts(tmp_path, tmp_path, order)


@fault(
    "an annotation file is malformed JSON, or missing",
    sees="one error that names the file and the place in it",
    kept="all finished work",
)
def test_coco_malformed_and_missing_files(coco_folder, tmp_path):
    coco_folder()
    (tmp_path / "captions_val2017.json").write_text('{"annotations": [')
    with pytest.raises(InputError, match=r"captions_val2017.json: not valid JSON"):
        coco.read_part(tmp_path, tmp_path, "val2017")
    with pytest.raises(InputError, match=r"instances_train2017.json: there is no such file"):
        coco.read_part(tmp_path, tmp_path, "train2017")


@pytest.mark.parametrize("part", ["train2017", "val2017"])
def test_coco_reads_as_pycocotools_does(world, part):
    """The readers of COCO's own authors, on files of the same format."""
    from pycocotools.coco import COCO

    folder = world / "coco/annotations"
    ours = coco.read_part(folder, world / "coco", part)
    instances, captions = COCO(folder / f"instances_{part}.json"), COCO(folder / f"captions_{part}.json")
    assert ours.categories == [category["name"] for category in instances.loadCats(instances.getCatIds())]
    assert set(ours.images["image_id"]) == set(instances.getImgIds())
    for image in instances.loadImgs(instances.getImgIds()):
        path = ours.images.set_index("image_id")["image"][image["id"]]
        assert path == str(world / "coco" / part / image["file_name"])
    for category in instances.loadCats(instances.getCatIds()):
        of_category = ours.objects.loc[ours.objects["category"] == category["name"], "image_id"]
        assert set(of_category) == set(instances.getImgIds(catIds=[category["id"]])), category["name"]
        assert of_category.is_unique
    theirs = captions.loadAnns(captions.getAnnIds())
    assert len(theirs) == len(ours.captions)
    assert ours.captions.set_index("caption_id")["caption"].to_dict() == {c["id"]: c["caption"] for c in theirs}
    assert ours.captions.set_index("caption_id")["image_id"].to_dict() == {c["id"]: c["image_id"] for c in theirs}


def snli_line(**change) -> str:
    record = {"Flickr30K_ID": 12, "gold_label": "neutral", "sentence2": "A dog.", "pairID": "12.jpg#0r1n"} | change
    return json.dumps({key: value for key, value in record.items() if value is not None})


def test_snli_ve(tmp_path):
    lines = [snli_line(), "", snli_line(pairID="b", gold_label="-"), snli_line(pairID="c", gold_label="entailment")]
    lines.append(snli_line(pairID="d", sentence2=" "))
    (tmp_path / "snli_ve_dev.jsonl").write_text("\n".join(lines))
    pairs, counts = snli_ve.read_part(tmp_path, "images", "dev")
    assert counts == {"pairs_without_gold_label": 1, "pairs_without_hypothesis": 1}
    assert list(pairs["pair_id"]) == ["12.jpg#0r1n", "c"]
    assert list(pairs["image"]) == ["images/12.jpg"] * 2


def test_the_premises_of_snli_ve_are_read_where_they_are_asked_for(tmp_path):
    """Lines as the published files have them; without `premises` a line may lack its own."""
    line = {"annotator_labels": ["neutral"], "captionID": "12.jpg#0", "sentence1": 'A dog, "Rex", runs.'}
    (tmp_path / "snli_ve_dev.jsonl").write_text("\n".join([snli_line(**line), snli_line(pairID="b")]))
    pairs, _ = snli_ve.read_part(tmp_path, "images", "dev")
    assert "premise" not in pairs
    with pytest.raises(
        InputError, match=r"snli_ve_dev\.jsonl, line 2: sentence1, the premise, is missing, and prompts"
    ):
        snli_ve.read_part(tmp_path, "images", "dev", premises=True)
    (tmp_path / "snli_ve_dev.jsonl").write_text("\n".join([snli_line(**line), snli_line(pairID="b", sentence1=" ")]))
    with pytest.raises(InputError, match="line 2: sentence1, the premise, is ' ', and prompts"):
        snli_ve.read_part(tmp_path, "images", "dev", premises=True)
    undecided = snli_line(pairID="b", gold_label="-")
    (tmp_path / "snli_ve_dev.jsonl").write_text("\n".join([snli_line(**line), undecided]))
    with_premises, counts = snli_ve.read_part(tmp_path, "images", "dev", premises=True)
    assert (list(with_premises["premise"]), counts) == (['A dog, "Rex", runs.'], {"pairs_without_gold_label": 1})


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "line 2: not valid JSON"),
        (snli_line(sentence2=None), "line 2: there is no field 'sentence2'"),
        (snli_line(gold_label="yes"), "line 2: gold_label 'yes'"),
        (snli_line(), "'12.jpg#0r1n' appears twice"),
        (snli_line(pairID="b").replace('"A dog."', "null"), "line 2: sentence2 is None, which is no text"),
        (snli_line(pairID="b", sentence2="\ud800"), "line 2: sentence2 is .*which is no text"),
        (snli_line(pairID="b", Flickr30K_ID=True), "line 2: Flickr30K_ID is True, which is no text"),
        (snli_line(pairID="b", gold_label=["neutral"]), "line 2: gold_label .* is none of"),
        ("7", "line 2: not a JSON object"),
        ("[" * 100_000, "line 2: not valid JSON"),
    ],
)
def test_snli_ve_complaints(tmp_path, line, complaint):
    (tmp_path / "snli_ve_dev.jsonl").write_text(f"{snli_line()}\n{line}\n")
    with pytest.raises(InputError, match=complaint):
        snli_ve.read_part(tmp_path, "images", "dev")


@fault(
    "a data file is compressed, in UTF-16 or Latin-1, or begins with a byte order mark",
    sees="one error that names file, line and fix; a byte order mark is ignored",
    kept="all finished work",
)
def test_files_that_are_no_plain_utf_8(tmp_path):
    file, line = tmp_path / "snli_ve_dev.jsonl", snli_line(sentence2="Un café.") + "\n"
    text = json.dumps(json.loads(line), ensure_ascii=False)
    for content, complaint in [
        (gzip.compress(line.encode()), r"dev.jsonl: compressed \(gzip\)"),
        (text.encode("utf-16"), "dev.jsonl: written in UTF-16; save it as UTF-8"),
        (b"\n" + text.encode("latin-1"), r"dev.jsonl, line 2: not UTF-8 \(the byte 0xe9\)"),
    ]:
        file.write_bytes(content)
        with pytest.raises(InputError, match=complaint):
            snli_ve.read_part(tmp_path, "images", "dev")
    file.write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n")
    assert snli_ve.read_part(tmp_path, "images", "dev")[0]["hypothesis"].tolist() == ["Un café."]
    file.rename(tmp_path / "snli_ve_dev.jsonl.gz")
    with pytest.raises(InputError, match=r"dev.jsonl: there is no such file, but snli_ve_dev.jsonl.gz; unpack it"):
        snli_ve.read_part(tmp_path, "images", "dev")


CORRECTED = "pairID,Flickr30kID,hypothesis,gold_label,explanation\n"


def test_corrected_labels(tmp_path):
    """In the layout of e-SNLI-VE's files: a pair that is not listed is no longer in the data set."""
    lines = [snli_line(), snli_line(pairID="b", gold_label="entailment"), snli_line(pairID="c")]
    (tmp_path / "snli_ve_dev.jsonl").write_text("\n".join(lines))
    rows = '12.jpg#0r1n,12.jpg,A dog.,contradiction,"a, b"\nb,12.jpg,A dog.,entailment,None\nx,1.jpg,?,neutral,c\n'
    (tmp_path / "dev.csv").write_text(CORRECTED + rows)
    pairs, counts = snli_ve.read_part(tmp_path, "images", "dev", tmp_path / "dev.csv")
    assert dict(zip(pairs["pair_id"], pairs["gold_label"], strict=True)) == {
        "12.jpg#0r1n": "contradiction",
        "b": "entailment",
    }
    assert counts == {"pairs_without_gold_label": 0, "labels_corrected": 1, "pairs_without_corrected_label": 1}


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (f"{CORRECTED}b,1.jpg,?,maybe,c\n", "dev.csv: the gold_label of the pairID 'b' is 'maybe', none of"),
        (f"{CORRECTED}b,1.jpg,?,neutral,c\nb,1.jpg,?,neutral,c\n", "dev.csv: the pairID 'b' appears twice"),
        (f"{CORRECTED}x,1.jpg,?,neutral,c\n", "none of its pairIDs is in this part"),
        ("id,gold_label\nb,neutral\n", "there is no column 'pairID'"),
    ],
)
def test_corrected_labels_complaints(tmp_path, rows, complaint):
    (tmp_path / "snli_ve_dev.jsonl").write_text(snli_line(pairID="b"))
    (tmp_path / "dev.csv").write_text(rows)
    with pytest.raises(InputError, match=complaint):
        snli_ve.read_part(tmp_path, "images", "dev", tmp_path / "dev.csv")


@pytest.fixture
def snli_folder(tmp_path):
    """SNLI 1.0 in its own layout, written back from a world's SNLI-VE: premises are captions, parts are mixed anew."""

    def write(world):
        lines = [
            json.loads(line)
            for part in ("train", "dev", "test")
            for line in (world / f"snli_ve/snli_ve_{part}.jsonl").read_text().splitlines()
        ]
        for line in lines:
            del line["Flickr30K_ID"]
        lines += [
            lines[0] | {"gold_label": "-", "pairID": "undecided"},
            lines[0] | {"captionID": "vg_len12r137n", "pairID": "vg_len12r137n1c"},
            lines[0] | {"captionID": "77.jpg#0", "pairID": "77.jpg#0r1c"},
        ]
        # As SNLI's own parts are: they have nothing to do with SNLI-VE's.
        for number, part in enumerate(("train", "dev", "test")):
            text = "".join(json.dumps(line) + "\n" for line in lines[number::3])
            (tmp_path / f"snli_1.0_{part}.jsonl").write_text(text)
        return tmp_path

    return write


def test_snli_ve_is_built_from_snli(snli_folder, world, tmp_path):
    """By the lists of the world's parts every part has the pairs that the world gave it, in the lists' order."""
    snli_folder(world)
    lists = []
    for part in ("train", "dev", "test"):
        pairs, _ = snli_ve.read_part(world / "snli_ve", "images", part)
        lists.append(tmp_path / f"{part}.txt")
        lists[-1].write_text("\n".join(f"{image}.jpg" for image in reversed(pairs["image_id"].unique())))
    counts = snli.build_snli_ve(tmp_path, lists, tmp_path / "built")
    assert (counts["without gold label"], counts["of no listed image"]) == (1, 2)
    for part in ("train", "dev", "test"):
        built, _ = snli_ve.read_part(tmp_path / "built", "images", part)
        given, _ = snli_ve.read_part(world / "snli_ve", "images", part)
        assert counts[part] == len(built) == len(given)
        columns = list(given.columns)
        assert built.sort_values("pair_id")[columns].values.tolist() == given.sort_values("pair_id").values.tolist()
        assert list(built["image_id"].unique()) == list(reversed(given["image_id"].unique()))


def test_the_end_of_snli_ves_own_list_is_its_dev_part(tmp_path):
    files = [tmp_path / "flickr30k_train_val.lst", tmp_path / "flickr30k_test.lst"]
    files[0].write_text("".join(f"{image}\n" for image in range(1003)))
    files[1].write_text("2000\n")
    read = snli.read_lists(files)
    assert (read["train"], read["dev"], read["test"]) == (["0", "1", "2"], [str(i) for i in range(3, 1003)], ["2000"])
    files[0].write_text("1\n2\n")
    with pytest.raises(InputError, match=r"flickr30k_train_val.lst: 2 images; the last 1000 are dev"):
        snli.read_lists(files)


def test_snli_complaints(snli_folder, world, tmp_path):
    snli_folder(world)
    lists = [tmp_path / f"{part}.txt" for part in ("train", "dev", "test")]
    for file, text in zip(lists, ("1\n", "2\n", "1\n"), strict=True):
        file.write_text(text)
    with pytest.raises(InputError, match="the image 1 is listed for train and for test"):
        snli.build_snli_ve(tmp_path, lists, tmp_path / "built")
    lists[2].write_text("3\n")
    with pytest.raises(InputError, match="no pair of SNLI is about an image of the part train"):
        snli.build_snli_ve(tmp_path, lists, tmp_path / "built")
    (tmp_path / "snli_1.0_dev.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match=r"snli_1.0_dev.jsonl, line 1: there is no field 'annotator_labels'"):
        snli.build_snli_ve(tmp_path, lists, tmp_path / "built")
    assert not (tmp_path / "built").exists()
