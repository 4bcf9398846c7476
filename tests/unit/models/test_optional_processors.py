"""Families with their own processors, where the packages for these are: a torchvision that fits torch, and num2words.

Without them a stand-in prepares these families' inputs in test_families.py.
"""

from importlib.util import find_spec

import pytest
import torch

from layerwise.models.adapters import generic
from layerwise.models.registration import describe_model
from tests.families import Family
from tests.families.measure import POSITIONS, PROMPTS, measure, pictures
from tests.families.optional_processors import OPTIONAL, smolvlm_own

pytestmark = pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")

# Float32, norm of the difference over norm of the vector, at every layer.
EXACT = 2e-6


@pytest.mark.parametrize("build", OPTIONAL, ids=lambda build: build.__name__)
def test_a_family_is_read_exactly_with_its_own_processor(build, tmp_path):
    if build is smolvlm_own:
        pytest.importorskip("num2words")
    family = Family(build.__name__, build, "by its own processor")
    measured = measure(family)
    assert measured.declared
    assert max(measured.hooks, measured.batch, measured.shared) <= EXACT
    assert measured.image > 1e-3
    made = family.frozen()
    for part in (made.model, made.processor):
        part.save_pretrained(tmp_path)
    entry = {"source": str(tmp_path), "weights": "pretrained", "dtype": "float32", "conversation": "auto"}
    loaded = generic.load(describe_model("tiny", entry | {"adapter": "generic"}, None, seed=0), "cpu")
    states, again = (model.states(pictures(), PROMPTS[:2], POSITIONS) for model in (made, loaded))
    assert all(torch.equal(states[position], again[position]) for position in POSITIONS)
