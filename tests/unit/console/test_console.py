"""The command `layerwise`: what it says of studies, tables and files, and what it refuses."""

import csv
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from layerwise import InputError, Study
from layerwise.config.reading import read_config
from layerwise.console.__main__ import main
from layerwise.console.commands import COMMANDS
from layerwise.console.example import draw_example
from layerwise.console.own_table import LEAST_ITEMS, read_columns
from layerwise.states.writing import new_states
from tests.conftest import REPOSITORY


def write_table(file: Path, columns: dict[str, list[str]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "w", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))
    return file


def refused(capsys, *words: str) -> str:
    """What a command says that ends with exit status 1."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert isinstance(ended.value.code, str)
    assert ended.value.code.startswith("error: ")
    return ended.value.code


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_catalogue_can_be_asked_for_help(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert COMMANDS[command][1:20] in " ".join(capsys.readouterr().out.split())


def test_help_and_the_version_import_no_command(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    version = re.search(r'^version = "(.*)"', (REPOSITORY / "pyproject.toml").read_text(), re.M)[1]
    assert capsys.readouterr().out == f"layerwise {version}\n"


def test_where_names_the_snakefile_and_its_parts(capsys):
    main(["where"])
    assert Path(capsys.readouterr().out.strip()) == REPOSITORY / "Snakefile"
    main(["where", "profiles/slurm"])
    assert (Path(capsys.readouterr().out.strip()) / "config.yaml").is_file()
    assert "there is no 'profile'; it has " in refused(capsys, "where", "profile")


def test_columns_are_told_by_their_cells(tmp_path):
    n = 2 * SURE
    columns = {
        "number": [str(i) for i in range(n)],
        "picture": [f"{i}.JPG" for i in range(n)],
        "asked": [("Is it red?", "Is it blue?")[i // 2 % 2] for i in range(n)],
        "shade": [("dark", "light")[i % 2] for i in range(n)],
    }
    found = read_columns(write_table(tmp_path / "own.csv", columns))
    assert (found.image, found.text, found.rows, found.least) == ("picture", "asked", n, 5)
    assert found.labels == {"shade": ["dark", "light"]}
    # Questions alone are the label, because nothing else may be one.
    assert list(read_columns(write_table(tmp_path / "asked.csv", columns | {"shade": ["x"] * n})).labels) == ["asked"]
    # A label that was named is taken as it is, with a lower bound where it is rare.
    rare = columns | {"shade": ["rare"] * 3 + ["often"] * (n - 3)}
    found = read_columns(write_table(tmp_path / "rare.csv", rare), ["shade"])
    assert (list(found.labels), found.least) == (["shade"], 2)


SURE = 30


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"image": ["a.txt"] * 40, "label": ["a", "b"] * 20}, "no column holds pictures"),
        ({"image": ["a.png"] * 40, "label": ["a"] * 40}, "two to 20 classes with 10 rows each"),
        ({"image": ["a.png"] * 15, "label": ["a"] * LEAST_ITEMS + ["b"] * 5}, "two to 20 classes with 10 rows each"),
    ],
)
def test_a_table_without_pictures_or_labels_is_refused(tmp_path, columns, said):
    with pytest.raises(InputError, match=said):
        read_columns(write_table(tmp_path / "own.csv", columns))
    with pytest.raises(InputError, match=r"there is no column 'colour'; it has image, label"):
        read_columns(write_table(tmp_path / "own.csv", columns), ["colour"])


def test_a_study_of_folders_of_pictures_is_written_and_can_be_used(tmp_path, monkeypatch, capsys):
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        for i in range(LEAST_ITEMS):
            Image.new("RGB", (8, 8)).save(tmp_path / name / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    main(["init", "."])
    printed = capsys.readouterr().out
    assert "20 rows of pictures.csv. To be read off hidden states: label (cats, dogs)" in printed
    assert 'snakemake --snakefile "$(layerwise where)" --cores all --configfile study.yaml' in printed
    assert (tmp_path / "pictures.csv").read_text().splitlines()[:2] == ["image,label", "cats/0.png,cats"]
    study = Study.load("study.yaml")
    assert study.notes == []
    assert {cell.task for cell in study.grid.probe_cells()} == {"label"}
    assert "there is a study already" in refused(capsys, "init", ".")


def test_a_study_of_hostile_names_is_what_the_table_says(tmp_path, capsys):
    n = 20
    columns = {
        "bild: 1": [f"{i}.png" for i in range(n)],
        "yes": ["no", "yes"] * (n // 2),
        "größe, {x}": ["#1", "#2"] * (n // 2),
        "Satz": [f"Das ist Bild {i}." for i in range(n)],
    }
    write_table(tmp_path / "meine bilder.csv", columns)
    main(["init", str(tmp_path)])
    written = read_config(tmp_path / "study.yaml")
    assert written["stimuli"]["pictures"]["file"] == "meine bilder.csv"
    assert written["stimuli"]["pictures"]["image_column"] == "bild: 1"
    assert written["stimuli"]["pictures"]["text_column"] == "Satz"
    assert [task["labels"] for task in written["tasks"].values()] == [["yes"], ["größe, {x}"]]
    assert len(Study.load(tmp_path / "study.yaml").grid.probe_cells()) == 8


def test_an_empty_folder_and_several_tables_are_refused_with_the_fix(tmp_path, capsys):
    assert f"layerwise init {tmp_path / 'new'} --example" in refused(capsys, "init", str(tmp_path / "new"))
    for name in ("a.csv", "b.tsv"):
        (tmp_path / name).write_text("image\n")
    assert "several tables (a.csv, b.tsv); name the one you mean with --table" in refused(capsys, "init", str(tmp_path))
    assert "the example needs a new folder" in refused(capsys, "init", str(tmp_path), "--example")


def test_neither_label_of_the_example_tells_the_other(tmp_path):
    found = read_columns(draw_example(tmp_path))
    assert (found.text, found.least, list(found.labels)) == (None, 5, ["shape", "colour"])
    with open(tmp_path / "pictures.csv") as file:
        rows = list(csv.DictReader(file))
    counts = Counter((row["shape"], row["colour"]) for row in rows)
    assert (len(counts), set(counts.values())) == (16, {10})
    # The colour that the table names is the one that is drawn.
    with Image.open(tmp_path / next(row["image"] for row in rows if row["colour"] == "red")) as picture:
        red, green, blue = np.asarray(picture.convert("RGB"), int).reshape(-1, 3).T
    assert (red - np.maximum(green, blue)).max() > 100


def test_a_finished_page_is_found_beside_its_study_and_a_missing_one_names_the_command(tmp_path, monkeypatch, capsys):
    draw_example(tmp_path / "own")
    main(["init", str(tmp_path / "own"), "--table", str(tmp_path / "own/pictures.csv")])
    monkeypatch.chdir(tmp_path)
    study = "own/study.yaml"
    assert f"--configfile {study}" in refused(capsys, "open", study)
    assert "there is no study.yaml here" in refused(capsys, "open")
    page = tmp_path / "own/results/explore/index.html"
    page.parent.mkdir(parents=True)
    page.write_text("")
    capsys.readouterr()
    main(["open", study, "--print"])
    assert Path(capsys.readouterr().out.strip()) == page
    assert "--report results/study-report.html" in refused(capsys, "open", study, "--report")


def test_a_states_file_is_described(tmp_path, capsys):
    cell = {"model": "llava", "stimuli": "objects", "prompt": "agree", "prompt_entry": {"text": "Is it so?"}}
    cell |= {"dtype": "float32", "model_digest": "abc", "stimuli_digest": "def", "code": "ghi", "torch": "2.13"}
    about = {"positions": ["last"], "layers": ["embeddings", "block 1"], "rows": 2, "width": 8, "dtype": "float32"}
    about |= {"item_ids": ["a", "b", "c"], "row_of_item": [0, 1, 1], "cell": cell}
    with new_states(tmp_path / "agree.h5", **about):
        pass
    main(["describe", str(tmp_path / "agree.h5")])
    printed = capsys.readouterr().out
    for said in ("llava", "Is it so?", "2: embeddings, block 1", "3 in 2 rows", "8, float32", "abc", "torch 2.13"):
        assert said in printed
    assert "norm" not in printed
    main(["describe", "--verify", str(tmp_path / "agree.h5")])
    assert capsys.readouterr().out.count("norm") == 2
    (tmp_path / "text.h5").write_text("no states")
    assert "not a states file" in refused(capsys, "describe", str(tmp_path / "text.h5"))


@pytest.mark.slow
def test_check_names_all_that_would_end_a_run(tmp_path, monkeypatch, capsys):
    """A missing picture, and a model's type that is refused; then the same study, mended, passes."""
    monkeypatch.chdir(tmp_path)
    draw_example(tmp_path)
    main(["init", ".", "--table", "pictures.csv"])
    own = yaml.safe_load(Path("study.yaml").read_text())
    (tmp_path / "llama").mkdir()
    (tmp_path / "llama/config.json").write_text(json.dumps({"model_type": "llama"}))
    wrong = {key: value for key, value in own.items() if key != "embedded_models"}
    Path("study.yaml").write_text(yaml.safe_dump(wrong | {"models": {"mine": {"source": "llama"}}}))
    Path("pictures/007.jpg").rename("pictures/away.jpg")
    said = refused(capsys, "check")
    assert re.search(r"row 9.*007\.jpg", said)
    assert "models.mine" in said
    Path("pictures/away.jpg").rename("pictures/007.jpg")
    Path("study.yaml").write_text(yaml.safe_dump(own))
    capsys.readouterr()
    main(["check"])
    printed = capsys.readouterr().out
    assert "stimuli pictures: 160 items of 160 pictures" in printed
    assert re.search(r"task colour: \d+ train, \d+ val, \d+ test \(blue, green, red, yellow\)", printed)
    assert not Path("results").exists()
