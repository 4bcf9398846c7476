"""Several pictures in one text: how texts are written, whose tokens they are, and what is refused.

test_families.py shows for each family that states of several pictures are exact.
"""

import pandas as pd
import pytest
import torch

from layerwise.errors import InputError
from layerwise.models.families import DEFAULT, FAMILIES
from layerwise.models.frozen import picture_of, picture_position
from layerwise.models.intervening import Intervention
from layerwise.models.interventions.kind import Tokens
from layerwise.models.opening import wrap_model
from layerwise.models.picture_checks import check_pictures, one_picture_by_adapter
from layerwise.models.pictures import counted_between, numbered, one_run_each, run_lengths, touching
from layerwise.several_pictures import before_last, check_places, joined, place
from layerwise.states.image_checks import check_intervention, check_sight, replaced
from tests import families
from tests.families.comparing import PROMPTS, pictures, relative
from tests.families.several import pair

FIRST, SECOND = place(1), place(2)
# A conversation in one line: of the content's parts, in order; and one that writes all images first, as LLaVA's does.
IN_ORDER = (
    "{% for part in messages[0]['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
)
IMAGES_FIRST = (
    "{% for part in messages[0]['content'] if part['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for part in messages[0]['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
)


@pytest.fixture(scope="module")
def llava():
    return families.frozen(families.llava)


def mask(*values):
    return torch.tensor(values, dtype=torch.bool)


def test_names_of_positions():
    assert [picture_position(k) for k in (1, 12)] == ["image-1-mean", "image-12-mean"]
    names = ["last", "image-mean", "image-1-mean", "image-12-mean", "image-0-mean", "image-01-mean", "last-mlp"]
    assert [picture_of(name) for name in names] == [None, None, 1, 12, None, None, None]


def test_texts_share_what_stands_before_their_last_picture():
    assert before_last("no place") == ""
    assert before_last(f"a {FIRST} b {SECOND} c") == f"a {FIRST} b {SECOND}"
    check_places(f"{SECOND} and {FIRST}", 2)
    check_places("no place", 2)
    for prompt, shown in ((FIRST, 2), (f"{FIRST}{FIRST}", 1), (f"{FIRST}{SECOND}", 1), (FIRST, 0)):
        with pytest.raises(InputError, match=r"has the places \{image 1\}.*shown with it; place each picture once"):
            check_places(prompt, shown)


def test_whose_tokens():
    image = mask(0, 1, 1, 0, 1, 1, 1, 0)
    assert run_lengths(image) == [2, 3]
    assert numbered(image, [2, 3], [2, 1]).tolist() == [0, 2, 2, 0, 1, 1, 1, 0]
    assert one_run_each(image, "<i> and <i> ", "<i>", 2) == [2, 3]
    # Two runs may be one picture's and part of another's where nothing keeps the two apart.
    assert one_run_each(image, "<i><i>", "<i>", 2) is None
    assert one_run_each(image, "<i> and <i>, <i>", "<i>", 3) is None
    assert touching(numbered(image, [2, 3], [2, 1])) is None
    assert touching(numbered(image, [4, 1], [2, 1])) == (2, 1)


def test_tokens_are_counted_between_words():
    first, second = torch.tensor([5, 9, 7, 9, 6, 9, 9, 8]), torch.tensor([5, 9, 7, 9, 4, 9, 9, 8])
    assert counted_between(first, second, first == 9, 2) == [2, 2]
    # A word too many, or one that is an image's token, or texts of unlike length: it is not certain.
    assert counted_between(first, second, first == 9, 3) is None
    assert counted_between(first, second, first == 6, 2) is None
    assert counted_between(first, second[:-1], first == 9, 2) is None


@pytest.mark.parametrize(
    ("conversation", "prompt", "written"),
    [
        ("USER: <image>\n{prompt} A:", "Hm?", "USER: <image>\n<image>\nHm? A:"),
        ("{prompt} <image>", "Hm?", "Hm? <image><image>"),
        ("USER: <image>\n{prompt} A:", f"Is {SECOND} as {FIRST}?", "USER: Is <image> as <image>? A:"),
    ],
)
def test_conversations_that_are_texts(llava, conversation, prompt, written):
    model = wrap_model("generic", llava.model, llava.processor, conversation)
    assert model.render(prompt, 2) == written


def test_chat_templates_put_pictures_where_they_stand(llava, monkeypatch):
    placed = f"Is {SECOND} as {FIRST}?"
    for template, plain in ((IN_ORDER, "<image><image>Hm?"), (IMAGES_FIRST, "<image>\n<image>\nHm?")):
        monkeypatch.setattr(llava.processor, "chat_template", template)
        model = wrap_model("generic", llava.model, llava.processor, "chat")
        assert model.interleaves is (template == IN_ORDER)
        assert model.render("Hm?", 2) == plain
        # A template that would write both before the text gets them within it.
        assert model.render(placed, 2) == "Is <image> as <image>?"
        assert model.render(f"Is this: {FIRST}?") == "Is this: <image>?"


