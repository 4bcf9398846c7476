"""Qwen-VL, LaVIT and Emu as tiny models from their authors' code, through the whole workflow in the second environment.

The states that the workflow writes are compared with what the authors' own forward pass gives (reference.py). Their
code comes from the addresses below, or from where the environment variables say: any address or folder that git clones.
Where it cannot be had, its tests are skipped. A stand-in of our own for LaVIT's code runs everywhere.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from safetensors.numpy import load_file

from layerwise.states.store import StatesFile
from tests.conftest import REPOSITORY
from tests.workflow.conftest import copy_project

pytestmark = pytest.mark.slow

ADAPTERS = yaml.safe_load((REPOSITORY / "config/adapters.yaml").read_text())["adapters"]
# The five files of Qwen-VL's code as they lie beside its weights, with an argument more.
QWEN = {
    "repository": "https://github.com/DAMO-NLP-SG/VCD",
    "commit": "d6568ff81b8fd306a49e630df44f2db5c2300191",
    "folder": "experiments/Qwen_VL",
    "files": ["experiments/Qwen_VL"],
}
# Of the tiny models; see reference.py.
LAYERS = 3
PROMPTS = ["Is there a red circle?", "A blue square left of a green star, in the image.", "Hm"]
PROMPTS.append(PROMPTS[0])


class Case(NamedTuple):
    """A family and the adapter that serves it.

    Attributes:
        upstream: its authors' code.
        variable: gives another address of it.
        own_way: more files of theirs that the reference runs.
    """

    family: str
    adapter: str
    upstream: dict
    variable: str | None
    own_way: tuple[str, ...] = ()


EMU = ("emu", ADAPTERS["emu"]["upstream"], "LAYERWISE_UPSTREAM_EMU", ("Emu1/utils.py",))
CASES = {
    "lavit-standin": Case("lavit", "lavit", ADAPTERS["lavit"]["upstream"], None),
    "lavit": Case("lavit", "lavit", ADAPTERS["lavit"]["upstream"], "LAYERWISE_UPSTREAM_LAVIT", ("LaVIT/utils.py",)),
    "emu": Case("emu", *EMU),
    "emu-instruct": Case("emu-instruct", *EMU),
    "qwen_vl": Case("qwen_vl", "qwen_vl", QWEN, "LAYERWISE_UPSTREAM_QWEN_VL"),
}


@pytest.fixture(scope="session")
def environments(tmp_path_factory) -> Path:
    """Where the workflow makes the second environment: in the repository, where it stays as long as its versions."""
    if shutil.which("python3.11") is None and sys.version_info[:2] != (3, 11):
        pytest.skip("the second environment takes a python3.11")
    folder, lock = REPOSITORY / ".environments", REPOSITORY / "envs/legacy.txt"
    ready = folder / "legacy/ready"
    if ready.exists():
        # What counts is the lock file's content: a checkout makes it newer.
        if ready.read_text() == lock.read_text():
            ready.touch()
        else:
            ready.unlink()
    project = copy_project(tmp_path_factory.mktemp("environment"))
    project.configure(study(folder, {}, "tiny/model"))
    (project.folder / "tiny/model").mkdir(parents=True)
    (project.folder / "items.csv").touch()
    project.snakemake(str(ready))
    return folder


@pytest.fixture(params=CASES)
def upstream(request, tmp_path) -> tuple[Case, dict]:
    """A case, and its authors' code with an address that can be cloned."""
    case = CASES[request.param]
    if case.variable is None:
        return case, case.upstream | standin_repository(tmp_path / "standin")
    repository = os.environ.get(case.variable, case.upstream["repository"])
    reached = subprocess.run(
        ["git", "ls-remote", "--quiet", repository, "HEAD"],
        env=os.environ | {"GIT_TERMINAL_PROMPT": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if reached.returncode:
        pytest.skip(f"{repository} cannot be had here; {case.variable} may name another copy: {reached.stderr.strip()}")
    # The authors' own way to an answer, or to pixels, which the adapters do without.
    files = [*case.upstream["files"], *case.own_way]
    return case, case.upstream | {"repository": repository, "files": files}


def standin_repository(folder: Path) -> dict:
    """The stand-in as a repository with one commit."""
    git = ["git", "-C", str(folder), "-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["cp", "-r", str(REPOSITORY / "tests/legacy/standin"), str(folder)], check=True)
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "Stand-in"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    return {"repository": str(folder), "commit": commit}


def test_states_are_those_of_the_authors_forward_pass(upstream, environments, tmp_path):
    case, code = upstream
    project = copy_project(tmp_path)
    images = [write_image(tmp_path / f"a folder/{i}.png", seed=i % 3) for i in range(4)]
    pd.DataFrame({"image": images, "text": PROMPTS, "warm": list("abab")}).to_csv(tmp_path / "items.csv", index=False)
    (tmp_path / "tiny/model").mkdir(parents=True)
    needs = {case.adapter: {"environment": "legacy", "upstream": code}}
    config = study(environments, needs, str(tmp_path / "tiny/model"), case.adapter)
    project.configure(config)

    clone = f"results/upstream/{case.adapter}/{code['commit']}"
    project.snakemake(f"{clone}/cloned.txt")
    command = [environments / "legacy/bin/python", "tests/legacy/reference.py", case.family, "--out", tmp_path / "tiny"]
    command += ["--code", tmp_path / clone / "code" / code["folder"]]
    command += ["--images", *images, "--prompts", *PROMPTS]
    made = subprocess.run(list(map(str, command)), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    config["models"]["tiny"]["convert"] = checksums(tmp_path / "tiny/model")
    project.configure(config)
    project.snakemake("states")

    expected = load_file(tmp_path / "tiny/reference.safetensors")["states"]
    with StatesFile(tmp_path / "results/states/tiny/own/plain.h5") as states:
        assert states.cell["transformers"] == "4.33.2"
        ours = every_layer(states, "last")
        mean = every_layer(states, "image-mean")
    assert ours.shape == expected.shape == (4, LAYERS + 2, expected.shape[2])
    assert relative(ours, expected).max() < 1e-5
    # What must differ does: layers, inputs, and the last block's output before and after the final norm.
    assert relative(expected[:, 1:], expected[:, :-1]).min() > 1e-3
    assert relative(expected[0, 1:], expected[3, 1:]).max() < 1e-6, "one picture and prompt, in two places of a batch"
    assert relative(expected[0, 2:], expected[1, 2:]).min() > 1e-3
    assert np.isfinite(mean).all()
    assert relative(mean[:2], ours[:2]).min() > 1e-3
    with StatesFile(tmp_path / "results/states/twin/own/plain.h5") as twin:
        assert relative(every_layer(twin, "last")[:, 2:], expected[:, 2:]).min() > 0.1

    # Made anew, code and environment make no hidden states stale; other code does.
    (tmp_path / clone / "cloned.txt").write_text("again")
    assert project.planned("states") == {"register_model": 2}
    needs[case.adapter]["upstream"] = code | {"commit": code["commit"][::-1]}
    project.configure(config)
    assert project.planned("states")["extract_states"] == 2


def study(environments: Path, needs: dict, source: str, adapter: str = "lavit") -> dict:
    """A study of a table of pictures and texts, and a tiny model with its untrained twin."""
    entry = {"adapter": adapter, "dtype": "float32", "batch_size": 2, "source": source}
    own = {"kind": "table", "file": "items.csv", "text_column": "text", "labels": ["warm"], "prompts": ["plain"]}
    return {
        "pathvars": {"environments": str(environments)},
        "adapters": needs,
        "stimuli": {"own": own},
        "tasks": {"warm": {"stimuli": "own", "question": "local"}},
        "models": {"tiny": dict(entry), "twin": entry | {"weights": "random"}},
        "states": {"positions": ["last", "image-mean"]},
    }


def write_image(file: Path, seed: int) -> str:
    """A picture of random patches."""
    file.parent.mkdir(exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (5 + seed, 7, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((140, 100 + 20 * seed), Image.Resampling.NEAREST).save(file)
    return str(file)


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of weights. What LaVIT trained with its language model comes last: it has the last word."""
    files = [file for pattern in ("*.pt", "*.bin", "*/*.bin") for file in folder.glob(pattern)]
    files.sort(key=lambda file: file.name == "visual_weight.bin")
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def every_layer(states: StatesFile, position: str) -> np.ndarray:
    """Shape (items, L + 2, width)."""
    layers = [states.layer(position, i)[states.row_of_item] for i in range(len(states.layers))]
    return np.stack(layers, axis=1)


def relative(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Norm of the difference over norm of the vector."""
    return np.linalg.norm(first - second, axis=-1) / np.linalg.norm(second, axis=-1)
