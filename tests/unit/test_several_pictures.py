"""How several pictures of one item stand in tables and prompts."""

import hashlib

import pytest

from layerwise.errors import InputError
from layerwise.several_pictures import each, joined, joined_checksum, parts, place, places


def test_pictures_of_an_item_come_back_in_order() -> None:
    assert each(joined(["b.png", "a.png"])) == ["b.png", "a.png"]
    assert each(joined(["only one.png"])) == ["only one.png"]


def test_a_path_with_a_line_break_is_refused() -> None:
    with pytest.raises(InputError, match="line break"):
        joined(["a\nb.png", "c.png"])


def test_the_checksum_of_several_depends_on_their_order_and_of_one_is_its_own() -> None:
    assert joined_checksum(["x"]) == "x"
    assert joined_checksum(["x", "y"]) == hashlib.sha256(b"x\ny").hexdigest() != joined_checksum(["y", "x"])


def test_a_prompt_is_split_at_its_pictures() -> None:
    prompt = f"First {place(2)}, then {place(11)}{place(1)}"
    assert places(prompt) == [2, 11, 1]
    assert parts(prompt) == ["First ", 2, ", then ", 11, 1]
    assert parts("{image 1} stays text") == ["{image 1} stays text"]
