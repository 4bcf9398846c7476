"""A second Python environment, for models that need older packages than the first one has."""

import logging
import shutil
import subprocess
import sys
from pathlib import Path

from layerwise.errors import InputError

log = logging.getLogger(__name__)


def make_environment(folder: str | Path, requirements: str | Path, version: str) -> None:
    """Make a virtual environment, replacing an older one.

    Args:
        folder: where it is put.
        requirements: a lock file for pip.
        version: of Python, such as ``3.11``.

    Raises:
        InputError: when there is no such Python, pip cannot install the packages, or the folder is a link to an
            environment of the user.
    """
    if Path(folder).is_symlink():
        raise InputError(
            f"{folder} is a link to an environment of your own that is older than {requirements}; install these "
            f"versions there, then copy that file to {folder}/ready"
        )
    python = find_python(version)
    log.info("making an environment with %s in %s", python, folder)
    _run([python, "-m", "venv", "--clear", str(folder)], f"{python} cannot make an environment in {folder}")
    pip = [str(Path(folder) / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "-r", str(requirements)], f"pip cannot install {requirements} into {folder}")


def find_python(version: str) -> str:
    """A Python of this version: the running one, or ``pythonX.Y`` on the path.

    Raises:
        InputError: when none is found that runs.
    """
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    name = f"python{version}"
    # Run it: version managers put a stub on the path for versions that are not installed.
    found = shutil.which(name)
    if found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
        return found
    raise InputError(
        f"there is no {name} on the path, which the environment of Qwen-VL, LaVIT and Emu needs; install it beside the "
        "Python that runs the workflow, or leave these models out"
    )


def _run(command: list[str], complaint: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
        raise InputError(f"{complaint}: {' '.join(lines[-3:])}")
