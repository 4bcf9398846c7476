"""Jobs on a machine with several cards and no scheduler. The cards are pretended, the locks and processes are real."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from layerwise.errors import InputError
from layerwise.jobs.cards import SCHEDULERS, take_cards
from tests.conftest import REPOSITORY

# Takes cards, writes down which and when, and holds them.
JOB = """
import os, sys, time
from pathlib import Path
from layerwise.jobs.cards import take_cards
taken = take_cards(int(sys.argv[1]), locks=Path(sys.argv[2]))
begun = time.monotonic()
assert os.environ["CUDA_VISIBLE_DEVICES"] == ",".join(taken)
print("taken", flush=True)
time.sleep(float(sys.argv[3]))
print(begun, time.monotonic(), *taken, flush=True)
"""


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Path:
    """A machine that says it has three cards; the folder of their locks."""
    command = tmp_path / "bin/nvidia-smi"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\nprintf 'GPU-a\\nGPU-b\\nGPU-c\\n'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    # What is taken is put there, and must not stay for other tests.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    for name in SCHEDULERS:
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "locks"


def job(locks: Path, count: int = 1, seconds: float = 0.5) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "scripts")}
    command = [sys.executable, "-c", JOB, str(count), str(locks), str(seconds)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_eight_jobs_never_share_one_of_three_cards(machine):
    jobs = [job(machine, count) for count in (1, 2, 1, 1, 2, 1, 1, 1)]
    held = []
    for each in jobs:
        output, _ = each.communicate(timeout=60)
        assert each.returncode == 0
        begun, ended, *cards = output.splitlines()[-1].split()
        held += [(float(begun), float(ended), card) for card in cards]
    assert len(held) == 10
    assert {card for *_, card in held} == {"GPU-a", "GPU-b", "GPU-c"}
    for begun, ended, card in held:
        others = [one for one in held if one != (begun, ended, card) and one[2] == card]
        assert all(other[0] >= ended or other[1] <= begun for other in others)
    # At some time two or three are in use: they do not merely queue.
    assert any(a[0] < b[1] and b[0] < a[1] for a in held for b in held if a[2] != b[2])


def test_a_killed_job_gives_its_card_back(machine):
    first = job(machine, 3, 60)
    assert first.stdout.readline() == "taken\n"
    second = job(machine, 3, 0)
    time.sleep(1.5)
    assert second.poll() is None
    first.kill()
    assert second.communicate(timeout=30)[0].split()[-3:] == ["GPU-a", "GPU-b", "GPU-c"]
    first.wait()


def test_a_probe_takes_no_card_that_is_not_free(machine):
    extraction = job(machine, 3, 60)
    assert extraction.stdout.readline() == "taken\n"
    assert take_cards(1, wait=False, locks=machine) == []
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    extraction.kill()
    extraction.wait()


def test_jobs_share_none_of_the_cards_that_their_user_names(machine, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, GPU-a")
    first, second = job(machine, 1, 60), job(machine, 1, 60)
    assert {each.stdout.readline() for each in (first, second)} == {"taken\n"}
    third = job(machine, 1, 0)
    time.sleep(1.5)
    assert third.poll() is None
    for each in (first, second):
        each.kill()
        each.wait()
    assert third.communicate(timeout=30)[0].split()[-1] == "GPU-c"
    with pytest.raises(InputError, match=r"asks for 3 cards .* CUDA_VISIBLE_DEVICES=2, GPU-a shows 2"):
        take_cards(3, locks=machine)
    for wrong in ("3", "GPU-z", "GPU-", "0,,1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", wrong)
        with pytest.raises(InputError, match=r"names '.*', but nvidia-smi lists cards 0 to 2 \(GPU-a, GPU-b, GPU-c\)"):
            take_cards(1, locks=machine)


def test_a_slice_of_a_card_is_a_card(machine, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-GPU-a/1/0")
    assert take_cards(1, locks=machine) == ["MIG-GPU-a/1/0"]
    waiting = job(machine, 1, 0)
    time.sleep(1.5)
    assert waiting.poll() is None
    waiting.kill()
    waiting.wait()


def test_a_user_may_hide_all_cards(machine, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert take_cards(1, locks=machine) == []
    assert not machine.exists()


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_scheduler_decides(machine, monkeypatch, scheduler):
    monkeypatch.setenv(scheduler, "7")
    assert take_cards(1, wait=False, locks=machine) == []
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert take_cards(1, locks=machine) == []
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    assert not machine.exists()


def test_too_many_cards_and_a_broken_driver_are_named(machine, tmp_path):
    with pytest.raises(InputError, match=r"asks for 4 cards .* this machine has 3"):
        take_cards(4, locks=machine)
    (tmp_path / "bin/nvidia-smi").write_text("#!/bin/sh\necho 'no devices were found'\nexit 6\n")
    with pytest.raises(InputError, match=r"nvidia-smi .* failed .no devices were found"):
        take_cards(1, locks=machine)


def test_a_machine_without_cards_is_left_alone(machine, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert take_cards(1, locks=machine) == []
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
