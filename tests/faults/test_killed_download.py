"""A download whose job is killed outright goes on at the byte where it stopped."""

import hashlib
import json
import random
import subprocess
import sys
import time

from tests.conftest import REPOSITORY
from tests.faults.reliability import fault
from tests.mirror import serving, zipped

ARCHIVE = zipped({"noise/a.bin": random.Random(0).randbytes(1_000_000)})


@fault(
    "a download's job is killed",
    sees="the job fails; run the same command again",
    kept="every byte that arrived: the download resumes there, and the whole file is checked",
)
def test_killed_in_the_middle_of_a_file(tmp_path):
    receipt = tmp_path / "noise.zip.json"
    partial = tmp_path / "noise.zip.partial"
    with serving() as mirror:
        mirror.files["/noise.zip"] = ARCHIVE
        command = [sys.executable, REPOSITORY / "scripts/download_archive.py", "--source", "noise"]
        command += ["--address", f"{mirror.address}/noise.zip", "--receipt", receipt]
        command += ["--expected", json.dumps({"sha256": hashlib.sha256(ARCHIVE).hexdigest()})]
        mirror.stalls = [600_000]
        job = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not partial.exists() or partial.stat().st_size < 400_000:
            assert time.monotonic() < deadline, "the download did not come to where it was to be killed"
            assert job.poll() is None
            time.sleep(0.01)
        job.kill()
        job.wait()
        kept = partial.stat().st_size
        mirror.go_on.set()
        assert {file.name for file in tmp_path.iterdir()} == {"noise.zip.partial", ".noise.zip.lock"}
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
        assert mirror.asked_for("/noise.zip") == [None, f"bytes={kept}-"]
    assert (tmp_path / "noise.zip").read_bytes() == ARCHIVE
    assert json.loads(receipt.read_text())["bytes"] == len(ARCHIVE)
    assert not partial.exists()
