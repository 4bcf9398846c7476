"""Environments of the tools that are compared, each with its own pinned versions, made once and stamped."""

import shutil
import subprocess
import sys
from pathlib import Path

from layerwise.errors import InputError
from layerwise.jobs.environment import make_environment

HERE = Path(__file__).resolve().parent
# VLM-Lens is no package: its code is run from a clone.
VLM_LENS = "https://github.com/compling-wat/vlm-lens"
VLM_LENS_COMMIT = "ac8289af08f0c07e9a2d16bc08b8af6ccdf2968b"


def python_of(tool: str, root: Path) -> Path:
    """The Python of a tool's environment, which is made if it is missing or its pins have changed.

    Args:
        tool: its pins are in ``<tool>.txt``.
        root: folder of all environments.

    Raises:
        InputError: when pip cannot install it.
    """
    requirements, folder = HERE / f"{tool}.txt", root / tool
    stamp = folder / "ready"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        print(f"making {folder} ...", file=sys.stderr)
        make_environment(folder, requirements, f"{sys.version_info.major}.{sys.version_info.minor}")
        stamp.write_text(requirements.read_text())
    return folder / "bin/python"


def source_of(address: str, root: Path) -> Path:
    """VLM-Lens's code at the pinned commit.

    Args:
        address: of its git repository, or a local folder that is one.
        root: folder of all environments.

    Raises:
        InputError: when it cannot be cloned.
    """
    folder = root / "vlm_lens-source"
    if not (folder / "src").is_dir():
        print(f"cloning {address} ...", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        root.mkdir(parents=True, exist_ok=True)
        _git("clone", "--quiet", "--no-checkout", address, str(folder))
        _git("-C", str(folder), "checkout", "--quiet", VLM_LENS_COMMIT, "--", "src")
    return folder


def _git(*options: str) -> None:
    done = subprocess.run(["git", *options], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise InputError(f"git {options[0]}: {lines[-1]}")


def version_of(tool: str) -> str:
    """The pinned version of a tool, for the page."""
    package = {"plain": "transformers", "nnsight": "nnsight", "transformer_lens": "transformer-lens"}.get(tool)
    if package is None:
        return VLM_LENS_COMMIT[:8] if tool == "vlm_lens" else "this commit"
    lines = (HERE / f"{tool}.txt").read_text().splitlines()
    return next(line.removeprefix(f"{package}==") for line in lines if line.startswith(f"{package}=="))
