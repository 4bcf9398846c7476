"""Pictures that were saved twice: found by their pixels and their looks, one group in every split."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from layerwise.stimuli.duplicates import find_duplicates, join_groups, keep_apart
from layerwise.stimuli.looks import CACHED_BY, look_at
from layerwise.stimuli.parts import official_parts
from layerwise.tasks.labels import build_task
from tests.faults.reliability import fault

RANDOM = {"by": "random", "val": 0.25, "test": 0.25}
OFFICIAL = official_parts("coco-objects")


def found(paths) -> pd.DataFrame:
    """Duplicates among files, named after the files."""
    names = {Path(path).name: str(path) for path in paths}
    images = pd.DataFrame({"image": names.values()}, index=list(names))
    return find_duplicates(images.join(look_at(images["image"]), on="image"))


def noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 24, 3), dtype=np.uint8))


def turned(picture: Image.Image) -> bytes:
    """The picture on its side, and a tag that says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(picture.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)


def encoded(picture: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


@fault(
    "one picture has two files: in another format, quality or size, or turned by its EXIF tag",
    sees="a warning, and all pairs in duplicates.csv",
    kept="both, in one group that no split divides; in an official split, only the part nearer to the test keeps it",
)
def test_equal_pixels_are_in_one_split(tmp_path):
    again = [
        lambda picture: encoded(picture, "BMP"),
        lambda picture: encoded(picture, "PNG", compress_level=0),
        lambda picture: encoded(picture, "TIFF"),
        turned,
    ]
    for number in range(40):
        (tmp_path / f"{number:02}a.png").write_bytes(encoded(noise(number), "PNG"))
        (tmp_path / f"{number:02}b.{number}").write_bytes(again[number % 4](noise(number)))
    names = sorted(file.name for file in tmp_path.iterdir())
    duplicates = found(tmp_path / name for name in names)
    assert set(duplicates["kind"]) == {"pixels"}
    assert {(pair.first[:3], pair.second[:3]) for pair in duplicates.itertuples()} == {
        (f"{number:02}a", f"{number:02}b") for number in range(40)
    }
    known = {"item_id": names, "image_id": names, "group": names, "part": "all"}
    apart = pd.DataFrame(known | {"label:wet": ["0", "1"] * 40})
    provenance, said = keep_apart(apart, duplicates, RANDOM, OFFICIAL)
    assert said == {"joined_groups": 40, "images_left_out_as_duplicates": []}
    for seed in range(5):
        labels, _ = build_task(provenance, "table", {"split": RANDOM, "min_per_class": 1}, seed)
        assert labels.groupby(labels["item_id"].str[:2])["split"].nunique().max() == 1
        assert set(labels["split"]) == {"train", "val", "test"}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> list[Path]:
    """Twelve parts of scikit-learn's two photographs."""
    folder = tmp_path_factory.mktemp("photographs")
    whole = [Image.fromarray(image) for image in load_sample_images().images]
    for number, picture in enumerate(whole):
        for tile in range(6):
            left, top = tile % 3 * 210, tile // 3 * 210
            picture.crop((left, top, left + 210, top + 200)).save(folder / f"{number}-{tile}.png")
    return sorted(folder.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: encoded(picture, "JPEG", quality=95),
        lambda picture: encoded(picture, "JPEG", quality=40),
        lambda picture: encoded(picture, "WEBP", quality=80),
        lambda picture: encoded(picture.resize((105, 100), Image.Resampling.BICUBIC), "JPEG", quality=75),
        lambda picture: encoded(picture.resize((420, 400), Image.Resampling.BILINEAR), "PNG"),
    ],
)
def test_near_equal_photographs_are_found_and_no_others(photographs, tmp_path, change):
    copies = [tmp_path / f"{file.stem}.copy" for file in photographs]
    for file, copy in zip(photographs, copies, strict=True):
        copy.write_bytes(change(Image.open(file)))
    duplicates = found([*photographs, *copies])
    assert set(duplicates["kind"]) == {"similar"}
    pairs = {(pair.first, pair.second) for pair in duplicates.itertuples()}
    assert pairs == {(file.name, copy.name) for file, copy in zip(photographs, copies, strict=True)}


def test_mirrored_and_colourless_photographs_are_others(photographs, tmp_path):
    picture = Image.open(photographs[0])
    picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "mirrored.png")
    picture.convert("L").save(tmp_path / "grey.png")
    assert found([photographs[0], *tmp_path.iterdir()]).empty


def test_drawings_that_look_much_alike_are_not_joined(world, tmp_path):
    """A world's scenes share their background, and often all but a colour or a place: their hashes can be equal."""
    drawn = sorted((world / "coco").glob("*/*.jpg")) + sorted((world / "snli_ve/flickr30k_images").glob("*.jpg"))
    assert len(drawn) == 150
    assert not set(found(drawn)["kind"]) & {"similar", "pixels"}
    # One line chart after the other, on the same axes.
    for number in range(30):
        chart = np.full((200, 300, 3), 255, np.uint8)
        chart[:, 20], chart[180] = 0, 0
        chart[np.linspace(100, 20 + 5 * number, 270).astype(int), np.arange(25, 295)] = (0, 0, 200)
        Image.fromarray(chart).save(tmp_path / f"{number:02}.png")
    assert found(sorted(tmp_path.iterdir())).empty


