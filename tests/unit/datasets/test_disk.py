"""What a disk refuses is one error that names the file or folder; without a small disk, which only root may mount."""

import errno
import os
import tempfile
from pathlib import Path

import pytest

from layerwise.datasets.disk import check_writable
from layerwise.errors import InputError
from layerwise.jobs.command import finished_file


def test_a_full_disk_is_named_with_the_file_and_leaves_nothing(tmp_path):
    # A device that is full for whoever writes to it.
    (tmp_path / ".scores.partial.csv").symlink_to("/dev/full")
    with (
        pytest.raises(InputError, match=rf"^{tmp_path}/scores.csv: the disk \(or your quota on it\) is full; nothing"),
        finished_file(tmp_path / "scores.csv") as file,
    ):
        file.write_text("layer,score\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "said"),
    [(errno.EROFS, "the disk is read-only"), (errno.EDQUOT, "the disk (or your quota on it) is full")],
)
def test_what_a_writer_says_in_words_of_its_own_is_understood(tmp_path, code, said):
    with pytest.raises(InputError) as error, finished_file(tmp_path / "a.h5"):
        raise RuntimeError(f"Can't synchronously write data (error message = '{os.strerror(code)}', buf = 0x1)")
    assert str(error.value).startswith(f"{tmp_path}/a.h5: {said}; ")


def test_other_errors_come_through(tmp_path):
    with pytest.raises(PermissionError), finished_file(tmp_path / "a.h5"):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "picture.png")


def test_results_that_cannot_be_written_are_refused_by_the_folder_that_is_there():
    # Not in tmp_path: it lies in a folder that nobody else may enter.
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "study/results")
        check_writable(results, "pathvars.results")
        Path(folder).chmod(0o555)
        user = os.getuid()
        if user == 0:
            # Root may write anywhere. Asked for is the right of the real user; the effective one stays root.
            os.setresuid(65534, -1, -1)
        try:
            with pytest.raises(InputError, match=rf"^{folder}: you may not write there; .* set pathvars.results to"):
                check_writable(results, "pathvars.results")
        finally:
            if user == 0:
                os.setresuid(0, -1, -1)
