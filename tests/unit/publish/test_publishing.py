"""A published folder: loads without this project, tells nothing private, and is whole or not there."""

import copy
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from layerwise.datasets.hub_card import read_card
from layerwise.errors import InputError
from layerwise.publish import finished, publishing
from layerwise.publish.leaks import check_private
from layerwise.publish.private import Private, without_folders
from layerwise.publish.publishing import Wanted, publish
from layerwise.study import Study
from tests.published import blocks_of, in_a_bare_python
from tests.small_study import CONFIG, make_study

CELL = "hub/own/describe"


@pytest.fixture(autouse=True)
def unplanned(monkeypatch):
    """Without a plan of Snakemake, which takes seconds; tests/workflow/test_publish.py has it."""
    monkeypatch.setattr(finished, "check_plan", lambda study: None)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Study:
    return make_study(tmp_path_factory.mktemp("made"))


@pytest.fixture
def study(made, tmp_path) -> Study:
    """A copy of its own."""
    shutil.copytree(made.directory, tmp_path / "run")
    return Study.load(tmp_path / "run/study.yaml", directory=tmp_path / "run")


def test_the_lines_of_the_card_load_the_same_numbers_without_this_project(study, tmp_path):
    out = tmp_path / "published"
    publish(study, Wanted(out, [CELL]))
    load, apply = blocks_of(out / "README.md")
    assert len(load.strip().splitlines()) == 5
    layer = int(re.search(r'probe\["weights"\]\[(\d+), 0\]', apply)[1])
    told = """
import json
modules = [name for name in sys.modules if name.split(".")[0] in ("layerwise", "torch", "h5py")]
margins = dict(zip(items["item_id"], margins[:, 0].tolist()))
of_layer = predictions[predictions["layer"] == %d]
said = {row.item_id: float(row.scores[0]) for row in of_layer.itertuples()}
print(json.dumps([modules, scores["value"].tolist(), len(predictions), said, margins]))
"""
    printed = in_a_bare_python(load + apply + told % layer, out, tmp_path / "packages")
    modules, values, number, said, margins = json.loads(printed)
    assert modules == []
    assert values == study.scores()["value"].tolist()
    own = study.predictions("hub", "wet", "describe")
    assert number == len(own)
    own = own[own["layer"] == layer].set_index("item_id")["scores"].map(lambda each: float(each[0]))
    assert said == own.to_dict()
    assert len(own) == 8
    # The probe as published, on states as published, says what the study's own says.
    for item, margin in own.items():
        assert margins[item] == pytest.approx(margin, abs=1e-5)


def test_checksums_are_of_all_files_and_sha256sum_reads_them(study, tmp_path):
    out = tmp_path / "published"
    publish(study, Wanted(out, [CELL]))
    lines = (out / "SHA256SUMS").read_text().splitlines()
    files = {file.relative_to(out).as_posix() for file in out.rglob("*") if file.is_file()} - {"SHA256SUMS"}
    assert {line.split("  ", 1)[1] for line in lines} == files
    for line in lines:
        digest, name = line.split("  ", 1)
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"], cwd=out, check=True)


def test_the_header_names_subsets_whose_files_are_there(study, tmp_path):
    out = tmp_path / "published"
    publish(study, Wanted(out, licences=["CC-BY-4.0"], title="Wet: a study"))
    card = read_card(out / "README.md", "datasets.published")
    assert card.licence == "cc-by-4.0"
    assert set(card.configurations) == {"scores", "curves", "predictions"}
    assert card.configurations["scores"].default
    for subset in card.configurations.values():
        assert all(list(out.glob(pattern)) for pattern in subset.data_files["train"])
    assert "# Wet: a study" in (out / "README.md").read_text()


def test_the_resolved_study_is_the_same_study(study, tmp_path):
    out = tmp_path / "published"
    publish(study, Wanted(out))
    shutil.copy(study.directory / "own.csv", out)
    resolved = Study.load(out / "study-resolved.yaml", directory=tmp_path)
    assert resolved.grid.probe_cells() == study.grid.probe_cells()
    assert resolved.config.probes == study.config.probes
    assert yaml.safe_load((out / "study.yaml").read_text()) == yaml.safe_load(
        (study.directory / "study.yaml").read_text()
    )


def test_neither_pictures_nor_texts_are_published_unless_asked(study, tmp_path):
    publish(study, Wanted(tmp_path / "ids", [CELL]))
    for file in (tmp_path / "ids").rglob("*"):
        assert file.is_dir() or b"secret" not in file.read_bytes()
    with pytest.raises(InputError, match=r"--texts.*stimuli\.own"):
        publish(study, Wanted(tmp_path / "texts", texts=True))
    publish(study, Wanted(tmp_path / "texts", texts=True, licences=["stimuli.own=mine, ask me"]))
    assert set(pd.read_parquet(tmp_path / "texts/items/own.parquet")["text"]) == {"a secret text"}


