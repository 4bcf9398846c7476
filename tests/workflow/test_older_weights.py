"""A model whose weights come as .bin: converted once, then run like any other, and rerun for no reason but its own."""

import copy
import hashlib

import pytest
import torch
from safetensors.torch import load_file

from tests.workflow.conftest import TINY, copy_project


@pytest.fixture(scope="module")
def project(tmp_path_factory, tiny_llava, warm):
    project = copy_project(tmp_path_factory.mktemp("older-weights"), warm)
    folder = project.folder / "old"
    folder.mkdir()
    for file in tiny_llava.iterdir():
        if file.suffix != ".safetensors":
            (folder / file.name).write_bytes(file.read_bytes())
    torch.save(load_file(tiny_llava / "model.safetensors"), folder / "pytorch_model.bin")
    return project


@pytest.fixture
def study(project):
    """A grid of one model and one stimulus set."""
    study = copy.deepcopy(TINY)
    study["stimuli"] = {"own": study["stimuli"]["own"]}
    study["tasks"] = {"warm": study["tasks"]["warm"]}
    digest = hashlib.sha256((project.folder / "old/pytorch_model.bin").read_bytes()).hexdigest()
    del study["embedded_models"]
    study["models"] = {"old": {"source": "old", "convert": {"pytorch_model.bin": digest}, "batch_size": 32}}
    return study


def test_older_weights_run_like_any_others(project, study):
    wrong = copy.deepcopy(study)
    wrong["models"]["old"]["convert"]["pytorch_model.bin"] = "0" * 64
    project.configure(wrong)
    failed = project.snakemake("states", check=False)
    assert failed.returncode
    assert "models.old.convert: old/pytorch_model.bin has the SHA-256" in failed.stdout + failed.stderr
    assert not list(project.folder.glob("results/converted/*/*/*"))

    project.configure(study)
    once = {"convert_weights": 1, "register_model": 1, "extract_states": 1}
    assert project.planned("states") == once
    project.snakemake("states")
    assert (project.folder / "results/states/old/own/describe.h5").is_file()
    assert project.planned("states") == {}
    # Where and how it runs is nothing to rerun for; its weights lie in results now.
    study["models"]["old"] |= {"batch_size": 8, "device_map": "auto", "cards": 1}
    project.configure(study)
    (project.folder / "old/pytorch_model.bin").touch()
    assert project.planned("states") == {}
    # In other numbers it is another model.
    study["models"]["old"]["quantization"] = "8bit"
    project.configure(study)
    assert project.planned("states") == {"register_model": 1, "extract_states": 1}
