"""Data sets from a local imitation of the hub: only what is asked for, resumed, checked, without code and secrets."""

import hashlib
import json
import logging
import random
from pathlib import Path

import pytest

from layerwise.datasets.hub_download import download_hub_files
from layerwise.datasets.hub_files import read_receipt
from layerwise.errors import InputError
from tests.conftest import REPOSITORY
from tests.faults.reliability import fault
from tests.hub import COMMIT, Hub, card, in_process, in_this_process, parquet

ASKED = {"repository": "lab/own", "revision": COMMIT, "splits": ["test"]}
CONVERTED = "f" * 40
CITED = "@misc{own,\n  title={Own}}"
# What the hub's client reads at once; less of a file is not kept.
CHUNK = 10 * 1024 * 1024
NOWHERE = "http://127.0.0.1:9"
TOKEN = "hf_tokenForThisTestOnly"


@pytest.fixture
def hub(serve_hub):
    """A data set of three splits in tables and pictures, with what must not be downloaded."""
    table = {
        split: parquet({"question": [split], "answer": [1]}, {"answer": ["no", "yes"]}) for split in ("train", "test")
    }
    files = {
        "README.md": card(f"## Citation\n{CITED}\n", license="cc-by-4.0"),
        "data/train-00000-of-00001.parquet": table["train"],
        "data/test-00000-of-00001.parquet": table["test"],
        "pictures/it's 1 [a].png": b"first",
        "pictures/2.png": b"second",
        "pictures/deep/3.png": b"third",
        "notes.txt": b"text",
        "evil.py": b"1 / 0",
    }
    return serve_hub(Hub("lab/own", files, "dataset"))


@pytest.fixture
def download(hub, tmp_path):
    """Download in this process."""

    def download(token="", **asked):
        with in_this_process(hub, tmp_path, token):
            return download_hub_files("datasets.own", ASKED | asked)

    return download


def test_what_is_asked_for_is_downloaded_and_nothing_else(download, hub, tmp_path):
    receipt = download(pictures=["pictures/*"])
    root = tmp_path / f"hf/hub/datasets--lab--own/snapshots/{COMMIT}"
    asked = ["README.md", "data/test-00000-of-00001.parquet", "pictures/2.png", "pictures/it's 1 [a].png"]
    assert sorted(hub.sent) == asked
    assert sorted(str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()) == asked
    assert all((root / path).read_bytes() == hub.files[path] for path in asked)
    listed = [receipt["files"].pop("test"), receipt.pop("pictures")]
    assert receipt == {
        "repository": "lab/own",
        "revision": COMMIT,
        "configuration": None,
        "licence": "cc-by-4.0",
        "citation": "@misc{own, title={Own}}",
        "root": str(root),
        "files": {},
    }
    for record in [*listed[0], *listed[1]]:
        content = hub.files[record["path"]]
        assert record == {
            "path": record["path"],
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    assert [[record["path"] for record in some] for some in listed] == [asked[1:2], asked[2:]]


def test_a_receipt_tells_the_files_of_a_split_and_whose_they_are(download, hub, tmp_path):
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(download()))
    found = read_receipt(file)
    (table,) = found.files("test")
    assert table == found.root / "data/test-00000-of-00001.parquet"
    own = tmp_path / "own.csv"
    own.write_text("a,b\n")
    records = found.records([table, own])
    assert records == [
        {
            "file": str(table),
            "sha256": hashlib.sha256(hub.files["data/test-00000-of-00001.parquet"]).hexdigest(),
            "repository": "lab/own",
            "revision": COMMIT,
            "licence": "cc-by-4.0",
            "citation": "@misc{own, title={Own}}",
        },
        {"file": str(own), "sha256": hashlib.sha256(b"a,b\n").hexdigest()},
    ]
    with pytest.raises(InputError, match=r"receipt.json: lab/own has no split 'train' here; it has test$"):
        found.files("train")
    assert found.are_there(["test"])
    table.unlink()
    assert not found.are_there(["test"])
    with pytest.raises(InputError, match=r"parquet: it was downloaded, and is gone; delete .*receipt.json and run"):
        found.files("test")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"files": {"test": []}}))
    with pytest.raises(InputError, match=r"receipt.json: damaged \(test has no files\); delete it"):
        read_receipt(file).files("test")
    file.write_text("{}")
    with pytest.raises(InputError, match=r"receipt.json: damaged \(it has no 'repository'\)"):
        read_receipt(file)


