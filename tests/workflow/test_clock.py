"""A clock that jumps: files dated into the future or the past cost no forward pass."""

import os
import time
from contextlib import contextmanager

from tests.faults.reliability import fault

YEAR = 365 * 24 * 3600


@contextmanager
def dated(files, seconds: float):
    """Files dated so many seconds from now, and as before afterwards."""
    stamps = {file: file.stat() for file in files}
    try:
        for file in stamps:
            os.utime(file, (time.time() + seconds,) * 2)
        yield
    finally:
        for file, stamp in stamps.items():
            os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


@fault(
    "the clock jumps, so that files of the study are dated a year ahead or back",
    sees="at most, probes, figures or stimuli are made again until the clock has caught up",
    kept="hidden states: they depend on what the model was shown, not on file times",
)
def test_a_clock_that_jumps_costs_no_forward_pass(finished):
    results = finished.folder / "results"
    # Not the pictures of an own table: with another time they are looked at again, by a job that then finds
    # their states by content (test_staleness.py).
    shown = [*results.glob("stimuli/*/*/*"), *results.glob("models/*/*/*"), finished.folder / "own/colours.csv"]
    everything = [file for file in results.rglob("*") if file.is_file()]
    for files, seconds in ((shown, YEAR), (shown, -YEAR), (everything, YEAR), (everything, -YEAR)):
        with dated(files, seconds):
            assert not {"extract_states", "train_embedded_model"} & set(finished.planned())