def test_one_picture_is_the_same_as_a_single_one(llava):
    """Also by itself in a tuple, and in a place where it stands anyway."""
    image, prompt = pictures()[0], PROMPTS[0]
    alone = llava.prepare([image], [prompt])
    for same in (llava.prepare([(image,)], [prompt]), llava.prepare([image], [f"{FIRST}\n{prompt}"])):
        assert same.keys() == alone.keys()
        assert all(torch.equal(same[key], alone[key]) for key in alone)
    assert torch.equal(llava.picture_tokens(alone), llava.image_tokens(alone).long())
    states = llava.states([image], [prompt], ["image-mean", "image-1-mean"])
    assert torch.equal(states["image-mean"], states["image-1-mean"])
    with pytest.raises(InputError, match="the position image-2-mean is the mean over picture 2"):
        llava.states([image], [prompt], ["image-2-mean"])


def test_the_numbers_are_the_items_own(llava):
    """The second picture is number 2 wherever it stands, and its states there are its own."""
    first, second = pair()
    swapped, crossed = f"{SECOND} or {FIRST}?", f"{FIRST} or {SECOND}?"
    one, other = (
        llava.states([shown], [prompt], ["last", "image-1-mean", "image-2-mean"])
        for shown, prompt in (((first, second), swapped), ((second, first), crossed))
    )
    assert torch.equal(one["last"], other["last"])
    assert torch.equal(one["image-2-mean"], other["image-1-mean"])
    assert not torch.equal(one["image-1-mean"], one["image-2-mean"])


def test_the_model_itself_is_not_given_what_it_does_not_take(llava):
    prepared = llava.prepare([pair()], [PROMPTS[0]])
    assert "picture_tokens" in prepared
    with torch.inference_mode():
        assert llava.model(**prepared).logits.shape[1] == prepared["input_ids"].shape[1]
    assert "picture_tokens" in prepared


def test_pictures_with_nothing_between_are_counted_once_for_their_sizes(llava, monkeypatch):
    asked = []
    count = llava._count
    monkeypatch.setattr(llava, "_counted", {})
    monkeypatch.setattr(llava, "_count", lambda shown: asked.append(shown) or count(shown))
    for seed in (0, 1):
        llava.prepare([pair(seed)] * 2, [f"{SECOND}{FIRST}Hm", f"{FIRST}{SECOND}Hm"])
    assert len(asked) == 2
    llava.prepare([pair()], ["Hm"])
    assert len(asked) == 2
    llava._counted = {tuple(picture.size for picture in pair()): [16, 15]}
    with pytest.raises(InputError, match=r"the 32 image tokens of .* cannot be told apart: .* have 16, 15 when words"):
        llava.prepare([pair()], [f"{FIRST}{SECOND}Hm"])


def test_rows_and_columns_need_something_between_pictures():
    model = families.frozen(families.qwen2_vl)
    with pytest.raises(InputError, match=r"nothing stands between the pictures 2 and 1 of .* type qwen2_vl takes them"):
        model.prepare([pair()], [f"{SECOND}{FIRST} Hm"])


def test_an_intervention_is_about_each_picture_or_one():
    picture = torch.tensor([[0, 1, 2, 2, 0]])
    tokens = Tokens(picture > 0, None, picture == 9, picture == 0, picture=picture)
    assert [own.tolist() for own, _ in tokens.of_pictures()] == [(picture == k).tolist() for k in (1, 2)]
    assert [own.tolist() for own, _ in tokens.of_pictures(2)] == [(picture == 2).tolist()]
    # Behind a prefix, which has the pictures.
    rest = torch.zeros(1, 3, dtype=torch.bool)
    behind = Tokens(rest, picture > 0, rest, ~rest, picture=rest.long(), picture_before=picture)
    assert [(own.any().item(), before.tolist()) for own, before in behind.of_pictures(1)] == [
        (False, (picture == 1).tolist())
    ]
    # One picture, as ever.
    single = Tokens(picture > 0, None, picture == 9, picture == 0)
    assert [own is single.image for own, _ in single.of_pictures()] == [True]
    assert not list(single.of_pictures(2))
    with pytest.raises(ValueError, match="needs to know where its tokens are"):
        next(Tokens(None, None, picture == 9, picture == 0).of_pictures())


