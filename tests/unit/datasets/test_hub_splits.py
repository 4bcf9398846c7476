"""Which files of a repository are which split. The expected ones are those of `datasets` 5.2."""

import pytest

from layerwise.datasets.hub_card import Card, read_card
from layerwise.datasets.hub_splits import asked_files, check_found, find_splits
from layerwise.errors import InputError
from tests.hub import card

NAMED = {
    "one file": (["any.csv"], {"train": ["any.csv"]}),
    "files of no split": (["README.md", "a.parquet", "b.parquet"], {"train": ["a.parquet", "b.parquet"]}),
    "words in file names": (
        ["my_train_file.csv", "testing-1.csv", "validation.csv"],
        {"train": ["my_train_file.csv"], "validation": ["validation.csv"], "test": ["testing-1.csv"]},
    ),
    "no word within a word": (["pretrained.csv", "tests.csv"], {"train": ["pretrained.csv", "tests.csv"]}),
    "folders before files": (
        ["dev/train.jsonl", "en/test set/a.jsonl", "train.jsonl"],
        {"validation": ["dev/train.jsonl"], "test": ["en/test set/a.jsonl"]},
    ),
    "shards of any name": (
        [
            "data/easy-00000-of-00001-ab12.parquet",
            "data/hard-00000-of-00002.parquet",
            "data/hard-00001-of-00002.parquet",
        ],
        {
            "easy": ["data/easy-00000-of-00001-ab12.parquet"],
            "hard": ["data/hard-00000-of-00002.parquet", "data/hard-00001-of-00002.parquet"],
        },
    ),
    "no data": (
        [".cache/test.csv", "__old__/train.csv", "dataset_infos.json", "test.jpg", "x.csv"],
        {"train": ["x.csv"]},
    ),
}


def found(paths, configuration=None, program=None, said=None):
    return find_splits("datasets.own", sorted(paths), said or Card(), configuration, program)


def said_by(tmp_path, *configs) -> Card:
    (tmp_path / "README.md").write_bytes(card(configs=list(configs)))
    return read_card(tmp_path / "README.md", "datasets.own")


@pytest.mark.parametrize("case", NAMED)
def test_names_tell_splits_as_they_do_elsewhere(case):
    paths, splits = NAMED[case]
    assert found(paths) == splits


def test_the_card_tells_splits_in_every_form(tmp_path):
    paths = ["a.csv", "b/1.csv", "b/2.csv", "c/deep/3.csv", "d.txt"]
    for form, splits in (
        ("a.csv", {"train": ["a.csv"]}),
        (["b/*", "a.csv"], {"train": ["b/1.csv", "b/2.csv", "a.csv"]}),
        ([{"split": "easy", "path": "**/3.csv"}], {"easy": ["c/deep/3.csv"]}),
        (
            [{"split": "x", "path": ["b/2.csv", "b/*"]}, {"split": "none", "path": "d.txt"}],
            {"x": ["b/2.csv", "b/1.csv"]},
        ),
        ({"test": "b/[1]*"}, {"test": ["b/1.csv"]}),
    ):
        assert found(paths, said=said_by(tmp_path, {"config_name": "any", "data_files": form})) == splits


def test_a_configuration_is_the_one_that_is_asked_for_or_the_default(tmp_path):
    paths = ["a.csv", "b.csv", "c/test.csv", "c/train.csv"]
    first = {"config_name": "first", "data_files": "a.csv"}
    default, marked = ({"config_name": name, "data_files": "b.csv"} for name in ("default", "second"))
    assert found(paths, said=said_by(tmp_path, first, default)) == {"train": ["b.csv"]}
    assert found(paths, said=said_by(tmp_path, first, marked | {"default": True})) == {"train": ["b.csv"]}
    assert found(paths, "first", said=said_by(tmp_path, first, default)) == {"train": ["a.csv"]}
    folder = said_by(tmp_path, first, {"config_name": "c", "data_dir": "c"})
    assert found(paths, "c", said=folder) == {"train": ["c/train.csv"], "test": ["c/test.csv"]}
    with pytest.raises(
        InputError, match=r"datasets.own.configuration: give one; the data set's card has first, second$"
    ):
        found(paths, said=said_by(tmp_path, first, marked))
    with pytest.raises(InputError, match=r"there is no 'third'; the data set's card has first, default$"):
        found(paths, "third", said=said_by(tmp_path, first, default))
    # Without a card, a folder is one.
    assert found(paths, "c") == {"train": ["c/train.csv"], "test": ["c/test.csv"]}
    with pytest.raises(
        InputError, match=r"neither the data set's card nor a folder has 'd'; leave it out, or name the files"
    ):
        found(paths, "d")


def test_tables_that_the_hub_converted_are_known_by_their_folders():
    one = ["full/adversarial/0000.parquet", "full/adversarial/0001.parquet", "full/partial-train/0000.parquet"]
    assert found(one) == {"adversarial": one[:2], "partial-train": one[2:]}
    two = [*one, "default/test/0000.parquet"]
    assert found(two) == {"test": ["default/test/0000.parquet"]}
    assert found(two, "full") == {"adversarial": one[:2], "partial-train": one[2:]}
    with pytest.raises(InputError, match=r"configuration: there is no 'other'; the repository has default, full$"):
        found(two, "other")


def test_no_program_of_a_repository_is_asked(tmp_path):
    with pytest.raises(
        InputError, match=r"only the repository's own program own.py knows .*, and no code of a repository is"
    ):
        found(["own.py", "train.csv"], program="own.py")
    # Unless the card says all that is needed.
    said = said_by(tmp_path, {"config_name": "any", "data_files": "train.csv"})
    assert found(["own.py", "train.csv"], program="own.py", said=said) == {"train": ["train.csv"]}


def test_splits_that_cannot_be_read_as_they_are_meant_are_refused():
    check_found("datasets.own", {"train": ["a.csv", "b.csv"], "test": ["c.parquet"]})
    with pytest.raises(
        InputError, match=r"'train' is in files of several kinds \(.csv, .csv.gz\), a.csv, b.csv.gz; name those"
    ):
        check_found("datasets.own", {"train": ["a.csv", "b.csv.gz"]})
    with pytest.raises(
        InputError, match=r"train-val.csv is in the splits 'train' and 'validation'; name the files of each"
    ):
        check_found("datasets.own", found(["train-val.csv", "val.csv"]))


def test_a_users_own_patterns_name_files_or_are_refused():
    paths = ["a [1].csv", "a 1.csv", "d/it's.csv", "d/e/f.csv"]
    asked = {"test": ["a [1].csv"], "val": ["**/f.csv", "d/*"], "all": ["**"]}
    assert asked_files("datasets.own.files", asked, paths) == {
        "test": ["a [1].csv"],
        "val": ["d/e/f.csv", "d/it's.csv"],
        "all": paths,
    }
    with pytest.raises(
        InputError, match=r"datasets.own.files.test: no file of the repository is 'e/\*'; it has a \[1\].csv, "
    ):
        asked_files("datasets.own.files", {"test": ["e/*"]}, paths)
    with pytest.raises(InputError, match=r"is 'e/f.csv'; it has [^;]* and 3 more$"):
        asked_files("datasets.own.files", {"test": ["e/f.csv"]}, [f"{i}.csv" for i in range(9)])
