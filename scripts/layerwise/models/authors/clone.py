"""Code of a model's authors, cloned at a pinned commit and never copied into this project."""

import logging
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from layerwise.errors import InputError

log = logging.getLogger(__name__)


def clone(repository: str, commit: str, files: Sequence[str], folder: str | Path) -> None:
    """Put files of a repository as they are at a commit into a folder, which is whole or not there.

    Args:
        repository: anything that git clones: an address, a folder, a bare repository.
        commit: all forty digits; a name that nobody can move.
        files: paths within it; of the rest nothing is downloaded where the server allows it. Empty for all.
        folder: what was there is replaced.

    Raises:
        InputError: when git is missing, the repository cannot be had, or has no such commit or files.
    """
    folder = Path(folder)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    where = f"{repository} at commit {commit}"
    _git(["clone", "--quiet", "--no-checkout", "--filter=blob:none", "--", repository, str(partial)], where)
    at = ["-C", str(partial)]
    if _git([*at, "cat-file", "-e", f"{commit}^{{commit}}"], where, check=False):
        # Not on a branch or tag, and therefore in no clone; servers give it when it is asked for.
        _git([*at, "fetch", "--quiet", "origin", commit], where)
    _git([*at, "checkout", "--quiet", commit, "--", *(files or ["."])], where)
    # The commit's name stands for its content: what lies there now must be what it says.
    if _git([*at, "diff", "--quiet", commit, "--", *(files or ["."])], where, check=False):
        raise InputError(f"the clone of {where} is not what the commit says; is the repository damaged?")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
    log.info("cloned %s", where)


def _git(arguments: list[str], where: str, check: bool = True) -> int:
    """Run git; its exit status. A question for a password is an error, never waited for."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            env=os.environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise InputError("git is not installed; it fetches the code of the model's authors") from error
    if check and done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"git {arguments[0]} ended with {done.returncode}"])[-1]
        raise InputError(
            f"cannot get {where} ({reason}); adapters.NAME.upstream.repository in the config may be any address or "
            "folder that git can clone"
        )
    return done.returncode
