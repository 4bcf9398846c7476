"""A data set of the hub in a study: what is refused when it is planned, and what its receipt and recipes depend on."""

import copy

import pytest

from layerwise.config.reading import validate
from layerwise.datasets.locations import Locations
from layerwise.errors import InputError
from layerwise.study import Study
from tests.hub import COMMIT

ENTRY = {"format": "hub", "repository": "lab/own", "revision": COMMIT}


def locations(study: dict, **datasets: dict) -> Locations:
    return Locations(validate(study | {"datasets": study["datasets"] | datasets}))


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        (
            {"revision": "main"},
            r"own.revision: must be a commit of the repository: 40 hexadecimal digits .*, not 'main'$",
        ),
        ({"revision": 1234}, r"own.revision: must be a commit of the repository.*, not 1234"),
        ({"revision": None}, r"own.revision: has no value; give it one"),
        ({"repository": "pope"}, r"own.repository: must be the id of a data set on the hub: owner/name, not 'pope'$"),
        ({"repository": "lab/.."}, r"own.repository: must be the id"),
        ({"configuration": "full", "files": {"test": "a.csv"}}, r"own: give `configuration` or `files`, not both"),
        ({"files": {}}, r"own.files: must have at least one entry"),
        ({"files": {"test": []}}, r"own.files.test: must be a path in the repository, or a list of such paths"),
        ({"files": {"test": "../a.csv"}}, r"own.files.test: must be a path in the repository"),
        (
            {"files": {"test": ["a.csv", "https://example.org/a.csv"]}},
            r"own.files.test: must be a path in the repository",
        ),
        ({"pictures": ["/etc/*"]}, r"own.pictures: must be a path in the repository"),
        (
            {"world": "shapes"},
            r"own: unknown key 'world'; known keys of the kind hub: format, copies, repository, revision, conf",
        ),
    ],
)
def test_an_entry_that_cannot_be_downloaded_is_refused(study, entry, error):
    with pytest.raises(InputError, match=f"datasets.{error}"):
        locations(study, own=ENTRY | entry)


def test_a_missing_commit_is_told(study):
    with pytest.raises(InputError, match=r"datasets.own: the key 'revision' is missing"):
        locations(study, own={"format": "hub", "repository": "lab/own"})


def test_kinds_of_other_formats_refuse_it(study):
    study["datasets"]["shapes-coco"] = ENTRY
    with pytest.raises(InputError, match=r"coco-\w+ reads data sets of format coco, but shapes-coco is hub"):
        Study.from_config(copy.deepcopy(study))


def test_jobs_are_told_the_receipt_in_place_of_folders(study):
    data = locations(study, own=ENTRY)
    (receipt,) = data.receipts("own", ["test", "train"])
    assert receipt.startswith(f"data/hub/lab--own/{COMMIT}/")
    assert data.options("own", ["test", "train"]) == [f"--annotations={receipt}", "--format=hub"]
    assert data.source_files("own", ["test", "train"]) == [receipt]
    assert data.image_receipts("own", ["test", "train"]) == []
    assert data.image_source("own") is None
    data.check_parts("stimuli.own", "own", ["any", "split"])
    # The others lie where they lay.
    assert data.options("shapes-coco", ["val2017"])[0] == "--annotations=results/worlds/shapes/coco/annotations"


def test_receipt_and_recipe_depend_on_what_is_downloaded_and_on_nothing_else(study):
    def told(entry, parts=("train", "test"), name="own"):
        data = locations(study, **{name: ENTRY | entry})
        (receipt,) = data.receipts(name, parts)
        return receipt, str(data.mark(name, parts))

    plain = told({})
    assert told({}, ("test", "train")) == plain
    assert told({}, name="other-name") == plain
    files = {"train": "a.csv", "test": "b.csv"}
    others = [
        told({}, ("test",)),
        told({"revision": "f" * 40}),
        told({"repository": "lab/other"}),
        told({"configuration": "full"}),
        told({"files": files}),
        told({"files": files | {"test": "c.csv"}}),
        told({"pictures": "pictures/*"}),
        told({"licence": "mit"}),
    ]
    for place in (0, 1):
        assert len({plain[place], *(other[place] for other in others)}) == len(others) + 1
    # A split that nobody samples changes nothing, and a pattern is a list of one.
    assert (
        told({"files": files | {"val": "v.csv"}})
        == told({"files": files})
        == told({"files": files | {"test": ["b.csv"]}})
    )


def test_splits_that_the_users_files_do_not_name_are_refused(study):
    data = locations(study, own=ENTRY | {"files": {"train": "a.csv"}})
    data.check_parts("stimuli.own", "own", ["train"])
    with pytest.raises(
        InputError, match=r"^stimuli.own: the data set's `files` name no split 'test'; they name train$"
    ):
        data.check_parts("stimuli.own", "own", ["train", "test"])
