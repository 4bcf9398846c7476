"""The paper's three older models as tests build them, and where their authors' code is had."""

import hashlib
import os
import subprocess
from pathlib import Path
from typing import NamedTuple

import yaml

from tests.conftest import REPOSITORY

ADAPTERS = yaml.safe_load((REPOSITORY / "config/adapters.yaml").read_text())["adapters"]
# The five files of Qwen-VL's code as they lie beside its weights, with an argument more.
QWEN = {
    "repository": "https://github.com/DAMO-NLP-SG/VCD",
    "commit": "d6568ff81b8fd306a49e630df44f2db5c2300191",
    "folder": "experiments/Qwen_VL",
    "files": ["experiments/Qwen_VL"],
}


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


class NotHad(Exception):
    """The authors' code cannot be had here; the message says where it was looked for."""


def code_of(case: Case, folder: Path) -> dict:
    """What `adapters.NAME.upstream` of a config says, with an address that can be cloned.

    Args:
        case: the family.
        folder: where a stand-in's repository is made.

    Raises:
        NotHad: when there is no such address within reach.
    """
    if case.variable is None:
        return case.upstream | standin_repository(folder)
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
        raise NotHad(
            f"{repository} cannot be had here; {case.variable} may name another copy: {reached.stderr.strip()}"
        )
    # The authors' own way to an answer, or to pixels, which the adapters do without.
    files = [*case.upstream["files"], *case.own_way]
    return case.upstream | {"repository": repository, "files": files}


def standin_repository(folder: Path) -> dict:
    """The stand-in as a repository with one commit."""
    git = ["git", "-C", str(folder), "-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["cp", "-r", str(REPOSITORY / "tests/legacy/standin"), str(folder)], check=True)
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "Stand-in"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    return {"repository": str(folder), "commit": commit}


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of weights. What LaVIT trained with its language model comes last: it has the last word."""
    files = [file for pattern in ("*.pt", "*.bin", "*/*.bin") for file in folder.glob(pattern)]
    files.sort(key=lambda file: file.name == "visual_weight.bin")
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
