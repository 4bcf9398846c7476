"""benchmarks/peers: this project beside a plain loop, on a tiny model. Other tools need environments of their own."""

import argparse
import shutil
import subprocess
import sys

import numpy as np
import pytest

from layerwise.errors import InputError
from tests.conftest import REPOSITORY

PEERS = REPOSITORY / "benchmarks/peers"


@pytest.fixture(scope="module", autouse=True)
def importable():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PEERS))
        yield


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    """States of both ways, by the name of the runner."""
    from made import make_folder, make_inputs
    from run_layerwise import load as load_ours
    from run_plain import load as load_plain

    folder = tmp_path_factory.mktemp("peers")
    inputs = make_inputs(folder, 4, 3)
    make_folder(folder / "model", [one["text"] for one in inputs], small=True)
    given = {"model": str(folder / "model"), "inputs": folder / "inputs.json", "work": folder, "threads": 1}
    ways = {"plain": (load_plain, 1), "batches": (load_plain, 5), "ours": (load_ours, 16)}
    return {name: load(argparse.Namespace(**given, batch=batch))(inputs) for name, (load, batch) in ways.items()}


def test_states_agree(extracted):
    from ways import AGREE, difference

    assert extracted["plain"].shape == (12, 7, 128)
    assert difference(extracted["ours"], extracted["plain"]) < AGREE
    assert difference(extracted["batches"], extracted["plain"]) < AGREE


@pytest.mark.parametrize("layer", range(7))
def test_one_wrong_layer_is_noticed(extracted, layer):
    from ways import AGREE, difference

    wrong = extracted["ours"].copy()
    wrong[:, layer] = extracted["ours"][:, layer - 1]
    assert difference(wrong, extracted["plain"]) > AGREE


def test_states_of_another_input_are_noticed(extracted):
    from ways import AGREE, difference

    assert difference(np.roll(extracted["ours"], 1, axis=0), extracted["plain"]) > AGREE
    assert difference(extracted["ours"][:, :-1], extracted["plain"]) == float("inf")


def test_an_address_without_vlm_lens_is_named(tmp_path):
    from environments import source_of

    with pytest.raises(InputError, match=r"git clone: .*nowhere"):
        source_of(str(tmp_path / "nowhere"), tmp_path / "environments")


def test_pins_are_exact():
    from environments import version_of

    for file in PEERS.glob("*.txt"):
        lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
        assert all(line.count("==") == 1 and "+" not in line for line in lines), file
        assert version_of(file.stem)


@pytest.mark.whole
def test_the_driver_refuses_a_tool_whose_layers_are_shifted(tmp_path):
    """The real program, with a runner that leaves out the embeddings in place of the last block."""
    (tmp_path / "scripts").symlink_to(REPOSITORY / "scripts")
    folder = tmp_path / "benchmarks/peers"
    shutil.copytree(PEERS, folder)
    runner = (folder / "run_layerwise.py").read_text()
    right = "np.concatenate([states[:, :-2], states[:, -1:]], axis=1)"
    assert right in runner
    (folder / "run_layerwise.py").write_text(runner.replace(right, "states[:, 1:]"))
    command = [sys.executable, folder / "drive.py", "--small", "--rounds", "1", "--this-environment"]
    command += ["--environments", tmp_path / "environments", "--vlm-lens", tmp_path / "nowhere"]
    only = ["--only", "layerwise", "plain", "vlm_lens"]
    done = subprocess.run([*command, *only], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "NOT those of this project\n" in done.stdout
    assert "| VLM-Lens, one at a time | ac8289af | not installed: git clone:" in done.stdout
    assert "**The whole study**" in done.stdout
