"""Every family of tests/families: all that it is said to do, against one input at a time."""

from functools import partial

import pytest
import torch
from transformers import CONFIG_MAPPING

from layerwise.errors import InputError
from layerwise.flow.free import check_served
from layerwise.models.adapters.generic import GenericModel
from layerwise.models.families import FAMILIES as ROWS
from layerwise.models.families import family_of
from layerwise.models.image_embeddings import image_embeddings
from layerwise.models.interventions.catalogue import INTERVENTIONS
from layerwise.models.opening import open_model
from layerwise.models.padding import settle_padding
from layerwise.models.registration import describe_model
from layerwise.models.site_names import SITES
from tests import families
from tests.families import FAMILIES, NOT_SERVED, Family, of_each_way
from tests.families.comparing import Refusal, or_refusal, unlike
from tests.families.family import NO_BATCH, WINDOWS
from tests.families.intervened import ENTRIES
from tests.families.measure import POSITIONS, PROMPTS, measure, one_at_a_time, pictures, relative
from tests.families.registered import registered
from tests.families.table import REPOSITORY, SUM, TABLE, listed, table, without_numbers

# Float32, norm of the difference over norm of the vector, at every layer.
EXACT = 2e-6

# Knockout is refused only for tokens right behind the image, when it is measured. In Ovis2 the whole model gives such a
# token another embedding than its table of words does; in ERNIE 4.5 VL the experts of images read it.
GO_ON_OTHERWISE = ("Ovis2", "ERNIE 4.5 VL")

# Several pictures are tried each time in these: one run each, rows and columns, runs with text between, no runs at all.
QUICK = (families.llava, families.qwen2_vl, families.idefics3, families.mllama)
# All tests of one family in a row, so that its model is built once.
each_family = pytest.mark.parametrize("family", of_each_way(FAMILIES), scope="module")


@each_family
def test_hooks_read_what_the_model_reports(family):
    assert measure(family).hooks <= EXACT


@each_family
def test_a_padded_batch_is_as_its_inputs_alone(family):
    measured = measure(family)
    assert measured.model.runs_alone is bool(family.alone)
    assert measured.batch <= EXACT


@each_family
def test_sharing_is_exact_or_not_used(family):
    measured = measure(family)
    assert measured.declared is not bool(family.not_shared)
    if measured.declared:
        assert measured.shared <= EXACT
    else:
        # Rightly so: forced to share, they are far off.
        assert measured.shared > 1e-2


@each_family
def test_several_images_at_once_are_exact_or_not_used(family):
    measured = measure(family)
    if measured.model.joins_images and measured.declared:
        assert measured.several <= EXACT
    elif measured.declared and not family_of(measured.model_type).joins_images:
        # Rightly so: forced to run together, they are far off.
        assert measured.several > 1e-4


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(one, id=one.build.__name__, marks=[] if one.build in QUICK else pytest.mark.whole)
        for one in FAMILIES
    ],
    scope="module",
)
def test_several_pictures_in_a_text_are_exact_or_refused(family):
    measured = measure(family)
    found, row = measured.pictures, family_of(measured.model_type)
    assert bool(row.one_picture) is family.one_picture is isinstance(found, Refusal)
    if isinstance(found, Refusal):
        assert row.one_picture in found
        return
    assert found.exact <= EXACT
    # Or equality would say nothing.
    assert found.seen > 1e-4
    for one in (found.cut, found.emptied):
        if isinstance(one, Refusal):
            assert row.cut_leaks or row.image_out_of_reach or "blocks: attention between" in one
        else:
            assert one.leak <= EXACT
            # Within a window, what is known of the first picture reaches the last token through the second's tokens.
            assert one.left > 1e-4 or family.enters == WINDOWS


@each_family
def test_the_image_matters(family):
    """Or equality would say nothing."""
    assert measure(family).image > 1e-3


@each_family
def test_embeddings_of_a_picture_are_those_of_layer_0_and_run_no_block(family):
    model = measure(family).model
    prepared = model.prepare(pictures(), [PROMPTS[0]] * 2)
    whole = model.run(prepared, ["image-mean"])["image-mean"][:, 0]
    ran = []
    hook = model.blocks[0].register_forward_hook(lambda *_: ran.append("block 1"))
    read = image_embeddings(model, prepared)
    hook.remove()
    torch.testing.assert_close(read, whole.float(), rtol=EXACT, atol=EXACT)
    assert not ran
    # Where a block reads the picture by cross-attention, the token that stands for it is the same for all pictures. (In
    # the first Idefics it has read the picture once before the first block.)
    assert torch.equal(*read) is (family.build.__name__ == "mllama")
    # The model is as it was.
    torch.testing.assert_close(model.run(prepared, ["image-mean"])["image-mean"][:, 0], whole, rtol=0, atol=0)


