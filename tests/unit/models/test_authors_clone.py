"""Code of a model's authors: cloned at a commit, whole or not at all."""

import subprocess
from pathlib import Path

import pytest

from layerwise.errors import InputError
from layerwise.models.authors import clone as upstream
from layerwise.models.authors.clone import clone


@pytest.fixture
def repository(tmp_path) -> Path:
    """A repository of two commits, tagged ``old`` and ``new``."""
    folder = tmp_path / "repository"
    (folder / "models").mkdir(parents=True)
    git(folder, "init", "--quiet")
    for version in ("old", "new"):
        (folder / "models/model.py").write_text(f"VERSION = '{version}'\n")
        (folder / "film.mp4").write_text("large")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "--allow-empty", "-m", version)
        git(folder, "tag", version)
    return folder


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=test", "-c", "user.email=test@example.org", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_files_are_those_of_the_commit(repository, tmp_path):
    for version in ("old", "new", "old"):
        clone(str(repository), git(repository, "rev-parse", version), ["models"], tmp_path / "code")
        assert (tmp_path / "code/models/model.py").read_text() == f"VERSION = '{version}'\n"
        assert not (tmp_path / "code/film.mp4").exists()
    clone(f"file://{repository}", git(repository, "rev-parse", "new"), [], tmp_path / "code")
    assert (tmp_path / "code/film.mp4").exists()


def test_a_commit_on_no_branch_is_asked_for(repository, tmp_path):
    commit = git(repository, "rev-parse", "new")
    git(repository, "config", "uploadpack.allowAnySHA1InWant", "true")
    git(repository, "tag", "--delete", "new")
    git(repository, "reset", "--quiet", "--hard", "old")
    clone(f"file://{repository}", commit, ["models"], tmp_path / "code")
    assert (tmp_path / "code/models/model.py").read_text() == "VERSION = 'new'\n"


def test_what_cannot_be_had_is_named_and_leaves_what_was_there(repository, tmp_path, monkeypatch):
    commit = git(repository, "rev-parse", "new")
    clone(str(repository), commit, ["models"], tmp_path / "code")
    with pytest.raises(InputError, match=r"cannot get .*nowhere at commit .*upstream\.repository"):
        clone(str(tmp_path / "nowhere"), commit, ["models"], tmp_path / "code")
    with pytest.raises(InputError, match=f"cannot get .* at commit {'1' * 40}"):
        clone(str(repository), "1" * 40, ["models"], tmp_path / "code")
    with pytest.raises(InputError, match="did not match any file"):
        clone(str(repository), commit, ["nothing"], tmp_path / "code")
    assert (tmp_path / "code/models/model.py").exists()
    monkeypatch.setattr(upstream.os, "environ", {"PATH": str(tmp_path)})
    with pytest.raises(InputError, match="git is not installed"):
        clone(str(repository), commit, ["models"], tmp_path / "code")


def test_other_content_under_the_commits_name_is_refused(repository, tmp_path, monkeypatch):
    commit = git(repository, "rev-parse", "new")
    run = upstream._git

    def tampered(arguments, where, check=True):
        status = run(arguments, where, check)
        if "checkout" in arguments:
            (Path(arguments[1]) / "models/model.py").write_text("VERSION = 'mine'\n")
        return status

    monkeypatch.setattr(upstream, "_git", tampered)
    with pytest.raises(InputError, match="is not what the commit says"):
        clone(str(repository), commit, ["models"], tmp_path / "code")
    assert not (tmp_path / "code").exists()