def test_files_that_a_user_names_need_no_card_and_are_read_in_that_order(download, hub):
    hub.files |= {"b.csv": b"x\n1\n", "a.csv": b"x\n2\n", "README.md": b"---\n[\n---\n"}
    with pytest.raises(InputError, match=r"^datasets.own: the metadata of the data set's card cannot be read"):
        download()
    receipt = download(files={"test": ["b.csv", "*.csv"]})
    assert [record["path"] for record in receipt["files"]["test"]] == ["b.csv", "a.csv"]
    assert receipt["licence"] == ""
    told = download(files={"test": ["a.csv"]}, licence="MIT,\n ours", citation="Us 2023")
    assert (told["licence"], told["citation"]) == ("MIT, ours", "Us 2023")
    with pytest.raises(
        InputError, match=r"^datasets.own.files.test: notes.txt, pictures/2.png cannot be read as tables"
    ):
        download(files={"test": ["notes.txt", "b.csv", "pictures/2.png"]})


def test_a_split_that_is_not_there_is_told_with_those_that_are(download, hub):
    with pytest.raises(
        InputError, match=r"^datasets.own: lab/own has no split 'val' in tables .*; it has test, train\. `fi"
    ):
        download(splits=["val"])
    with pytest.raises(
        InputError, match=r"^datasets.own.pictures: no file of the repository is 'images/\*'; it has README"
    ):
        download(pictures=["images/*"])
    # Nothing but the card was downloaded to find that out.
    assert list(hub.sent) == ["README.md"]


