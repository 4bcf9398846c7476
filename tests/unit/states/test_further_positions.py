"""States at further positions: read in the pass of the main file, in one pass of their own, or alone."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from layerwise.errors import InputError
from layerwise.jobs.beside import beside, forget_beside, write_beside
from layerwise.models.adapters import generic
from layerwise.models.registration import describe_model
from layerwise.models.token_names import OF_OBJECT
from layerwise.states.further.lacking import labels_with_states
from layerwise.states.store import StatesFile
from tests.cells import extraction, run_here, write_items
from tests.conftest import REPOSITORY

ENTRY = {"source": "", "weights": "pretrained", "dtype": "auto", "adapter": "generic", "conversation": "auto"}
TEXTS = ["Is it a red circle?", "Is there a blue square in it?", "Is it red, or is the circle red too?"]
FURTHER = ["word-red", "question-last", "text-mean", "image-last", "image-mean"]


class Cell:
    """A cell whose main file and further positions are extracted in this process."""

    def __init__(self, folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch):
        self.folder, self.monkeypatch = folder, monkeypatch
        self.model = describe_model("tiny", ENTRY | {"source": str(model)}, None, 0)
        shown = []
        for i in range(3):
            Image.new("RGB", (50, 40), (70 * i, 90, 200)).save(folder / f"{i}.png")
            shown += [(f"{i}-{k}", folder / f"{i}.png", text) for k, text in enumerate(TEXTS)]
        self.items = write_items(folder, shown)

    def out(self, position: str, folder: str = "") -> Path:
        (self.folder / folder).mkdir(exist_ok=True)
        return self.folder / folder / f"{position}.h5"

    def command(self, position: str, folder: str = "", **options: str) -> list[str]:
        positions = ["last"] if position == "main" else [position]
        command = extraction(self.folder, self.model, positions, self.out(position, folder), **options)
        if position != "main":
            command[1] = str(REPOSITORY / "scripts/extract_position.py")
        if folder:
            command += ["--work", str(self.folder / folder / "work")]
        return command

    def options(self, position: str, sharing: str) -> dict:
        command = self.command(position)
        cell = json.loads(command[command.index("--cell") + 1])
        found = {"model": str(self.folder / "model.json"), "stimuli": str(self.folder), "cell": cell, "batch_size": 2}
        found |= {"sharing": sharing, "device_map": None, "shard": [1, 1], "kept": None, "fitted": None}
        return found | {"out": str(self.out(position))}

    def plan(self, *positions: str, sharing: str = "auto") -> None:
        """As a run does that lacks the states of some positions."""
        further = {position: self.options(position, sharing) for position in positions if position != "main"}
        names = {position: [one for other, one in further.items() if other != position] for position in positions}
        write_beside(self.folder / "work", {str(self.out(name)): others for name, others in names.items() if others})

    def extract(self, position: str, folder: str = "", **options: str) -> None:
        run_here(self.command(position, folder, **options), self.monkeypatch)

    def states(self, position: str, folder: str = "") -> dict[str, np.ndarray]:
        with StatesFile(self.out(position, folder)) as file:
            layers = range(len(file.layers))
            return {
                name: np.stack([file.layer(name, i) for i in layers])[:, file.row_of_item] for name in file.positions
            }

    def forbid_loading(self) -> None:
        self.monkeypatch.setattr(generic, "load", None)


@pytest.fixture
def cell(tmp_path, tiny_llava, monkeypatch, caplog) -> Cell:
    caplog.set_level(logging.INFO)
    return Cell(tmp_path, tiny_llava, monkeypatch)


@pytest.mark.parametrize("sharing", ["always", "never"])
def test_the_main_job_reads_all_positions_in_its_pass_and_its_own_states_stay_as_they_are(cell, caplog, sharing):
    cell.extract("main", "alone", sharing=sharing)
    for position in FURTHER:
        cell.extract(position, "alone", sharing=sharing)
    cell.plan("main", *FURTHER, sharing=sharing)
    cell.extract("main", sharing=sharing)
    assert f"reading {', '.join(FURTHER)} in the same pass" in caplog.text
    assert "left to" not in caplog.text
    alone = cell.states("main", "alone")
    for position, states in cell.states("main").items():
        assert np.array_equal(states, alone[position])
    cell.forbid_loading()
    for position in FURTHER:
        assert not cell.out(position).exists()
        cell.extract(position, sharing=sharing)
        assert f"its parts were made by the job of {cell.out('main')}, whose log says how" in caplog.text
        assert np.array_equal(cell.states(position)[position], cell.states(position, "alone")[position])
    # This model's conversation writes more behind a prompt.
    assert not np.allclose(cell.states("question-last")["question-last"], alone["last"])
    assert not np.allclose(cell.states("text-mean")["text-mean"], alone["last"])


def test_positions_that_a_finished_cell_lacks_take_one_pass(cell, caplog):
    cell.extract("main")
    cell.plan(*FURTHER)
    cell.extract("text-mean")
    cell.forbid_loading()
    for position in FURTHER:
        if position != "text-mean":
            cell.extract(position)
    assert caplog.text.count(f"its parts were made by the job of {cell.out('text-mean')}") == 4


def test_an_item_without_the_word_has_no_state_and_its_labels_are_left_out(cell):
    cell.extract("word-red")
    states = cell.states("word-red")["word-red"]
    has = cell.items["text"].str.contains("red").to_numpy()
    assert states[:, has].any(axis=2).all()
    assert not states[:, ~has].any()
    splits = ["train", "val", "test"]
    rows = [(f"{i}-{k}", "red", int(k == 2), splits[i]) for i in range(3) for k in range(3)]
    rows += [(f"{i}-{k}", "blue", int(k == 1), splits[i]) for i in range(3) for k in range(3)]
    labels = pd.DataFrame(rows, columns=["item_id", "label", "y", "split"])
    task = {"task": "colours", "labels": ["red", "blue"], "classes": ["no", "yes"]}
    with StatesFile(cell.out("word-red")) as file:
        kept, names, lacking = labels_with_states(file, "word-red", labels, task)
        assert (names, lacking) == (["red"], 3)
        assert set(kept["item_id"]) == set(cell.items["item_id"][has])
        with pytest.raises(InputError, match=r"tasks.colours.positions: 3 of 9 items have no state at word-red"):
            labels_with_states(file, "word-red", labels[labels["label"] == "blue"], task | {"labels": ["blue"]})


def with_objects(cell: Cell, asked: list[str]) -> None:
    """Annotated objects in each picture, of which items name one without saying so in their prompts."""
    shown = [(item, cell.folder / f"{item[0]}.png", TEXTS[0]) for item in cell.items["item_id"]]
    items = write_items(cell.folder, shown).assign(category=asked)
    items.to_parquet(cell.folder / "items.parquet")
    from layerwise.stimuli.items import items_digest

    digest = items_digest(items, ["dog", "cat"])
    (cell.folder / "stimuli.json").write_text(json.dumps({"digest": digest, "categories": ["dog", "cat"]}))
    pictures = items["item_id"].str[0]
    pd.DataFrame({"item_id": items["item_id"], "image_id": pictures}).to_parquet(cell.folder / "provenance.parquet")
    boxes = [{"bbox": [0, 0, 20, 40]}, {"bbox": [30, 0, 20, 40]}, {"bbox": [0, 0, 50, 40]}]
    file = cell.folder / "instances.json"
    file.write_text(json.dumps({"annotations": boxes}))
    objects = [(image, name, i, False) for image in "012" for i, name in enumerate(["dog", "cat"])]
    objects.append(("0", "dog", 2, True))
    table = pd.DataFrame(objects, columns=["image_id", "category", "record", "crowd"]).assign(file=str(file))
    table.to_parquet(cell.folder / "objects.parquet")


def test_an_input_about_two_objects_has_a_state_for_each_and_a_pass_of_its_own(cell, caplog):
    with_objects(cell, ["dog", "cat", "bird"] * 3)
    cell.plan("main", "object-mean", "question-last")
    cell.extract("main")
    assert "reading question-last in the same pass" in caplog.text
    cell.extract("object-mean")
    with StatesFile(cell.out("object-mean")) as file:
        assert file.shape("object-mean")[0] == 9
    states = cell.states("object-mean")["object-mean"]
    # In the embeddings, the halves of a plain picture differ by place alone; both are there, and a bird is not.
    assert states[:, 0::3].any(axis=2).all()
    assert states[:, 1::3].any(axis=2).all()
    assert not np.allclose(states[:, 0::3], states[:, 1::3])
    assert not states[:, 2::3].any()


def test_a_box_that_changed_makes_its_states_anew(cell):
    with_objects(cell, ["dog", "cat", "dog"] * 3)
    cell.extract("object-mean", kept=str(cell.folder / "kept"))
    first = cell.states("object-mean")["object-mean"]
    file = cell.folder / "instances.json"
    cell.out("object-mean").unlink()
    file.write_text(file.read_text().replace("[0, 0, 20, 40]", "[0, 0, 10, 10]"))
    cell.extract("object-mean", kept=str(cell.folder / "kept"))
    assert not np.allclose(cell.states("object-mean")["object-mean"][:, 0], first[:, 0])
    file.write_text(file.read_text().replace("[0, 0, 10, 10]", "null"))
    with pytest.raises(InputError, match="record 0 of 'annotations' has no usable 'bbox'"):
        cell.extract("object-mean", "again")


def test_a_position_that_cannot_be_read_is_left_to_its_own_job(cell, caplog):
    assert "object-mean" in OF_OBJECT
    cell.plan("main", "word-unicorn", "question-last")
    cell.extract("main")
    assert "word-unicorn.h5 is left to its own job" in caplog.text
    assert "reading question-last in the same pass" in caplog.text
    with pytest.raises(InputError, match="no item has the position word-unicorn"):
        cell.extract("word-unicorn")


def test_what_a_run_wrote_down_is_forgotten(tmp_path):
    job = {"model": "m", "stimuli": "s", "cell": {}, "batch_size": 1, "sharing": "auto", "device_map": None}
    job |= {"shard": [1, 1], "kept": None, "fitted": None, "out": "b.h5"}
    write_beside(tmp_path, {"a.h5": [job]})
    assert [options.out for options in beside(tmp_path, Path("a.h5"))] == [Path("b.h5")]
    assert beside(tmp_path, Path("b.h5")) == []
    forget_beside(tmp_path)
    assert beside(tmp_path, Path("a.h5")) == []
