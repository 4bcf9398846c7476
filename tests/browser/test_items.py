"""Test items of the chosen layer: their margins are those of the predictions, and filters keep what they say."""

import re

import numpy as np
import pandas as pd
import pytest

from layerwise.answers.table import read_answers
from tests.browser.reading import choose, controls, eventually, slide

MODEL, TASK, STIMULI, PROMPT = "model-a", "entailment", "captions", "agree"


@pytest.fixture(scope="module")
def results(made):
    return made.given.path("sampled-items").parents[1]


@pytest.fixture(scope="module")
def margins(made, results):
    """What the probe reads of each sampled item in each layer, towards its own class; from the predictions."""
    file = results / f"probes/{MODEL}/{TASK}/{PROMPT}.predictions.parquet"
    table = pd.read_parquet(file)
    table["margin"] = table["scores"].map(lambda scores: scores[0]) * np.where(table["y"] == 1, 1, -1)
    sampled = pd.read_parquet(results / "explore/items.parquet")
    sampled = sampled.loc[sampled["task"] == TASK, "item_id"]
    return table.pivot(index="item_id", columns="layer", values="margin").loc[sampled]


@pytest.fixture(scope="module")
def says_right(results, margins):
    """Whether the model says each item's class."""
    answers = read_answers(results / f"answers/{MODEL}/{STIMULI}/{PROMPT}.parquet").table
    top = answers[answers["layer"] == answers["layer"].max()].set_index("item_id")
    truth = pd.read_parquet(results / f"probes/{MODEL}/{TASK}/{PROMPT}.predictions.parquet")
    truth = truth.drop_duplicates("item_id").set_index("item_id")["y"]
    return top["scores"].map(np.argmax).loc[margins.index] == truth.loc[margins.index]


def cards(page):
    """The items that are shown: ids and texts, in order."""
    return page.locator("#items-cards > li").evaluate_all(
        "(all) => all.map((one) => [one.dataset.item, one.innerText])"
    )


def shown_margins(page):
    """By item the margin that its card tells."""
    return {item: float(re.search(r"margin ([−\d.]+)", text)[1].replace("−", "-")) for item, text in cards(page)}


def all_cards(page):
    more = page.locator("#items-more")
    while more.is_visible():
        more.click()


def filter_by(page, name, value):
    page.locator(f'[data-filter="{name}"]').select_option(value)


@pytest.mark.parametrize("layer", [1, 4])
def test_cards_tell_the_margins_of_the_chosen_layer(page, margins, layer):
    slide(page, layer)
    all_cards(page)
    found = shown_margins(page)
    assert set(found) == set(margins.index)
    for item, margin in found.items():
        assert margin == pytest.approx(margins.loc[item, layer], abs=0.00501)
    # The worst first.
    assert list(found.values()) == sorted(found.values())
    filter_by(page, "order", "right")
    eventually(lambda: _sorted(page))


def _sorted(page):
    values = list(shown_margins(page).values())
    assert values == sorted(values, reverse=True)


def test_misread_items(page, margins):
    slide(page, 1)
    filter_by(page, "items", "misread")
    all_cards(page)
    assert {item for item, _ in cards(page)} == set(margins.index[margins[1] < 0]) != set()
    assert all("wrong" in text for _, text in cards(page))


def test_known_but_not_said(page, margins, says_right):
    slide(page, 5)
    filter_by(page, "items", "known")
    all_cards(page)
    expected = set(margins.index[(margins[5] > 0) & ~says_right])
    assert {item for item, _ in cards(page)} == expected != set()
    filter_by(page, "items", "said")
    expected = set(margins.index[(margins[5] < 0) & says_right])
    eventually(lambda: _items(page, expected))


def _items(page, expected):
    assert {item for item, _ in cards(page)} == expected


def test_most_changed_between_two_layers(page, margins):
    filter_by(page, "items", "changed")
    filter_by(page, "from", "0")
    filter_by(page, "to", "3")
    all_cards(page)
    change = (margins[3] - margins[0]).abs()
    assert [item for item, _ in cards(page)] == list(change.sort_values(ascending=False).index)


def test_a_card_shows_picture_prompt_and_label(page, results):
    card = page.locator("#items-cards > li").first
    item = card.get_attribute("data-item")
    sampled = pd.read_parquet(results / "explore/items.parquet").set_index(["task", "item_id"])
    texts = pd.read_parquet(results / "explore/texts.parquet").set_index(["task", "prompt", "item_id"])
    said = card.inner_text()
    assert sampled.loc[(TASK, item), "truth"] in said
    assert texts.loc[(TASK, PROMPT, item), "text"] in said
    assert "Model says" in said
    picture = card.locator("img")
    picture.scroll_into_view_if_needed()
    eventually(lambda: _loaded(picture))
    assert item in picture.get_attribute("alt")


def _loaded(picture):
    assert picture.evaluate("(image) => image.naturalWidth") > 0


def test_a_choice_made_above_shows_its_items(page, results):
    choose(page, "task", "objects")
    choose(page, "label", "star")
    choose(page, "model", "model-b")
    slide(page, 2)
    file = results / "probes/model-b/objects/agree.predictions.parquet"
    table = pd.read_parquet(file).query("layer == 2 and label == 'star'")
    margin = table["scores"].map(lambda scores: scores[0]) * np.where(table["y"] == 1, 1, -1)
    expected = dict(zip(table["item_id"], margin, strict=True))

    def check():
        found = shown_margins(page)
        assert found
        assert all(value == pytest.approx(expected[item], abs=0.00501) for item, value in found.items())

    eventually(check)


def test_the_layer_is_the_same_above_and_here(page):
    slide(page, 2)
    eventually(lambda: _same(page))


def _same(page):
    assert {one.input_value() for one in controls(page, "layer").all()} == {"2"}
    assert "block 2" in page.locator("#items-cards").inner_text()
