"""Molmo through the whole workflow: described, extracted in the main environment, and its twin too."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from layerwise.models.adapters import molmo
from layerwise.states.store import StatesFile
from tests.molmo import LAYERS, PROMPTS, NotHad, forget_code, save_weights, whole_model, write_molmo
from tests.workflow.conftest import copy_project

pytestmark = pytest.mark.slow


@pytest.fixture(params=["standin", "published"])
def folder(request, tmp_path):
    """See tests/molmo.py."""
    try:
        made = write_molmo(tmp_path / "tiny molmo", request.param)
    except NotHad as error:
        pytest.skip(str(error))
    forget_code()
    save_weights(made)
    yield made
    forget_code()


def test_states_are_those_of_the_codes_own_forward_pass(folder, tmp_path):
    project = copy_project(tmp_path)
    prompts, images = [*PROMPTS, PROMPTS[0]], []
    for i, size in enumerate([(140, 100), (90, 130), (140, 120), (140, 100)]):
        images.append(tmp_path / f"{i}.png")
        noise = np.random.default_rng(i % 3).integers(0, 256, (5, 7, 3), dtype=np.uint8)
        Image.fromarray(noise).resize(size, Image.Resampling.NEAREST).save(images[-1])
    table = {"image": images, "text": prompts, "warm": list("abab")}
    pd.DataFrame(table).to_csv(tmp_path / "items.csv", index=False)
    entry = {"source": str(folder), "adapter": "molmo", "trust_remote_code": True, "batch_size": 2}
    own = {"kind": "table", "file": "items.csv", "text_column": "text", "labels": ["warm"], "prompts": ["plain"]}
    project.configure(
        {
            "stimuli": {"own": own},
            "tasks": {"warm": {"stimuli": "own", "question": "local"}},
            "models": {"tiny": entry, "twin": entry | {"weights": "random"}},
            "states": {"positions": ["last", "image-mean"]},
        }
    )
    project.snakemake("states")

    model = molmo.load(
        {"model": "tiny", "folder": str(folder), "adapter": "molmo", "trust_remote_code": True, "weights": "pretrained"}
        | {"dtype": "float32", "conversation": "<image> User: {prompt} Assistant:"},
        "cpu",
    )
    whole = whole_model(folder).eval()
    with StatesFile(tmp_path / "results/states/tiny/own/plain.h5") as states:
        ours = [states.layer("last", i)[states.row_of_item] for i in range(len(states.layers))]
    ours = np.stack(ours, axis=1)
    assert ours.shape == (4, LAYERS + 2, model.width)
    worst = 0.0
    for i, (image, prompt) in enumerate(zip(images, prompts, strict=True)):
        inputs = model.prepare([Image.open(image).convert("RGB")], [prompt])
        with torch.no_grad():
            hidden = whole.model(
                input_ids=inputs.ids,
                attention_mask=inputs.mask,
                images=inputs.pixels,
                image_masks=inputs.shares,
                image_input_idx=inputs.places,
                output_hidden_states=True,
            ).hidden_states
        expected = np.stack([layer[0, -1].numpy() for layer in hidden])
        kept = np.concatenate([ours[i, :-2], ours[i, -1:]])
        worst = max(worst, (np.linalg.norm(kept - expected, axis=1) / np.linalg.norm(expected, axis=1)).max())
    print("largest relative difference:", worst)
    assert worst < 1e-5
    with StatesFile(tmp_path / "results/states/twin/own/plain.h5") as twin:
        drawn = np.stack([twin.layer("last", i)[twin.row_of_item] for i in range(len(twin.layers))], axis=1)
    assert np.isfinite(drawn).all()
    assert np.abs(drawn - ours).max(axis=(0, 2)).min() > 1e-3
