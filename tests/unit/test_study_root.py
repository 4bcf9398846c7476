"""Whose a results root is."""

import shutil
from pathlib import Path

import pytest

from layerwise.errors import InputError
from layerwise.study_root import check_root, claim_root


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("studies").mkdir()
    for name in ("first", "second", "wider"):
        Path(f"studies/{name}.yaml").touch()
    return tmp_path


def run(*names: str, extends: tuple[str, ...] = ()) -> None:
    """Plan a study in the one results root, and begin it."""
    study = [Path(f"studies/{name}.yaml") for name in names]
    check_root(Path("results"), study, extends)
    claim_root(Path("results"), study, extends)


def test_a_second_study_is_refused_by_both_names_and_with_the_fix(project):
    run("first")
    run("first")
    with pytest.raises(InputError) as refused:
        run("second")
    for said in ("studies/first.yaml", "studies/second.yaml", "results: results-second", "extends: [first.yaml]"):
        assert said in str(refused.value)
    # Not the root that is taken.
    Path("results").rename("results-second")
    with pytest.raises(InputError, match="results: results-second-2}"):
        check_root(Path("results-second"), [Path("studies/second.yaml")], ())
    Path("results-second").rename("results")
    # Also one of which the first is but a part.
    with pytest.raises(InputError, match=r"studies/first\.yaml \+ studies/second\.yaml would replace"):
        run("first", "second")
    run("first")


def test_a_study_that_extends_another_one_shares_its_root_in_any_order(project):
    run("first")
    run("wider", extends=("first.yaml",))
    run("first")
    run("wider", extends=("first.yaml",))
    with pytest.raises(InputError, match=r"studies/first\.yaml; studies/second\.yaml would"):
        run("second")
    run("second", extends=("wider.yaml",))


def test_a_study_may_be_moved_and_so_may_the_project(project):
    run("first")
    Path("studies/first.yaml").rename("studies/second.yaml")
    run("second")
    with pytest.raises(InputError, match=r"studies/second\.yaml; studies/wider\.yaml would"):
        run("wider")
    # A copy of the whole is no other study either.
    shutil.copytree(project, project / "copy")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project / "copy")
        run("second")


def test_a_damaged_record_is_named(project):
    run("first")
    Path("results/study.json").write_text("{")
    with pytest.raises(InputError, match=r"results/study\.json: damaged .* delete it"):
        run("first")
