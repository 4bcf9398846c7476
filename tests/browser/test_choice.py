"""Every control of the curves: what they show is what the study's files say of the choice."""

import pytest

from tests.browser.expected import assert_drawn, curve
from tests.browser.reading import choose, control, dots, drawn, eventually, show_lines, slide, tooltip


def shows(page, given, **choice):
    found = curve(given, **choice)
    eventually(lambda: assert_drawn(drawn(page, "curves"), found))


@pytest.mark.parametrize(
    ("choice", "value"),
    [
        ("task", "objects"),
        ("prompt", "caption"),
        ("metric", "roc_auc"),
        ("split", "val"),
        ("position", "image-1-mean"),
        ("kind", "mlp"),
    ],
)
def test_a_choice_shows_its_rows(page, made, choice, value):
    show_lines(page, "probe")
    shows(page, made.given)
    choose(page, choice, value)
    shows(page, made.given, **{choice: value})


def test_single_labels_have_curves_of_their_own(page, made):
    show_lines(page, "probe")
    choose(page, "task", "objects")
    choose(page, "label", "star")
    shows(page, made.given, task="objects", metric="balanced_accuracy", label="star")


@pytest.mark.parametrize("what", ["said", "threshold", "twin", "difference", "text", "control", "selectivity"])
def test_each_line_can_be_shown_alone(page, made, what):
    show_lines(page, what)
    shows(page, made.given, what=what)


def test_the_majority_is_a_level(page, made):
    show_lines(page, "probe", "majority")
    found = set(curve(made.given, what="majority"))

    def check():
        levels = [row for row in drawn(page, "curves", ".mark-rule.role-mark line") if row.get("what") == "majority"]
        assert {(row["model"], row["layer"]) for row in levels} == found
        assert {row["value"] for row in levels} == {0.5}

    eventually(check)


def test_the_chosen_model_stands_out(page):
    choose(page, "model", "model-b")

    def widths():
        lines = page.locator('[data-view="curves"] .mark-line.role-mark path').evaluate_all(
            "(lines) => lines.map((line) => [line.__data__.datum.model, Number(line.getAttribute('stroke-width'))])"
        )
        width = dict(lines)
        assert width["model-b"] > width["model-a"]

    eventually(widths)


def test_relative_depth_ends_at_1(page):
    show_lines(page, "probe")
    choose(page, "axis", "depth")

    def check():
        rows = drawn(page, "curves")
        assert {row["x"] for row in rows if row["layer"] == row["n_layers"]} == {1}
        assert "number of blocks" in page.locator('[data-view="curves"] .chart svg').text_content()

    eventually(check)


def test_hovering_tells_value_interval_items_and_penalty(page, made):
    show_lines(page, "probe")
    shows(page, made.given)
    found = curve(made.given)
    value, low, high, n, groups, penalty = found["model-a", 3]
    place = next(i for i, row in enumerate(drawn(page, "curves")) if (row["model"], row["layer"]) == ("model-a", 3))
    dots(page, "curves").nth(place).hover(force=True)
    said = tooltip(page)
    for number in (f"{value:.4f}", f"{low:.4f} to {high:.4f}", str(n), str(groups), f"{penalty:g}"):
        assert number in said


def test_the_legend_hides_a_model_and_shows_it_again(page, made):
    show_lines(page, "probe")
    shows(page, made.given)
    button = page.locator('[data-view="curves"] .legend button', has_text="model-b")
    button.click()
    eventually(lambda: _models(page, {"model-a"}))
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    eventually(lambda: _models(page, {"model-a", "model-b"}))


def _models(page, names):
    assert {row["model"] for row in drawn(page, "curves")} == names


def test_a_click_on_a_layer_chooses_it(page, made):
    show_lines(page, "probe")
    shows(page, made.given)
    rows = drawn(page, "curves")
    dots(page, "curves").nth(rows.index(next(row for row in rows if row["layer"] == 2))).click(force=True)
    eventually(lambda: _layer(page, "2"))
    assert "layer=2" in page.url


def _layer(page, layer):
    assert control(page, "layer").input_value() == layer


def test_the_slider_chooses_a_layer(page):
    slide(page, 1)
    eventually(lambda: _layer(page, "1"))
    assert "layer=1" in page.url


def test_the_address_holds_the_choice(page, open_page, made):
    for choice, value in (("task", "objects"), ("prompt", "caption"), ("model", "model-b"), ("metric", "roc_auc")):
        choose(page, choice, value)
    show_lines(page, "probe", "twin")
    choose(page, "axis", "depth")
    slide(page, 1)
    eventually(lambda: _layer(page, "1"))
    other = open_page(choice=page.url.partition("#")[2])
    for choice in ("task", "prompt", "model", "metric", "axis", "layer"):
        assert control(other, choice).input_value() == control(page, choice).input_value()
    assert drawn(other, "curves") == drawn(page, "curves")


def test_back_and_forward_go_through_the_choices(page, made):
    show_lines(page, "probe")
    choose(page, "prompt", "caption")
    choose(page, "metric", "roc_auc")
    shows(page, made.given, prompt="caption", metric="roc_auc")
    page.go_back()
    shows(page, made.given, prompt="caption")
    assert control(page, "metric").input_value() == "accuracy"
    page.go_forward()
    shows(page, made.given, prompt="caption", metric="roc_auc")


@pytest.mark.parametrize(
    "address", ["task=nothing", "task=objects&prompt=never", "layer=99", "%E0%A4%A", "what=x&axis=y"]
)
def test_an_address_that_names_nothing_is_a_page_all_the_same(open_page, made, address):
    page = open_page(choice=address)
    assert drawn(page, "curves")
    if "nothing" in address:
        assert "nothing" in page.locator("#choice-note").inner_text()


def test_links_within_the_page_leave_the_choice_alone(page):
    choose(page, "prompt", "caption")
    before = page.url
    page.get_by_role("navigation").get_by_role("link", name="Charts").click()
    assert page.url == before
    assert control(page, "prompt").input_value() == "caption"