@fault(
    "the connection breaks while a data set of the hub is downloaded",
    sees="one line that names the missing files",
    kept="finished files, and the beginning of the others: the same command asks for the rest",
)
def test_an_interrupted_download_goes_on_where_it_broke_off_and_is_there_offline(download, hub, monkeypatch):
    # The client tries again five times, a second apart.
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    picture = random.Random(1).randbytes(CHUNK + CHUNK // 2)
    table = parquet({"image": [{"bytes": picture, "path": "1.png"}], "question": ["?"]})
    hub.files["data/test-00000-of-00001.parquet"] = table
    hub.left = CHUNK + 1000
    first = rf"^datasets.own: cannot download lab/own \(revision {COMMIT}\): "
    last = "\nMissing: data/test-00000-of-00001.parquet. What was downloaded is kept; the same command goes on.$"
    with pytest.raises(InputError, match=f"{first}.*{last}"):
        download()
    hub.left, hub.sent = None, {}
    receipt = download()
    assert hub.sent == {"data/test-00000-of-00001.parquet": [(CHUNK, len(table))]}
    assert Path(receipt["root"], "data/test-00000-of-00001.parquet").read_bytes() == table
    # The cache has all that a receipt tells.
    hub.asked = []
    assert download() == receipt
    hub.address = NOWHERE
    assert download() == receipt
    assert not hub.asked


def test_offline_a_file_that_is_missing_is_named(download, hub, tmp_path):
    download()
    hub.address = NOWHERE
    assert download()["files"]["test"]
    with pytest.raises(
        InputError, match=r"^datasets.own: cannot download lab/own .*\nMissing: data/train-00000-of-00001.parq"
    ):
        download(splits=["train", "test"])


@pytest.mark.parametrize("address", [NOWHERE, "http://user:s3cretPassword@127.0.0.1:9", "127.0.0.1:9"])
def test_where_no_hub_answers_the_likely_cause_is_named(download, hub, address):
    hub.address = address
    with pytest.raises(InputError) as raised:
        download(revision="1" * 40)
    said = str(raised.value)
    assert said.startswith(f"datasets.own: cannot list lab/own (revision {'1' * 40}): ")
    place = address.replace("user:s3cretPassword@", "")
    assert f" Nothing answers at {place}: the likely cause is the network, a proxy, or a wrong HF_ENDPOINT" in said
    assert "s3cret" not in said


@fault(
    "a file of a data set of the hub arrives damaged, or goes bad in the cache",
    sees="one line with both checksums, and which file to delete",
    kept="everything else",
)
def test_damaged_files_are_refused(download, hub, tmp_path):
    hub.damage = True
    with pytest.raises(
        InputError, match=r"^datasets.own: what came of data/test-.* has the SHA-256 .*; it was deleted, run again$"
    ):
        download()
    hub.damage = False
    root = Path(download()["root"])
    # So is what went bad in the cache, also of small files, which it names by their git id.
    for path in ("data/test-00000-of-00001.parquet", "README.md"):
        blob = (root / path).resolve()
        content = blob.read_bytes()
        blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(InputError, match=f"delete {blob} and run again$"):
            download()
        blob.write_bytes(content)
    assert download()["files"]


def test_a_gated_data_set_says_where_its_terms_are_accepted(download, hub, tmp_path, monkeypatch, capfd, caplog):
    hub.token, hub.gated = TOKEN, True
    terms = r"It is gated: accept its terms on https://huggingface.co/datasets/lab/own, and set HF_TOKEN to a token"
    with pytest.raises(
        InputError, match=rf"(?s)^datasets.own: cannot download lab/own \(revision {COMMIT}\): 401.*{terms}"
    ):
        download()
    receipt = download(token=TOKEN)
    assert receipt["files"]["test"]
    assert TOKEN not in json.dumps(receipt) + caplog.text + "".join(capfd.readouterr())
    assert not any(TOKEN.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_addresses_with_secrets_are_not_logged(hub, tmp_path):
    """As a job does it, because the client's own log lines count."""
    hub.signature, hub.left, hub.breaks = "s3cretSignature", 5, 1
    mirror = {"HF_ENDPOINT": hub.address.replace("://", "://user:s3cretPassword@")}
    command = [
        REPOSITORY / "scripts/download_hub_files.py",
        "--name=own",
        "--receipt",
        tmp_path / "own.json",
        "--asked",
    ]
    done = in_process(hub, tmp_path, [*command, json.dumps(ASKED)], **mirror)
    assert done.returncode == 0, done.stderr
    assert "Error while downloading from http://127.0.0.1" in done.stderr
    assert "lab/own (licence: cc-by-4.0)" in done.stderr
    assert read_receipt(tmp_path / "own.json").files("test")
    hub.expired = True
    refused = in_process(hub, tmp_path, [*command, json.dumps(ASKED | {"splits": ["train"]})], **mirror)
    assert refused.returncode == 1
    assert "/data/train-00000-of-00001.parquet?..." in refused.stderr
    said = done.stderr + done.stdout + refused.stderr + refused.stdout + (tmp_path / "own.json").read_text()
    assert "s3cret" not in said


def test_a_repository_that_only_its_own_program_can_read_is_refused_with_the_way_out(download, hub, caplog):
    del hub.files["data/test-00000-of-00001.parquet"], hub.files["data/train-00000-of-00001.parquet"]
    hub.files |= {"own.py": b"open('canary', 'w')", "rows.json": b'[{"question": "a"}]', "archive.zip": b"PK"}
    message = r"^datasets.own: only the repository's own program own.py knows .*, and no code of a repository is run"
    message += r"\. Take the "
    with pytest.raises(
        InputError, match=message + r"tables .* \(a commit of its branch refs/convert/parquet, if https://hugg"
    ):
        download()
    hub.commits[CONVERTED] = {"default/test/0000.parquet": parquet({"question": ["a"]})}
    hub.branches["refs/convert/parquet"] = CONVERTED
    with pytest.raises(
        InputError, match=message + rf"tables .* \(`revision: {CONVERTED}`\), or name its own files with `f"
    ):
        download()
    # Both ways lead on. The converted tables have no card; the data set's own tells licence and citation.
    assert [record["path"] for record in download(files={"test": ["rows.json"]})["files"]["test"]] == ["rows.json"]
    with caplog.at_level(logging.INFO):
        receipt = download(revision=CONVERTED)
    assert [record["path"] for record in receipt["files"]["test"]] == ["default/test/0000.parquet"]
    assert (receipt["licence"], receipt["citation"]) == ("cc-by-4.0", "@misc{own, title={Own}}")
    assert f"there is no card at {CONVERTED}; licence and citation are those of the commit {COMMIT}" in caplog.text
    assert not any(path.endswith(".py") for path in hub.sent)


@fault(
    "a data set of the hub has a file whose name leads out of its folder",
    sees="one line that names the file; other files of the data set can be had",
    kept="the machine is safe: nothing is written elsewhere, and no code of a repository is run",
)
@pytest.mark.parametrize(
    "name", ["../../evil.csv", "/tmp/evil.csv", "a/../../evil.csv", "a\\evil.csv", "evil\n.csv", "a//b.csv"]
)
def test_no_file_lands_outside_the_repositorys_folder(download, hub, tmp_path, name):
    hub.files[name] = b"x\n1\n"
    before = {file for file in tmp_path.rglob("*") if "hf" not in file.parts}
    with pytest.raises(
        InputError, match=r"^datasets.own: lab/own has a file of the name '.*evil|b\.csv', which is not downloa"
    ):
        download(files={"test": [name]})
    assert {file for file in tmp_path.rglob("*") if "hf" not in file.parts} == before
    assert name not in hub.sent
    # Other files of the repository can still be had.
    assert download()["files"]["test"]


def test_a_wrong_name_or_commit_is_one_clear_error(download):
    with pytest.raises(
        InputError, match=r"(?s)^datasets.own: cannot list lab/other .*\nCheck its name on https://huggingface.co/da"
    ):
        download(repository="lab/other")
    with pytest.raises(InputError, match=r"^datasets.own: cannot list lab/own \(revision 1{40}\): 404") as raised:
        download(revision="1" * 40)
    # It answers, so nothing is wrong with the network.
    assert "HF_ENDPOINT" not in str(raised.value)
