"""The second environment, made once by the workflow."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.workflow.conftest import copy_project


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
    own = {"kind": "table", "file": "own/colours.csv", "labels": ["warm"], "prompts": ["describe"]}
    (project.folder / "tiny").mkdir()
    project.configure(
        {
            "pathvars": {"environments": str(folder)},
            "stimuli": {"own": own},
            "tasks": {"warm": {"stimuli": "own", "question": "local"}},
            "models": {"tiny": {"source": "tiny", "adapter": "lavit"}},
        }
    )
    project.snakemake(str(ready))
    return folder