def test_later_pictures_do_not_see_one_that_is_cut_off(llava):
    """The first picture's tokens are cut off from the second's, not only from the text."""
    others = (pair(1)[0], pair()[1])
    states = {}
    for cut in (None, 1, 2):
        llava.intervention = cut and Intervention({"cut-image": {"blocks": [1, 3], "image": cut}}, llava.blocks)
        plain, changed = (llava.states([shown], [PROMPTS[0]], ["image-2-mean"]) for shown in (pair(), others))
        states[cut] = relative(plain["image-2-mean"], changed["image-2-mean"])
    llava.intervention = None
    assert states[None] > 1e-3
    assert states[1] == 0
    assert states[2] > 1e-3


def test_each_picture_is_replaced_by_its_own_mean(llava):
    llava.intervention = Intervention({"ablate-image": {"from": 1, "with": "mean"}}, llava.blocks)
    whose = llava.picture_tokens(llava.prepare([pair()], [PROMPTS[0]]))[0]
    entered = []
    # The intervention's hooks come first.
    hook = llava.blocks[0].register_forward_hook(lambda _, args, __: entered.append(args[0][0]))
    llava.states([pair()], [PROMPTS[0]], ["last"])
    hook.remove()
    llava.intervention = None
    for k in (1, 2):
        of_picture = entered[0][whose == k]
        assert torch.equal(of_picture, of_picture[:1].expand_as(of_picture))
    assert not torch.equal(entered[0][whose == 1][0], entered[0][whose == 2][0])


@pytest.fixture
def inputs(tmp_path):
    for i, picture in enumerate(pair()):
        picture.save(tmp_path / f"{i}.png")
    both = joined([str(tmp_path / "0.png"), str(tmp_path / "1.png")])
    return pd.DataFrame({"image": [both], "prompt": [PROMPTS[0]], "item_id": ["a"]})


def test_each_picture_must_be_seen(inputs, llava, monkeypatch):
    check_sight(llava, "tiny", inputs, untrained=False)
    assert replaced(pair(), [2])[0] is pair()[0] or replaced(pair(), [2])[0].tobytes() == pair()[0].tobytes()
    prepare = llava.prepare
    monkeypatch.setattr(llava, "prepare", lambda shown, prompts: prepare([(s[0], s[0]) for s in shown], prompts))
    with pytest.raises(InputError, match=r"models\.tiny: this model does not see picture 2 of 2: .* item a, because"):
        check_sight(llava, "tiny", inputs, untrained=False)


def test_an_intervention_on_one_picture_must_leave_the_other(inputs, llava):
    for kind in ({"cut-image": {"blocks": [1, 2]}}, {"ablate-image": {"from": 2, "with": "mean"}}):
        ((name, how),) = kind.items()
        for image in ({}, {"image": 1}, {"image": 2}):
            llava.intervention = Intervention({name: how | image}, llava.blocks)
            check_intervention(llava, inputs)
    # There is no third picture.
    llava.intervention = Intervention({"cut-image": {"blocks": [1, 2], "image": 3}}, llava.blocks)
    with pytest.raises(InputError, match="all states are the same with and without the intervention cut-image"):
        check_intervention(llava, inputs)
    llava.intervention = None
    # Where a window reaches no further, the first picture is known only through the second's tokens.
    windowed = families.frozen(families.projectors.llava_sliding)
    windowed.intervention = Intervention({"cut-image": {"blocks": [1, 3], "image": 2}}, windowed.blocks)
    with pytest.raises(InputError, match=r"cut-image keeps picture 1 out of .* too, and is about picture 2 alone"):
        check_intervention(windowed, inputs)


def test_families_that_take_one_picture_say_so(llava):
    for model_type in ("blip-2", "emu", "kosmos-2", "lavit", "molmo", "qwen-vl"):
        assert FAMILIES[model_type].one_picture
        with pytest.raises(
            InputError, match=r"models\.m is to be shown 2 pictures in a text, and takes one: its .* one"
        ):
            check_pictures("models.m", model_type, 2)
        check_pictures("models.m", model_type, 1)
    check_pictures("models.m", "llava", 2)
    assert not DEFAULT.one_picture
    known = {
        adapter: bool(one_picture_by_adapter(adapter)) for adapter in ("generic", "idefics", "text", "molmo", "emu")
    }
    assert known == {"generic": False, "idefics": False, "text": False, "molmo": True, "emu": True}


def test_a_place_where_the_processor_puts_the_picture_first():
    """It may stand at the start, where the picture is put anyway."""
    model = families.frozen(families.blip2)
    assert model.render(f"{FIRST}Hm?") == model.render("Hm?")
    with pytest.raises(
        InputError, match=r"the prompt 'Is \{image 1\} red\?' places its picture, and .* leave the place"
    ):
        model.render(f"Is {FIRST} red?")
