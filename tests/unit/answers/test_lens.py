"""Answers read off states and files, compared with whole forward passes of the model itself."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer

from layerwise.answers.finding_head import as_numbers, read_off, without_weights
from layerwise.answers.head_file import read_head, write_head
from layerwise.answers.lens import Answering, log_partition, read_layers
from layerwise.errors import InputError
from layerwise.models.frozen import layer_names
from layerwise.models.opening import wrap_model
from layerwise.models.stored import stored_weights
from layerwise.states.shards import open_states
from layerwise.states.writing import new_states, write_rows
from tests import families
from tests.families import FAMILIES
from tests.families.common import text, tokenizer
from tests.families.cross_attention import idefics
from tests.families.inkling import inkling2
from tests.families.measure import PROMPTS, pictures
from tests.families.projectors import llava

CLASSES = {"yes": [5, 40], "no": [41], "other": [7, 60]}
TOKENS = {name: [{"id": i, "text": str(i)} for i in ids] for name, ids in CLASSES.items()}


def on_cohere():
    """LLaVA on Cohere's decoder: a LayerNorm without shift, and logits that are multiplied."""
    model, processor = llava()
    config = transformers.CohereConfig(**text(tokenizer()), logit_scale=0.0625, tie_word_embeddings=True)
    return type(model)(transformers.LlavaConfig(**model.config.to_dict() | {"text_config": config})), processor


def bounded_paligemma():
    """PaliGemma 2 bounds its logits; its head is tied to its embeddings."""
    model, processor = families.paligemma()
    model.config.text_config.final_logit_softcapping = 3.0
    return model, processor


def saved(model, folder, **how):
    """The end of a model as it is read off its files."""
    model.model.save_pretrained(folder, **how)
    empty = without_weights(folder)
    served = wrap_model(model.family.adapter, empty, model.processor, "auto")
    return read_off(served, {"model": "m", "folder": str(folder), "dtype": "float32", "digest": "d"})


def states_of(model, folder):
    """A states file of two prompts about each of two pictures; the last item shares a row."""
    shown = [(image, prompt) for image in pictures() for prompt in PROMPTS[:2]]
    states = torch.cat([model.states([image], [prompt], ["last"])["last"] for image, prompt in shown])
    ids = [f"i{place}" for place in range(len(shown))] + ["again"]
    with new_states(
        folder / "p.h5", positions=["last"], layers=layer_names(model.n_layers), rows=len(shown), width=model.width,
        dtype="float32", item_ids=ids, row_of_item=[*range(len(shown)), 3], cell={},
    ) as datasets:  # fmt: skip
        write_rows(datasets["last"], 0, states.numpy())
    return shown


@pytest.mark.parametrize("build", [llava, bounded_paligemma, on_cohere, families.qwen3_vl], ids=lambda b: b.__name__)
def test_the_top_says_what_the_model_says_and_the_layers_what_a_lens_with_hooks_does(build, tmp_path):
    model = families.frozen(build)
    # In two files or more.
    head = saved(model, tmp_path, max_shard_size="60KB" if build is llava else "1GB")
    assert (len(list(tmp_path.glob("*.safetensors"))) > 1) == (build is llava)
    shown = states_of(model, tmp_path)
    write_head(tmp_path / "head.safetensors", head)
    head = read_head(tmp_path / "head.safetensors")
    with open_states([tmp_path / "p.h5"]) as states:
        found = pd.concat(read_layers(states, head, TOKENS))
    scores = np.stack(found["scores"]).reshape(model.n_layers + 2, len(shown) + 1, 3)
    mass = found["mass"].to_numpy().reshape(scores.shape[:2])
    assert np.array_equal(scores[:, 3], scores[:, -1])
    factor = 0.0625 if build is on_cohere else 1
    ids = torch.tensor([token for ids in CLASSES.values() for token in ids])
    for place, (image, prompt) in enumerate(shown):
        inputs = model.prepare([image], [prompt])
        with torch.inference_mode():
            # Of Cohere's scale LLaVA's own class knows nothing.
            whole = factor * model.model(**inputs).logits[0, -1]
            p = whole.softmax(-1)
            own = torch.stack([p[torch.tensor(ids)].sum() for ids in CLASSES.values()])
            np.testing.assert_allclose(scores[-1, place], (own / own.sum()).log(), atol=1e-5)
            assert mass[-1, place] == pytest.approx(float(own.sum()), rel=1e-4, abs=1e-9)
            # Greedy writing, if only these words can be written.
            allowed = {"prefix_allowed_tokens_fn": lambda *_, these=ids: these.tolist()}
            written = model.model.generate(**inputs, max_new_tokens=1, do_sample=False, **allowed)
            best = int(written[0, -1])
            assert best == int(ids[p[ids].argmax()])
            # In every layer: the class's own modules on what hooks see.
            head_of = model.model.get_output_embeddings()
            seen = model.run(inputs, ["last"])["last"][0]
            bound = getattr(model.model.config.get_text_config(), "final_logit_softcapping", None)
            for layer, state in enumerate(seen):
                logits = factor * head_of(state if layer == model.n_layers + 1 else model.final_norm(state))
                p = (bound * torch.tanh(logits / bound) if bound else logits).softmax(-1)
                of = torch.stack([p[torch.tensor(ids)].sum() for ids in CLASSES.values()])
                np.testing.assert_allclose(scores[layer, place], (of / of.sum()).log(), atol=1e-5)
                assert mass[layer, place] == pytest.approx(float(of.sum()), rel=1e-4, abs=1e-9)