def test_a_licence_that_nobody_said_is_unknown(study, tmp_path, caplog):
    publish(study, Wanted(tmp_path / "one"))
    assert "--licence models.hub=LICENCE" in caplog.text
    assert "--licence stimuli.own=LICENCE" in caplog.text
    card = (tmp_path / "one/README.md").read_text()
    assert "The licence of models.hub, stimuli.own is **unknown**" in card
    assert "license" not in yaml.safe_load(card.split("---")[1])
    said = ["models.hub=llama2", "stimuli.own=none", "My own terms 1.0"]
    publish(study, Wanted(tmp_path / "two", licences=said))
    card = (tmp_path / "two/README.md").read_text()
    assert "unknown" not in card
    header = yaml.safe_load(card.split("---")[1])
    assert (header["license"], header["license_name"]) == ("other", "my-own-terms-1.0")
    (model,) = json.loads((tmp_path / "two/models.json").read_text())
    assert (model["licence"], model["revision"], model["source"]) == (
        "llama2",
        "1" * 40,
        "https://huggingface.co/lab/model",
    )
    for wrong, said in (("models.other=mit", "does not use it"), ("model.hub=mit", "write a licence"), ("", "write a")):
        with pytest.raises(InputError, match=said):
            publish(study, Wanted(tmp_path / "three", licences=[wrong]))


PLANTED = "hf_" + "a1B2" * 8


def test_nothing_private_is_in_any_file(tmp_path, monkeypatch):
    """Planted wherever a user could have it: config, comments, descriptions, ids, metadata of Parquet files."""
    home = tmp_path / "home/ada.lovelace"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("LOGNAME", "ada.lovelace")
    monkeypatch.setenv("HF_TOKEN", "a-token-of-another-form-9241")
    monkeypatch.setattr(socket, "gethostname", lambda: "engine7.analytical.example")
    config = copy.deepcopy(CONFIG)
    config["models"]["folder"] = {"source": str(home / "models/llava")}
    (home / "models/llava").mkdir(parents=True)
    (home / "models/llava/config.json").write_text("{}")
    made = make_study(home / "run", config, [str(home / f"pictures/{i % 3}/{i}.png") for i in range(12)])
    file = made.directory / "study.yaml"
    comment = f"# by ada.lovelace on engine7.analytical.example, in {home}/x, {PLANTED}, a-token-of-another-form-9241\n"
    file.write_text(comment + file.read_text())
    (made.directory / "CITATION.cff").write_text(f"title: ours\nurl: file:{home}/paper.pdf\n")
    for table in made.directory.rglob("*.predictions.parquet"):
        read = pq.read_table(table)
        pq.write_table(read.replace_schema_metadata({"made_in": str(home), "by": PLANTED}), table)
    study = Study.load(file, directory=made.directory)
    out = tmp_path / "published"
    publish(study, Wanted(out, ["all"]))
    private = [
        b"ada.lovelace",
        b"engine7",
        b"analytical.example",
        b"a-token-of-another",
        PLANTED.encode(),
        bytes(tmp_path),
    ]
    for file in (file for file in out.rglob("*") if file.is_file()):
        for each in private:
            assert each not in file.read_bytes(), (file, each)
    # Parquet compresses its columns.
    for file in out.rglob("*.parquet"):
        read = pq.read_table(file)
        assert not read.schema.metadata
        assert "/home/" not in read.to_pandas().to_csv()
    assert set(pd.read_parquet(next(out.glob("predictions/*/*/*.parquet")))["group"]) >= {"1/4.png", "2/5.png"}


def test_what_is_private_and_was_not_hidden_is_refused(study, tmp_path):
    private = Private(tmp_path)
    for name, text in (
        ("a.json", f'{{"token": "{PLANTED}"}}'),
        ("b.md", "see /home/somebody/x"),
        ("c.yaml", "C:\\Users\\x"),
    ):
        folder = tmp_path / name.split(".")[0]
        folder.mkdir()
        (folder / name).write_text(text)
        with pytest.raises(InputError, match=name):
            check_private(folder, private)
    (tmp_path / "d").mkdir()
    table = pd.DataFrame({"item_id": ["/home/somebody/1.png"]})
    table.to_parquet(tmp_path / "d/ids.parquet")
    with pytest.raises(InputError, match=r"ids\.parquet.*/home/somebody.*column item_id"):
        check_private(tmp_path / "d", private)
    with pytest.raises(InputError, match=r"nothing was published: README\.md would hold the path /home/somebody/x"):
        publish(study, Wanted(tmp_path / "published", title="Of /home/somebody/x"))
    assert not list(tmp_path.glob("*published*"))


