"""Models that are part of a whole, in the files of the whole: Qwen's omni models, which also speak."""

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from layerwise.answers.finding_head import find_head
from layerwise.config.models import Model
from layerwise.cost.sizes import size_of
from layerwise.models.configuration import read_configuration
from layerwise.models.opening import open_model
from layerwise.models.registration import describe_model
from tests import families
from tests.families.measure import POSITIONS, PROMPTS, pictures

ENTRY = {"weights": "pretrained", "dtype": "float32", "adapter": "generic", "conversation": "auto"}
WHOLES = {
    families.omni.qwen2_5_omni: (transformers.Qwen2_5OmniConfig, transformers.Qwen2_5OmniForConditionalGeneration),
    families.omni.qwen3_omni_moe: (transformers.Qwen3OmniMoeConfig, transformers.Qwen3OmniMoeForConditionalGeneration),
}


@pytest.fixture(scope="module", params=WHOLES, ids=lambda build: build.__name__)
def published(request, tmp_path_factory):
    """A thinker, and a folder of the whole model as it is published."""
    thinker, folder = families.frozen(request.param), tmp_path_factory.mktemp("whole")
    configuration, whole = WHOLES[request.param]
    # Talkers are made for widths of published models only.
    config = configuration(thinker_config=thinker.model.config.to_dict(), enable_audio_output=False, dtype="float32")
    model = whole._from_config(config)
    model.thinker.load_state_dict(thinker.model.state_dict())
    model.save_pretrained(folder)
    thinker.processor.save_pretrained(folder)
    weights = folder / "model.safetensors"
    save_file(load_file(weights) | {"talker.model.norm.weight": torch.ones(3)}, weights, {"format": "pt"})
    return thinker, folder


def test_the_thinker_is_found_in_the_whole(published):
    thinker, folder = published
    description = describe_model("tiny", ENTRY | {"source": str(folder)}, None, seed=0)
    assert description["model_type"] == thinker.model_type
    states = open_model(description, "cpu").states(pictures(), PROMPTS[:2], POSITIONS)
    expected = thinker.states(pictures(), PROMPTS[:2], POSITIONS)
    assert all(torch.equal(states[position], expected[position]) for position in POSITIONS)
    twin = open_model(description | {"weights": "random", "seed": 1}, "cpu")
    assert type(twin.model) is type(thinker.model)
    head = find_head(description)
    weight = thinker.model.get_output_embeddings().weight
    assert torch.equal(torch.from_numpy(head.stored.rows(slice(None))), weight)


def test_its_cost_is_known(published):
    thinker, folder = published
    size = size_of("tiny", Model(source=str(folder)), None, "cpu")
    assert (size.layers, size.width) == (thinker.n_layers, thinker.width)
    assert size.exact


def test_its_precision_is_that_of_the_whole(published):
    assert read_configuration(published[1]).dtype == torch.float32
