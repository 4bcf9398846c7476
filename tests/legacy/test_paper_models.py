"""Qwen-VL, LaVIT and Emu as tiny models from their authors' code, through the whole workflow in the second environment.

The states that the workflow writes are compared with what the authors' own forward pass gives (reference.py). Their
code comes from the addresses below, or from where the environment variables say: any address or folder that git clones.
Where it cannot be had, its tests are skipped. A stand-in of our own for LaVIT's code runs everywhere.
"""

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import load_file

from layerwise.states.store import StatesFile
from tests.legacy.cases import CASES, Case, NotHad, checksums, code_of
from tests.workflow.conftest import copy_project

pytestmark = pytest.mark.slow

# Of the tiny models; see reference.py.
LAYERS = 3
PROMPTS = ["Is there a red circle?", "A blue square left of a green star, in the image.", "Hm"]
PROMPTS.append(PROMPTS[0])


@pytest.fixture(params=CASES)
def upstream(request, tmp_path) -> tuple[Case, dict]:
    """A case, and its authors' code with an address that can be cloned."""
    case = CASES[request.param]
    try:
        return case, code_of(case, tmp_path / "standin")
    except NotHad as error:
        pytest.skip(str(error))


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


def every_layer(states: StatesFile, position: str) -> np.ndarray:
    """Shape (items, L + 2, width)."""
    layers = [states.layer(position, i)[states.row_of_item] for i in range(len(states.layers))]
    return np.stack(layers, axis=1)


def relative(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Norm of the difference over norm of the vector."""
    return np.linalg.norm(first - second, axis=-1) / np.linalg.norm(second, axis=-1)