def test_below_the_top_the_same_few_items_have_a_mass(tmp_path):
    """Whether the states lie in one file or in shards."""
    model = families.frozen(llava)
    head = saved(model, tmp_path)
    states_of(model, tmp_path)
    with open_states([tmp_path / "p.h5"]) as states:
        whole = pd.concat(read_layers(states, head, TOKENS))
        some = pd.concat(read_layers(states, head, TOKENS, mass_items=2))
        values, cell = [states.layer("last", layer) for layer in range(model.n_layers + 2)], {"model_digest": "d"}
    known = some[some["mass"].notna()]
    assert known.groupby("layer").size().tolist() == [2] * (model.n_layers + 1) + [5]
    assert len(set(known[known["layer"] <= model.n_layers]["item_id"])) == 2
    both = known.merge(whole, on=["layer", "item_id"])
    np.testing.assert_allclose(both["mass_x"], both["mass_y"], rtol=1e-5)
    for number, rows in ((1, [0, 2]), (2, [1, 3])):
        with new_states(
            tmp_path / f"p.{number}-of-2.h5", positions=["last"], layers=layer_names(model.n_layers), rows=2,
            width=model.width, dtype="float32", item_ids=[f"i{row}" for row in rows], row_of_item=[0, 1],
            cell=cell | {"shard": [number, 2]}, places=rows,
        ) as datasets:  # fmt: skip
            write_rows(datasets["last"], 0, np.stack([layer[rows] for layer in values], axis=1))
    with open_states([tmp_path / f"p.{number}-of-2.h5" for number in (1, 2)]) as states:
        sharded = pd.concat(read_layers(states, head, TOKENS))
    expected = whole[whole["item_id"] != "again"]
    assert list(sharded["item_id"]) == list(expected["item_id"])
    np.testing.assert_allclose(np.stack(sharded["scores"]), np.stack(expected["scores"]), atol=1e-6)


def test_what_cannot_be_read_is_named(tmp_path):
    model = families.frozen(llava)
    head = saved(model, tmp_path)
    write_head(tmp_path / "head.safetensors", head)
    with pytest.raises(InputError, match=r"head\.safetensors: is of another model than model\.json"):
        read_head(tmp_path / "head.safetensors", "another")
    (tmp_path / "model.safetensors").rename(tmp_path / "gone.safetensors")
    with pytest.raises(InputError, match=r"model\.safetensors: its weights cannot be read .*; run `snakemake models`"):
        Answering(head, TOKENS)
    with pytest.raises(InputError, match=r"has neither model\.safetensors nor a whole"):
        stored_weights(tmp_path)
    with pytest.raises(InputError, match="is stored as U8, as quantized weights are"):
        replace(head.stored, dtype="U8").rows()
    with pytest.raises(InputError, match=r"models\.m: its final norm, a Tanh, is neither a LayerNorm nor an RMSNorm"):
        as_numbers(torch.nn.Tanh(), 64, "models.m")


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_weights_are_rounded_to_the_precision_in_which_the_model_runs(precision, tmp_path):
    kept = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    rounded = kept.to(getattr(torch, precision))
    save_file({"a": torch.zeros(3), "kept": kept, "rounded": rounded}, tmp_path / "model.safetensors")
    weights = stored_weights(tmp_path)
    for name in ("kept", "rounded"):
        assert np.array_equal(weights[name].rows([4, 1], precision), rounded[[4, 1]].float().numpy())
    assert np.array_equal(weights["kept"].rows(slice(1, 3)), kept[1:3].numpy())


def test_a_head_of_two_matrices_is_told(tmp_path):
    model = families.frozen(idefics)
    with pytest.raises(InputError, match=r"models\.m: its output head is a IdeficsDecoupledLinear, not one matrix"):
        saved(model, tmp_path)


def test_a_norm_that_joins_blocks_is_told(tmp_path):
    model = families.frozen(inkling2)
    with pytest.raises(InputError, match=r"models\.m: its final norm reads a mixture of several blocks"):
        saved(model, tmp_path)


UNREADABLE = (idefics, inkling2)
READABLE = [one for one in FAMILIES if not one.changed_processor and one.build not in UNREADABLE]


@pytest.mark.whole
@pytest.mark.parametrize("family", families.of_each_way(READABLE))
def test_every_family_says_what_it_is_read_to_say(family, tmp_path):
    """Norms and heads as families write them: what a model's own logits are made of is found among its files."""
    model = family.frozen()
    head = saved(model, tmp_path)
    inputs = model.prepare(pictures()[:1], PROMPTS[:1])
    with torch.inference_mode():
        whole = model.model(**inputs).logits[0, -1].clone()
        # Inkling cuts off rows of its head that only fill it up.
        whole[[token for token in head.bending.never if token < len(whole)]] = -torch.inf
    states = model.run(inputs, ["last"])["last"][0].numpy()
    of_classes = Answering(head, TOKENS).logits(states[-1:], normed=True)
    expected = [whole[torch.tensor(ids)].logsumexp(0) for ids in CLASSES.values()]
    np.testing.assert_allclose(of_classes[0], expected, atol=1e-4)
    assert log_partition(states[-1:], [0], head, normed=True) == pytest.approx(float(whole.logsumexp(0)), abs=1e-4)
    # Of the last block, the final norm makes the same.
    np.testing.assert_allclose(head.norm(states[-2]), states[-1], atol=1e-4)
    # Prompts and their answers have the tokens that the model's own tokenizer gives them.
    for prompt in PROMPTS:
        text = head.conversation.render(prompt, with_image=True)
        assert text == model.render(prompt)
        own = model.processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert Tokenizer.from_str(head.conversation.tokenizer).encode(text, add_special_tokens=False).ids == own
