"""The page as one file: what is within it cannot end it, and a slip in a template is an error."""

import json
from html.parser import HTMLParser

import jinja2
import pytest

from layerwise.explore.document import page
from layerwise.explore.entry import Content
from tests.conftest import REPOSITORY

TRAP = "</script><script>alert(1)</script><!--<script>"


class Scripts(HTMLParser):
    """The contents of a document's script elements, as a browser splits them."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "script":
            self.found.append((dict(attrs), ""))
            self.inside = True

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "script"

    def handle_data(self, data):
        if self.inside:
            attributes, text = self.found[-1]
            self.found[-1] = attributes, text + data


@pytest.fixture
def folder(tmp_path):
    for file in (REPOSITORY / "report" / "page").glob("*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "part.html.j2").write_text("<p>{{ words }}</p>")
    return tmp_path


def made(folder, content):
    return page(folder, "A title", {"part": content}, {"part": "Part"}, {})


def test_names_and_data_cannot_end_a_script(folder):
    clean = Scripts(made(folder, Content({"words": "x"}, {"names": "x"}, ["'x'"])))
    text = made(folder, Content({"words": TRAP}, {"names": TRAP}, [f"'{TRAP}'"]))
    assert len(Scripts(text).found) == len(clean.found)
    (data,) = (found for attributes, found in Scripts(text).found if attributes.get("id") == "data-names")
    assert json.loads(data) == TRAP
    assert "<p>&lt;/script&gt;" in text


def test_a_name_that_a_template_does_not_get_is_an_error(folder):
    with pytest.raises(jinja2.UndefinedError, match="words"):
        made(folder, Content({"word": "x"}))


def test_no_number_of_the_data_is_silently_no_number(folder):
    with pytest.raises(ValueError, match="Out of range"):
        made(folder, Content({"words": "x"}, {"values": [float("nan")]}))