@each_family
def test_texts_without_an_image_are_as_each_alone_or_refused(family):
    text = measure(family).text
    assert isinstance(text, Refusal) is family.needs_image
    assert family.needs_image or text <= EXACT


@each_family
@pytest.mark.parametrize("kind", INTERVENTIONS)
def test_interventions_are_exact_and_keep_the_image_out_or_are_refused(family, kind):
    found = measure(family).interventions[kind]
    if isinstance(found, Refusal):
        assert INTERVENTIONS[kind].touches_image, found
        return
    assert found.exact <= EXACT
    # Or equality would say nothing.
    assert found.change > 1e-4
    if INTERVENTIONS[kind].touches_image:
        assert found.not_everywhere or found.leak <= EXACT


def test_there_is_an_entry_of_each_kind_to_try():
    """A new kind needs one in tests/families/intervened.py, unless it is tried block by block."""
    assert set(ENTRIES) == {name for name, kind in INTERVENTIONS.items() if not kind.cuts_attention}


@each_family
def test_attention_knockout_is_as_whole_forward_passes_or_refused(family):
    found = measure(family).knockout
    if isinstance(found, Refusal):
        # Not because the two differ, which a mistake could bring about.
        assert family.name in GO_ON_OTHERWISE or found == or_refusal(partial(check_served, measure(family).model))
    else:
        # Of probabilities, which a logit's rounding moves by as much times its size.
        assert found.exact <= 1e-5
        assert found.change > 1e-3
        assert found.leak <= 1e-5


@each_family
@pytest.mark.parametrize("site", SITES)
def test_states_within_blocks_are_what_a_plain_hook_reads_or_refused(family, site):
    found = measure(family).sites[site]
    assert isinstance(found, Refusal) or found <= EXACT


@each_family
def test_a_block_is_the_sum_of_its_parts_or_clearly_not(family):
    found = measure(family).adds_up
    assert isinstance(found, Refusal) or found <= EXACT or found > SUM


@pytest.mark.parametrize("family", of_each_way([family for family in FAMILIES if not family.changed_processor]))
def test_a_family_is_the_same_from_a_folder(family, tmp_path):
    """As a study meets it: its files are found, described, and loaded by its adapter."""
    made = family.frozen()
    for part in (made.model, made.processor):
        part.save_pretrained(tmp_path)
    adapter = family_of(made.model_type).adapter
    entry = {"source": str(tmp_path), "weights": "pretrained", "dtype": "float32", "conversation": "auto"}
    description = describe_model("tiny", entry | {"adapter": adapter}, None, seed=0)
    loaded = open_model(description, "cpu")
    assert (description["n_layers"], description["width"]) == (made.n_layers, made.width)
    assert loaded.shares_prefix is made.shares_prefix
    states, again = (model.states(pictures(), PROMPTS[:2], POSITIONS) for model in (made, loaded))
    # Its weights lie elsewhere in memory, which may change rounding.
    assert all(relative(states[position], again[position]) <= EXACT for position in POSITIONS)


@pytest.mark.whole
def test_at_least_75_types_are_served():
    """And the rows of the library say of each what is shown of it here."""
    type_of = {family: family.build()[0].config.model_type for family in FAMILIES}
    shared = {type_of[family] for family in FAMILIES if not family.not_shared}
    assert shared == {model_type for model_type, row in ROWS.items() if row.shares_prefix}
    one_picture = {type_of[family] for family in FAMILIES if family.one_picture}
    assert one_picture == {model_type for model_type, row in ROWS.items() if row.one_picture and row.measured}
    assert len(set(type_of.values()) - one_picture) >= 70
    alone = {type_of[family] for family in FAMILIES if family.alone}
    assert alone >= {model_type for model_type, row in ROWS.items() if row.runs_alone}
    assert not any(family_of(model_type).refused for model_type in type_of.values())
    assert len(set(type_of.values())) >= 75


@pytest.mark.whole
def test_every_type_that_transformers_registers_is_tested_or_refused():
    tested = {family.build()[0].config.model_type for family in FAMILIES}
    refused = {model_type for model_type, row in ROWS.items() if row.refused}
    assert not tested & refused
    assert set(registered()) - tested - refused == set(), "add these to tests/families, or refuse them in their row"


