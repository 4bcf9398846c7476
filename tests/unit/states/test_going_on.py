"""A job that has loaded a model goes on with cells that others have still to begin, and with no others."""

import json
import logging
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import layerwise.states.going_on as module
from layerwise.errors import InputError
from layerwise.jobs.command import WORKFLOW_PID
from layerwise.jobs.planned import Planned, forget_planned, forget_when_stopped, write_planned
from layerwise.models.adapters import generic
from layerwise.models.registration import describe_model
from layerwise.states.store import StatesFile
from tests.cells import extraction, run_here, write_items

ENTRY = {"source": "", "weights": "pretrained", "dtype": "auto", "adapter": "generic", "conversation": "auto"}


class Run:
    """Cells of one model in a folder, which a run has planned."""

    def __init__(self, folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch):
        self.folder, self.work, self.monkeypatch = folder, folder / "work", monkeypatch
        self.model = describe_model("tiny", ENTRY | {"source": str(model)}, None, 0)
        shown = []
        for i in range(3):
            Image.new("RGB", (50, 40), (70 * i, 90, 200)).save(folder / f"{i}.png")
            shown.append((str(i), folder / f"{i}.png", f"Is it {'very ' * i}red?"))
        write_items(folder, shown)
        monkeypatch.setenv(WORKFLOW_PID, str(os.getpid()))

    def out(self, name: str) -> Path:
        return self.folder / f"{name}.h5"

    def command(self, name: str, text: str) -> list[str]:
        return extraction(self.folder, self.model, ["last", "image-mean"], self.out(name), {"text": text})

    def planned(self, name: str, text: str, **others: str) -> dict:
        command = self.command(name, text)
        cell = json.loads(command[command.index("--cell") + 1])
        entry = {"model": str(self.folder / "model.json"), "stimuli": str(self.folder), "cell": cell, "batch_size": 2}
        entry |= {
            "sharing": "auto",
            "device_map": None,
            "shard": [1, 1],
            "kept": None,
            "fitted": None,
            "out": str(self.out(name)),
        }
        return entry | others

    def plan(self, *jobs: dict) -> None:
        write_planned(self.work, os.getpid(), jobs)

    def extract(self, name: str, text: str, *options: str) -> None:
        run_here([*self.command(name, text), *options], self.monkeypatch)

    def states(self, name: str) -> np.ndarray:
        with StatesFile(self.out(name)) as file:
            layers = range(len(file.layers))
            return np.stack([file.layer(position, i) for position in file.positions for i in layers])


@pytest.fixture
def run(tmp_path, tiny_llava, monkeypatch, caplog) -> Run:
    caplog.set_level(logging.INFO)
    return Run(tmp_path, tiny_llava, monkeypatch)


def test_a_bad_cell_is_left_to_its_own_job_and_those_behind_it_are_made(run, caplog):
    texts = {"bad": "<image> {text}", "later": "{text} Why?", "own": "{text}"}
    run.plan(*(run.planned(name, text) for name, text in texts.items()))
    run.extract("own", texts["own"])
    assert "bad.h5 is left to its own job: item 0: the prompt" in caplog.text
    assert f"going on with {run.out('later')}" in caplog.text
    assert run.out("own").exists()
    assert not run.out("later").exists()
    # To the bit what jobs of their own make.
    run.extract("later", texts["later"], "--out", str(run.out("alone")), "--work", str(run.folder / "elsewhere"))
    run.monkeypatch.setattr(generic, "load", None)
    run.extract("later", texts["later"])
    assert f"its parts were made by the job of {run.out('own')}, whose log says how" in caplog.text
    assert np.array_equal(run.states("later"), run.states("alone"))
    run.monkeypatch.undo()
    with pytest.raises(InputError, match="item 0: the prompt"):
        run.extract("bad", texts["bad"])


