"""The card, or a skipped test."""

import pytest
import torch


@pytest.fixture(scope="session")
def card() -> str:
    """The device's name for torch."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return "cuda"


@pytest.fixture
def exact_convolutions(monkeypatch):
    """Convolutions in float32 throughout: cuDNN's default, TF32, rounds to 10 bits, too coarse to compare devices."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