def test_rows_and_page_agree_with_what_transformers_registers():
    """Without building a model: the page is written from the tests' list, and `make test-all` compares the two."""
    types, (served, refused) = set(registered()), listed(TABLE.read_text())
    by_authors = {name for name, row in ROWS.items() if not row.measured or name not in CONFIG_MAPPING}
    assert set(ROWS) - by_authors == types
    assert set(refused) == {model_type for model_type in types if ROWS[model_type].refused}
    assert set(served) | set(refused) == types
    assert not set(served) & set(refused)
    readme = " ".join((REPOSITORY / "README.md").read_text().split())
    assert f"Of the {len(types)} model types" in readme
    assert (
        f"[{len(set(served))} are served and tested](docs/families.md), and {len(set(refused))} are refused" in readme
    )


def test_every_way_of_an_image_is_run_each_time():
    """One family of each, and a new way with its first family."""
    some = [*FAMILIES, Family("New", families.llava, "a way of its own")]
    each_time = [param.values[0] for param in of_each_way(some) if not param.marks]
    assert [family.enters for family in each_time] == list(dict.fromkeys(family.enters for family in some))


@pytest.mark.whole
def test_the_table_in_the_docs_is_that_of_these_families():
    assert without_numbers(TABLE.read_text()) == without_numbers(table()), "run: make families"


@pytest.mark.parametrize(("name", "build", "why"), NOT_SERVED)
def test_families_that_are_refused(name, build, why):
    model, processor = build()
    with pytest.raises(InputError, match="an encoder and a decoder"):
        GenericModel(model, processor, "auto")


ALONE = [family for family in FAMILIES if family.alone]


@pytest.mark.parametrize("family", ALONE, ids=lambda family: family.build.__name__)
def test_inputs_that_depend_on_their_batch_run_one_by_one(family):
    model, inputs = family.frozen(), unlike()
    assert isinstance(model.prepare(*inputs), list)
    # Texts without an image, too: padding reaches them as well.
    assert family.needs_image or isinstance(model.prepare([None, None], PROMPTS[:2]), list)
    alone = model.states(*inputs, ["last"])["last"]
    # Rightly so.
    model.runs_alone = False
    model.processor.tokenizer.padding_side = "left"
    if family.alone == NO_BATCH:
        with pytest.raises((InputError, ValueError)):
            model.prepare(*inputs)
    else:
        assert relative(model.states(*inputs, ["last"])["last"], alone) > 1e-3


def test_padding_never_moves_a_token_to_where_its_query_is_scaled():
    """Mistral Small 4 scales queries by their place in the row, from the sixteenth on in the tiny model."""
    model = families.frozen(families.mistral.mistral_small4)
    for images in (pictures(), [None, None]):
        alone = one_at_a_time(model, images, PROMPTS[:2], ["last"])["last"]
        for side, in_a_batch in (("right", True), ("left", False)):
            model.processor.tokenizer.padding_side = side
            prepared = model.prepare(images, PROMPTS[:2])
            assert isinstance(prepared, list) is not in_a_batch
            assert relative(model.run(prepared, ["last"])["last"], alone) <= EXACT
        # Short texts stay together.
        short = model.prepare([None, None], ["Is", "Hm."])
        assert not isinstance(short, list)
        assert not short["attention_mask"].all()


def test_padding_between_image_and_text_moves_to_the_left():
    inputs = {
        "input_ids": torch.tensor([[9, 9, 0, 0, 5], [9, 9, 6, 7, 8]]),
        "attention_mask": torch.tensor([[1, 1, 0, 0, 1], [1, 1, 1, 1, 1]]),
        "pixel_values": torch.zeros(2, 3),
        "qformer_input_ids": torch.tensor([[0, 5], [6, 7]]),
        "qformer_attention_mask": torch.tensor([[0, 1], [1, 1]]),
    }
    settle_padding(inputs)
    assert inputs["input_ids"].tolist() == [[0, 0, 9, 9, 5], [9, 9, 6, 7, 8]]
    assert inputs["attention_mask"].tolist() == [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]]
    assert inputs["qformer_input_ids"].tolist() == [[5, 0], [6, 7]]
    assert inputs["qformer_attention_mask"].tolist() == [[1, 0], [1, 1]]
    # Padding at one end stays where it is.
    inputs = {"input_ids": torch.tensor([[5, 0], [6, 7]]), "attention_mask": torch.tensor([[1, 0], [1, 1]])}
    settle_padding(inputs)
    assert inputs["input_ids"].tolist() == [[5, 0], [6, 7]]
