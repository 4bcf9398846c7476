"""What tests share: a small world's files, a small LLaVA with random weights, and the machine's cores."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

import layerwise  # noqa: F401 - before test modules import transformers, which imports torchvision
from tests.warm import warm_python

REPOSITORY = Path(__file__).resolve().parent.parent

pytest_plugins = ["tests.cores", "tests.time_limits"]

# Before NumPy and PyTorch are imported, here and in what tests start: tests run on all cores, each with one thread.
for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Path:
    """A small world of shapes on disk, in the formats of COCO and SNLI-VE."""
    folder = tmp_path_factory.mktemp("world")
    command = [sys.executable, REPOSITORY / "scripts/make_world.py", "--out", folder, "--seed", "3"]
    command += ["--train-images", "60", "--val-images", "30", "--flickr-images", "60"]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def warm() -> Iterator[str]:
    """A Python whose programs have imported the large packages when they begin: see tests/warm.py."""
    # Not in pytest's folder: a socket's path is short.
    with tempfile.TemporaryDirectory() as folder, warm_python(Path(folder)) as python:
        yield python


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Path:
    """What `pip install .` would install, in a folder of its own."""
    folder = tmp_path_factory.mktemp("installed")
    # The setuptools that torch requires builds it, so that nothing is downloaded.
    command = ["pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", str(folder)]
    subprocess.run([sys.executable, "-m", *command, str(REPOSITORY)], check=True)
    return folder


@pytest.fixture
def serve_hub() -> Iterator[Callable]:
    """Serve repositories for the time of a test, as on the Hugging Face hub: see tests/hub.py."""
    from tests.hub import serve

    with ExitStack() as stack:
        yield lambda *hubs: stack.enter_context(serve(*hubs))


@pytest.fixture(scope="session")
def tiny_llava(tmp_path_factory) -> Path:
    """A LLaVA of the embedded architecture with random weights, written by ``save_pretrained``."""
    folder = tmp_path_factory.mktemp("tiny-llava")
    make_tiny_llava(folder)
    return folder


def make_tiny_llava(folder: Path) -> None:
    """Write the LLaVA of the fixture ``tiny_llava``."""
    import torch

    from layerwise.models.embedded.architecture import make_model, make_processor
    from layerwise.models.embedded.tokenizer import train_tokenizer

    tokenizer = train_tokenizer(["Is there a red circle in the image?", "A blue square left of a green star."] * 50)
    model = make_model(tokenizer, seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            # Larger weights than usual, so that layers differ and a mistake in one of them shows.
            if parameter.dim() == 2:
                parameter.mul_(2)
    model.save_pretrained(folder)
    make_processor(tokenizer).save_pretrained(folder)


@pytest.fixture
def small_disk(tmp_path):
    """A file system with room for 256 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small file system, and not in every container")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def study() -> dict:
    """The demo's config as a user writes it, to be changed by a test; without the sections that name its tasks."""
    config = yaml.safe_load((REPOSITORY / "config/prompts.yaml").read_text())
    config |= yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())
    for section in ("probes", "carry", "lens", "tower", "pooled"):
        del config[section]
    for task in ("entailment", "objects"):
        del config["tasks"][task]["positions"]
    return json.loads(json.dumps(config))