def test_what_is_there_or_cannot_be_made_yet_is_left_and_leaves_no_folder(run, caplog):
    kept = ["--kept", str(run.folder / "kept")]
    run.extract("kept", "{text} Why?", *kept)
    run.out("kept").unlink()
    run.extract("made", "{text} How?")
    run.plan(
        run.planned("kept", "{text} Why?", kept=kept[1]),
        run.planned("made", "{text} How?"),
        run.planned("later", "{text} Where?", stimuli=str(run.folder / "not-yet")),
    )
    run.extract("own", "{text}")
    assert "going on" not in caplog.text
    assert "left to its own job" not in caplog.text
    assert [file.name for file in run.work.iterdir() if file.is_dir()] == [f"planned-{os.getpid()}"]


def test_without_the_list_a_job_ends_with_the_cell_that_it_is_at(run, caplog):
    run.plan(run.planned("first", "{text} Why?"), run.planned("second", "{text} How?"))
    run_job = module.run_job

    def then_forget(*arguments):
        run_job(*arguments)
        forget_planned(run.work)

    run.monkeypatch.setattr(module, "run_job", then_forget)
    run.extract("own", "{text}")
    assert caplog.text.count("going on with") == 1
    assert "left to its own job" not in caplog.text


def test_waiting_for_a_card_is_no_part_of_loading(run):
    moments = {}

    def wait(_count):
        time.sleep(0.5)
        moments["card"] = time.monotonic()

    run.monkeypatch.setattr("layerwise.states.program.take_cards", wait)
    run.monkeypatch.setattr(module, "go_on", lambda *arguments: moments.update(began=arguments[4]))
    run.extract("own", "{text}")
    assert moments["began"] >= moments["card"]


def test_a_device_that_fails_behind_its_own_cell_fails_no_job(run, caplog):
    load = generic.load

    def fail() -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    def then_fail(*arguments):
        model = load(*arguments)
        run.monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        run.monkeypatch.setattr(torch.cuda, "empty_cache", fail)
        return model

    run.monkeypatch.setattr(generic, "load", then_fail)
    run.plan(run.planned("other", "{text} Why?"))
    run.extract("own", "{text}")
    assert "other.h5 is left to its own job: CUDA error" in caplog.text
    assert run.out("own").exists()


def test_a_list_that_the_disk_does_not_take_stops_nothing(small_disk, monkeypatch, caplog):
    monkeypatch.setenv(WORKFLOW_PID, "1")
    entry = {"model": "m", "stimuli": "s", "cell": {"long": "x" * 5000}, "batch_size": 1, "sharing": "auto"}
    entry |= {"device_map": None, "shard": [1, 1], "kept": None, "fitted": None}
    write_planned(small_disk, 1, (entry | {"out": str(i)} for i in range(100)))
    assert "planned-1: No space left on device; extractions that are not listed there" in caplog.text
    # Half a file is none.
    assert 0 < len(list(Planned(small_disk).of_model(Path("m")))) < len(list(small_disk.glob("planned-1/*")))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_told_to_stop_forgets_first_and_then_stops_as_ever(tmp_path, number):
    found, as_it_was = [], signal.getsignal(number)
    try:
        signal.signal(number, lambda *_: found.append(list(tmp_path.iterdir())))
        write_planned(tmp_path, 1, [{"out": "a.h5"}])
        forget_when_stopped(tmp_path)
        signal.raise_signal(number)
        assert found == [[]]
        signal.signal(number, signal.SIG_IGN)
        forget_when_stopped(tmp_path)
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, as_it_was)


def test_jobs_may_begin_while_another_run_forgets_them(tmp_path):
    write_planned(tmp_path, 1, ({"out": str(i)} for i in range(3000)))
    files = sorted((tmp_path / "planned-1").iterdir(), reverse=True)
    begin = threading.Thread(target=lambda: [file.unlink(missing_ok=True) for file in files])
    begin.start()
    forget_planned(tmp_path)
    begin.join()
    assert not list(tmp_path.iterdir())
