"""torchvision beside this torch, whichever of the two was built for CUDA."""

import os
import subprocess
import sys

from tests.conftest import REPOSITORY

PROGRAM = """
import sys
import layerwise

assert "torch" not in sys.modules and "torchvision" not in sys.modules
from transformers import LlavaForConditionalGeneration, LlavaProcessor
from torchvision.transforms.v2 import functional
import torch

picture = torch.arange(48, dtype=torch.float32).reshape(3, 4, 4)
print(functional.resize(picture, [2, 2], antialias=True).shape)
"""


def test_transformers_finds_torchvision_once_layerwise_is_imported():
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "scripts")}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "torch.Size([3, 2, 2])", done.stderr
