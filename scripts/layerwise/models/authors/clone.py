"""Clone the code of a model's authors at a pinned commit. It is never copied into this project."""

import logging
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from layerwise.errors import InputError

log = logging.getLogger(__name__)


def clone(repository: str, commit: str, files: Sequence[str], folder: str | Path) -> None:
    """Put files of a repository at a commit into a folder, which is either complete or missing.

    Args:
        repository: anything that git clones: an address, a folder, a bare repository.
        commit: all forty digits, so that nobody can move it.
        files: paths within the repository; if the server allows it, no others are downloaded. Empty for all.
        folder: replaced if it exists.

    Raises:
        InputError: when git is missing, the repository cannot be cloned, or has no such commit or files.
    """
    folder = Path(folder)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    where = f"{repository} at commit {commit}"
    _git(["clone", "--quiet", "--no-checkout", "--filter=blob:none", "--", repository, str(partial)], where)
    at = ["-C", str(partial)]
    if _git([*at, "cat-file", "-e", f"{commit}^{{commit}}"], where, check=False):
        # The commit is on no branch or tag, so it is not in the clone. Servers send it on request.
        _git([*at, "fetch", "--quiet", "origin", commit], where)
    _git([*at, "checkout", "--quiet", commit, "--", *(files or ["."])], where)
    # Results name the code by its commit, so the files must be the commit's.
    if _git([*at, "diff", "--quiet", commit, "--", *(files or ["."])], where, check=False):
        raise InputError(f"the clone of {where} is not what the commit says; is the repository damaged?")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
    log.info("cloned %s", where)


def _git(arguments: list[str], where: str, check: bool = True) -> int:
    """Run git and return its exit status. Git must not wait for a password: asking for one is an error."""
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
