"""A decoder whose use of what it knows is known, through the whole loop: states, probes, concepts, sweeps, verdicts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from benchmarks.planted_decoder import BLOCKS, CLASSES, CONVERSATION, PROMPT, USED, answer_ids, make_decoder
from benchmarks.used_truth import Study
from concept_erasure import LeaceEraser

from layerwise.errors import InputError
from layerwise.models.adapters.generic import wrap
from layerwise.models.frozen import hidden_out
from layerwise.models.interventions.concept_file import ConceptFile, write_concept
from layerwise.states.images import read_image
from layerwise.states.store import StatesFile
from tests.faults.reliability import fault

SEED, TRAIN, TEST = 0, 300, 60
ALL = range(1, BLOCKS + 1)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Red is used in some blocks, blue is as readable and used in none."""
    study = Study(tmp_path_factory.mktemp("truth"), ("red", "blue"))
    study.draw(SEED, splits={"train": TRAIN, "val": 50, "test": TEST})
    study.extract()
    for colour in study.colours:
        study.fit(colour)
    return study


@pytest.fixture(scope="module")
def compared(study):
    for colour in study.colours:
        study.sweep(colour)
    return study.compare().set_index(["task", "block"])


@pytest.fixture(scope="module")
def asked(study):
    """The model that was written, its test items, and their inputs."""
    planted = make_decoder(SEED)
    items = pd.read_parquet(study.folder / "stimuli/items.parquet")
    items = items[items["item_id"].str.startswith("test")].set_index("item_id")
    prompts = [PROMPT.replace("{text}", text) for text in items["text"]]
    frozen = wrap(planted.model, planted.processor, CONVERSATION)
    return planted, items, frozen.prepare([read_image(path) for path in items["image"]], prompts)


@torch.inference_mode()
def margins(planted, inputs, block=None, change=None):
    """Log odds of yes against no; with a block, its output at the last token is changed, by a plain hook."""

    def hook(_block, _args, output):
        hidden = hidden_out(output).clone()
        hidden[:, -1] = change(hidden[:, -1].double()).float()
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    handle = planted.model.model.language_model.layers[block - 1].register_forward_hook(hook) if block else None
    logits = planted.model(**inputs, logits_to_keep=1).logits[:, -1].double()
    if handle:
        handle.remove()
    no, yes = (logits[:, answer_ids(planted.processor.tokenizer, name)].logsumexp(-1) for name in CLASSES)
    return (yes - no).numpy()


def gold_signs(study, colour, items):
    labels = pd.read_parquet(study.folder / "tasks" / colour / "labels.parquet").set_index("item_id")
    return 2 * labels.loc[items.index, "y"].to_numpy() - 1


def test_the_weights_do_what_the_table_of_the_decoder_says(study, asked):
    """Not by erasers, but by taking out the very directions that were written."""
    planted, items, inputs = asked
    free = margins(planted, inputs)
    assert ((free > 0) == (gold_signs(study, "red", items) > 0)).mean() >= 0.9
    for colour in study.colours:
        basis = np.stack([planted.directions[f"{name} {colour}"] for name in ("first", "second")])
        basis = torch.from_numpy(basis)
        moved = [free - margins(planted, inputs, block, lambda x: x - x @ basis.T @ basis) for block in ALL]  # noqa: B023
        sizes = np.sqrt(np.mean(np.square(moved), axis=1)) / free.std()
        reads = [block in (3, 4) and colour == "red" for block in ALL]
        assert (sizes[reads] > 0.8).all()
        # What norms couple, and nothing else.
        assert (sizes[np.logical_not(reads)] < 0.006).all()


def test_both_colours_are_read_in_every_block(study):
    for colour in study.colours:
        assert (study.probe_scores(colour).loc[list(ALL)] >= 0.95).all()


def test_the_concept_is_used_in_the_right_blocks_and_the_decoy_in_none(compared):
    for colour, blocks in USED.items():
        if colour in compared.index.get_level_values("task"):
            verdicts = compared.loc[colour]
            assert list(verdicts.index[verdicts["used"]]) == list(blocks)
    # Nor would it be if the model answered by it.
    decoy = compared.loc["blue"]
    assert not (decoy["beyond"] & (decoy["p_value"] < 0.05)).any()


def test_effects_are_as_large_as_the_answer_needs_the_concept(compared):
    """Without red the margin has no part left that depends on it."""
    red = compared.loc["red"]
    share = red["effect"] / red["free"]
    for block in ALL:
        assert share[block] == pytest.approx(float(block in USED["red"]), abs=0.12)
    assert (compared.loc["blue", "effect"].abs() < 0.12 * red["free"].iloc[0]).all()


def test_effects_are_those_of_another_implementation_of_the_eraser_and_of_hooks(study, asked, compared):
    planted, items, inputs = asked
    free, signs = margins(planted, inputs), gold_signs(study, "red", items)
    labels = pd.read_parquet(study.folder / "tasks/red/labels.parquet").query("split == 'train'")
    with StatesFile(study.folder / "states.h5") as file:
        places = pd.Series(file.row_of_item, index=file.item_ids)[labels["item_id"]].to_numpy()
        for block in (2, 4, 5, 6):
            states = torch.from_numpy(file.layer("last", block)[places]).double()
            eraser = LeaceEraser.fit(states, torch.tensor(labels["y"].to_list()).double()[:, None], shrinkage=False)
            fall = (free - margins(planted, inputs, block, eraser)) * signs
            by_class = np.mean([fall[signs < 0].mean(), fall[signs > 0].mean()])
            row = compared.loc[("red", block)]
            # The other one does not shrink the covariance.
            assert row["effect"] == pytest.approx(by_class, abs=0.05 * row["free"])


@fault(
    "a fitted concept changes no state: its eraser is zero, or smaller than the rounding of the model's numbers",
    sees="one error that names the block and the change, before the model runs or after its first sixteen items",
    kept="all finished work; no effect of 0 is reported for a change that was not made",
)
@pytest.mark.parametrize(
    ("factor", "message"), [(0, "block 4 changes nothing"), (1e-9, "erase .* in block 4 changes no state")]
)
def test_an_eraser_that_changes_nothing_stops_the_sweep(study, tmp_path, factor, message):
    name = "concept.safetensors"
    file = ConceptFile(study.file("red", name))
    concepts = [file.block(block) for block in ALL]
    from_, to = concepts[3].erase
    concepts[3] = replace(concepts[3], erase=(from_, np.float32(factor) * to))
    other = Study(tmp_path, ("red",))
    for link in ("model", "model.json", "stimuli", "tasks"):
        (tmp_path / link).symlink_to(study.folder / link)
    other.file("red", name).parent.mkdir(parents=True)
    other.file("red", "probes.h5").symlink_to(study.file("red", "probes.h5"))
    write_concept(other.file("red", name), file.told, concepts)
    with pytest.raises(InputError, match=message):
        other.sweep("red")
