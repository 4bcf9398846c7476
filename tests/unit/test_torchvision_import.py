"""torchvision beside a torch that it was not built for: it declares operators that are not there."""

import os
import subprocess
import sys

from tests.conftest import REPOSITORY

# What the real one does, where its compiled part does not load.
DECLARES = """
import torch

for name in ("nms", "qnms"):
    torch.library.register_fake(f"torchvision::{name}")(lambda *_: None)
"""
TRIED = """
try:
    import torchvision
except RuntimeError as error:
    print(error)
import layerwise
import torchvision
print(torchvision.__file__)
"""


def test_torchvision_without_its_operators_is_imported_after_this_library(tmp_path):
    (tmp_path / "torchvision.py").write_text(DECLARES)
    paths = os.pathsep.join([str(tmp_path), str(REPOSITORY / "scripts")])
    told = subprocess.run(
        [sys.executable, "-c", TRIED],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.splitlines() == ["operator torchvision::nms does not exist", str(tmp_path / "torchvision.py")]