def test_ordinary_words_are_not_taken_for_private_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("LOGNAME", "root")
    private = Private(tmp_path, words=["objects"])
    for text in (
        "https://huggingface.co/home/root",
        "and/or",
        "/m/01g317",
        "a / b",
        "the root of it",
        "24/7",
        "val/1.png",
    ):
        assert private.hidden(text) == text
        assert private.found(text) == ""
    assert private.hidden(f"{tmp_path}/data/x.csv") == "data/x.csv"
    assert private.hidden("file: /home/x/y.csv, z") == "file: <path>, z"
    monkeypatch.setenv("LOGNAME", "objects")
    assert Private(tmp_path, words=["objects"]).found("objects") == ""
    assert Private(tmp_path).found("objects")
    assert Private(tmp_path).found("objects/llava") == ""
    assert without_folders(["/home/x/a/1", "/home/x/b/1", "7"]) == {"/home/x/a/1": "a/1", "/home/x/b/1": "b/1"}


def test_a_study_that_is_not_finished_is_refused_with_the_command(study, tmp_path):
    out, cell = tmp_path / "published", study.grid.probe_cells()[0]
    Path(study.predictions_file(cell)).unlink()
    with pytest.raises(
        InputError, match=r"not finished: .*describe\.predictions\.parquet: not there yet; run `snakemake all"
    ):
        publish(study, Wanted(out))
    assert not out.exists()


def test_probes_of_another_model_are_stale(study, tmp_path):
    file = Path(study.model_file("hub"))
    file.write_text(file.read_text().replace("dddd", "ffff"))
    with pytest.raises(InputError, match=r"not finished: .*model_digest changed since"):
        publish(study, Wanted(tmp_path / "published"))


def test_states_that_are_not_there_are_refused(study, tmp_path):
    with pytest.raises(InputError, match=f"there is no such cell; give all, or some of {CELL}"):
        publish(study, Wanted(tmp_path / "published", ["hub/own/other"]))
    for file in study.states_files("hub", "own", "describe"):
        Path(file).unlink()
    publish(study, Wanted(tmp_path / "without"))
    with pytest.raises(InputError, match=r"not there yet; run `snakemake states"):
        publish(study, Wanted(tmp_path / "published", ["all"]))


def test_states_that_the_disk_has_no_room_for_are_refused(study, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(1000, 900, 100))
    with pytest.raises(InputError, match=r"states take 0\.0 GB, and 0\.0 GB are free"):
        publish(study, Wanted(tmp_path / "published", ["all"]))
    assert not list(tmp_path.glob("*published*"))


def test_a_folder_with_files_is_refused_and_an_empty_one_filled(study, tmp_path):
    out = tmp_path / "published"
    out.mkdir()
    publish(study, Wanted(out))
    before = (out / "SHA256SUMS").read_bytes()
    with pytest.raises(InputError, match="is not empty"):
        publish(study, Wanted(out))
    assert (out / "SHA256SUMS").read_bytes() == before


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, os.strerror(28))])
def test_an_interrupted_publish_leaves_nothing(study, tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    out = tmp_path / "published"
    (tmp_path / ".published.partial").mkdir()
    (tmp_path / ".published.partial/of-a-killed-try").touch()
    with monkeypatch.context() as patched:
        patched.setattr(publishing, "check_private", fail)
        with pytest.raises((KeyboardInterrupt, InputError)):
            publish(study, Wanted(out))
    assert not list(tmp_path.glob("*published*"))
    publish(study, Wanted(out))
    assert not (out / "of-a-killed-try").exists()


def test_probes_and_states_are_the_studys_own_arrays(study, tmp_path):
    from safetensors.numpy import load_file

    out = tmp_path / "published"
    publish(study, Wanted(out, ["all"]))
    said = json.loads((out / "probes/hub/wet/describe.json").read_text())
    assert (said["labels"], said["classes"], said["position"]) == (["wet"], ["no", "yes"], "last")
    probes = load_file(out / "probes/hub/wet/describe.safetensors")
    items = pd.read_parquet(out / f"states/{CELL}/items.parquet")
    for layer, name in enumerate(said["layers"]):
        own = study.probe("hub", "wet", "describe", name)
        assert all(np.array_equal(probes[key][layer], getattr(own, key)) for key in said["axes"])
        read = load_file(out / f"states/{CELL}/last/layer-{layer:02d}.safetensors")["states"]
        assert np.array_equal(read[items["row"]], study.states(*CELL.split("/"), layer=layer).values)
    labels = pd.read_parquet(out / "labels/wet.parquet")
    assert labels["split"].value_counts().to_dict() == {"train": 4, "val": 4, "test": 4}
