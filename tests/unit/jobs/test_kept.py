"""Finished files under a second name."""

import pytest

from layerwise.jobs.kept import KeptFiles, drop_unused

CELL = {"model_digest": "m", "code": "c"}


@pytest.fixture
def kept(tmp_path):
    def of(*names, cell=CELL):
        return KeptFiles(tmp_path / "kept", cell, [tmp_path / name for name in names])

    return of


def whole(_file):
    return True


def write(tmp_path, text="states", name="a.h5"):
    (tmp_path / name).write_text(text)


def test_a_deleted_file_comes_back_without_a_copy(kept, tmp_path):
    write(tmp_path)
    kept("a.h5").keep()
    inode = (tmp_path / "a.h5").stat().st_ino
    (tmp_path / "a.h5").unlink()
    assert kept("a.h5").take(whole)
    assert (tmp_path / "a.h5").read_text() == "states"
    assert (tmp_path / "a.h5").stat().st_ino == inode
    # And again: it is still kept.
    (tmp_path / "a.h5").unlink()
    assert kept("a.h5").take(whole)


def test_another_name_gets_a_copy_as_long_as_the_first_one_is_there(kept, tmp_path):
    """Snakemake touches what a job made; the other cell's probes would be stale by it."""
    write(tmp_path)
    kept("a.h5").keep()
    stamp = (tmp_path / "a.h5").stat().st_mtime_ns
    assert kept("renamed/b.h5").take(whole)
    (tmp_path / "renamed/b.h5").touch()
    assert (tmp_path / "a.h5").stat().st_mtime_ns == stamp
    # The one that was asked for last is kept on.
    (tmp_path / "a.h5").unlink()
    drop_unused(tmp_path / "kept")
    (tmp_path / "renamed/b.h5").unlink()
    assert kept("renamed/b.h5").take(whole)


def test_only_the_same_content_is_taken_and_only_all_of_it(kept, tmp_path):
    write(tmp_path)
    write(tmp_path, "more", "a.json")
    kept("a.h5", "a.json").keep()
    assert not kept("a.h5", "a.json", cell=CELL | {"code": "d"}).take(whole)
    assert not kept("a.h5", "a.json").take(lambda file: file.read_text() != "more")
    next((tmp_path / "kept").glob("*.h5")).unlink()
    assert not kept("a.h5", "a.json").take(whole)


def test_a_damaged_file_does_not_come_back(kept, tmp_path):
    """It was deleted because it was damaged: one byte of it, under both of its names."""
    write(tmp_path)
    kept("a.h5").keep()
    with open(tmp_path / "a.h5", "r+b") as file:
        file.write(b"S")
    (tmp_path / "a.h5").unlink()
    assert not kept("a.h5").take(whole)
    write(tmp_path, "made again")
    kept("a.h5").keep()
    (tmp_path / "a.h5").unlink()
    assert kept("a.h5").take(whole)
    assert (tmp_path / "a.h5").read_text() == "made again"


def test_what_no_cell_has_is_dropped(kept, tmp_path):
    write(tmp_path)
    kept("a.h5").keep()
    drop_unused(tmp_path / "kept")
    assert len(list((tmp_path / "kept").glob("*.h5"))) == 1
    (tmp_path / "a.h5").unlink()
    drop_unused(tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []
    drop_unused(tmp_path / "none")


def test_a_disk_without_hard_links_keeps_nothing_and_says_so(kept, tmp_path, monkeypatch, caplog):
    def refuses(*_):
        raise OSError(95, "Operation not supported")

    write(tmp_path)
    monkeypatch.setattr("layerwise.jobs.kept.os.link", refuses)
    kept("a.h5").keep()
    assert "this disk takes no hard links" in caplog.text
    assert not kept("a.h5").take(whole)


def test_nothing_is_kept_where_nothing_is_to_be(tmp_path):
    write(tmp_path)
    none = KeptFiles(None, CELL, [tmp_path / "a.h5"])
    none.keep()
    assert not none.take(whole)