def test_a_picture_without_contrast_is_that_of_its_colour(tmp_path):
    for name, colour in (("a", (90, 20, 60)), ("b", (90, 20, 60)), ("c", (91, 20, 60))):
        side = 20 if name == "b" else 30
        Image.new("RGB", (side, side), colour).save(tmp_path / f"{name}.png")
    duplicates = found(sorted(tmp_path.iterdir()))
    assert duplicates[["first", "second", "kind"]].values.tolist() == [["a.png", "b.png", "similar"]]


def test_what_was_seen_before_is_not_decoded_again(tmp_path):
    file, cache = tmp_path / "a.png", tmp_path / "cache"
    noise(0).save(file)
    first = look_at([str(file)], cache, "captions")
    stored = cache / f"captions.{CACHED_BY}"
    # What the cache says is believed, of this content under any name.
    pd.read_parquet(stored).assign(pixels="seen").to_parquet(stored)
    (tmp_path / "b.png").write_bytes(file.read_bytes())
    again = look_at([str(tmp_path / "b.png")], cache, "objects")
    assert again["pixels"].tolist() == ["seen"]
    assert again["hash"].tolist() == first["hash"].tolist()
    assert [other.name for other in cache.iterdir()] == [stored.name]
    noise(1).save(file)
    assert look_at([str(file)], cache, "objects")["pixels"].tolist() != ["seen"]


def provenance(*rows) -> pd.DataFrame:
    """Items by (image, group, part)."""
    image, group, part = zip(*rows, strict=True)
    ids = [str(number) for number in range(len(rows))]
    return pd.DataFrame({"item_id": ids, "image_id": image, "group": group, "part": part})


def pairs(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["first", "second", "kind"])


def test_groups_are_joined_through_all_that_connects_them():
    # Pairs of images, as captions have them: two groups are one by a picture of each, and a third by another.
    items = provenance(("1", "1+2", "all"), ("2", "1+2", "all"), ("3", "3+4", "all"), ("4", "3+4", "all"))
    items = pd.concat([items, provenance(("5", "5", "all"), ("6", "6", "all"))], ignore_index=True)
    duplicates = pairs(("2", "3", "pixels"), ("4", "5", "similar"))
    assert join_groups(items, duplicates, ["pixels", "similar"])["group"].tolist() == ["1+2"] * 5 + ["6"]
    assert join_groups(items, duplicates, ["pixels"])["group"].tolist() == ["1+2"] * 4 + ["5", "6"]
    # An image that is no longer shown still connects those that are.
    gone = pairs(("1", "x", "file"), ("x", "6", "similar"))
    assert join_groups(items, gone, ["file", "similar"])["group"].tolist() == ["1+2"] * 2 + ["3+4"] * 2 + ["5", "1+2"]
    assert keep_apart(items, duplicates, RANDOM | {"join_similar": False}, OFFICIAL)[1]["joined_groups"] == 1


def test_groups_without_duplicates_keep_their_names_and_items():
    items = provenance(("a", "b", "train"), ("b", "a", "test"), ("c", "c", "val"))
    for by in ("random", "official"):
        kept, said = keep_apart(items, pairs(), RANDOM | {"by": by}, OFFICIAL)
        assert kept.equals(items)
        assert said == {"joined_groups": 0, "images_left_out_as_duplicates": []}


@pytest.mark.parametrize("kind", ["file", "pixels", "similar"])
def test_a_picture_in_two_official_parts_stays_in_the_one_nearer_to_the_test(kind):
    items = provenance(
        ("1", "1+2", "train2017"), ("2", "1+2", "train2017"), ("3", "3", "val2017"), ("4", "4", "train2017")
    )
    kept, said = keep_apart(items, pairs(("1", "3", kind)), {"by": "official", "val": 0.2}, OFFICIAL)
    # Both images of the training pair go: one of them alone would leave its caption without its other use.
    assert kept["image_id"].tolist() == ["3", "4"]
    assert said["images_left_out_as_duplicates"] == ["1", "2"]
    # A random split divides groups, whatever their official part: all stay.
    kept, said = keep_apart(items, pairs(("1", "3", kind)), RANDOM, OFFICIAL)
    assert kept["group"].tolist() == ["1+2"] * 3 + ["4"]
    assert said["images_left_out_as_duplicates"] == []
    of_three = provenance(("1", "1", "train"), ("2", "2", "dev"), ("3", "3", "test"), ("4", "4", "dev"))
    kept, _ = keep_apart(of_three, pairs(("1", "4", kind), ("2", "3", kind)), {"by": "official", "val": 0.2}, OFFICIAL)
    assert kept["image_id"].tolist() == ["3", "4"]
