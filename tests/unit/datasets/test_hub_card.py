"""What the card of a data set says of its licence, its citation and its files."""

import pytest

from layerwise.datasets.hub_card import LONGEST_CITATION, Card, read_card
from layerwise.errors import InputError
from tests.hub import card

FIRST = "@article{one,\n  title = {The {B}ig\n    Picture},\n  year={2023},\n}"
SECOND = "@misc{two, title={Two}}"


@pytest.fixture
def read(tmp_path):
    def read(content: bytes) -> Card:
        (tmp_path / "README.md").write_bytes(content)
        return read_card(tmp_path / "README.md", "datasets.own")

    return read


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        ({"license": "cc-by-4.0"}, "cc-by-4.0"),
        ({"license": ["mit", "cc0-1.0"]}, "mit, cc0-1.0"),
        (
            {"license": "other", "license_name": "ours", "license_link": "https://example.org/licence"},
            "other, ours, https://example.org/licence",
        ),
        ({"license": "one\nline\x1b[31m" + "x" * 400}, "one line [31m" + "x" * 284 + "..."),
        ({}, ""),
    ],
)
def test_the_licence_is_one_line(read, metadata, licence):
    assert read(card("text", **metadata)).licence == licence


@pytest.mark.parametrize(
    ("body", "citation"),
    [
        (f"# Data\n```\n{SECOND}\n```\n## Citation\n```bibtex\n{FIRST}\n```\n", " ".join(FIRST.split())),
        (
            f"## How to cite us\n{FIRST}\n\n{SECOND}\n# End\n@misc{{three, title={{3}}}}",
            " ".join(FIRST.split()) + f" {SECOND}",
        ),
        (f"Text with me@example.org and\n{SECOND}", SECOND),
        ("## Citation\nSee the paper.\n", ""),
        ("## Citation\n@article{open, title = {never closed}", ""),
    ],
)
def test_the_citation_is_the_cards_bibtex(read, body, citation):
    assert read(card(body, license="mit")).citation == citation


def test_a_long_citation_is_cut(read):
    cut = read(card("## Citation\n@misc{long, title={" + "x" * 2 * LONGEST_CITATION + "}}")).citation
    assert len(cut) == LONGEST_CITATION
    assert cut.endswith("x...")


def test_a_card_without_metadata_says_nothing(read):
    assert read(b"# Only a title\n") == Card()
    assert read(b"\xef\xbb\xbf---\r\nlicense: mit\r\n---\r\n").licence == "mit"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"---\nlicense: [mit\n---\n", "metadata of the data set's card cannot be read"),
        (b"---\n- a list\n---\n", "metadata of the data set's card cannot be read"),
        (b"---\n1: 2\n---\n", "metadata of the data set's card cannot be read"),
        (b"\xff\xfe", "metadata of the data set's card cannot be read"),
        (card(configs={"a": "b"}), "no list of configurations"),
        (card(configs=[{"data_files": "a.csv"}]), "no list of configurations"),
        (card(configs=[{"config_name": "a", "data_files": [1]}]), "'a' what cannot be read .data_files is neither"),
        (
            card(
                configs=[{"config_name": "a", "data_files": [{"split": "x", "path": "1"}, {"split": "x", "path": "2"}]}]
            ),
            "the split x is there twice",
        ),
        (
            card(configs=[{"config_name": "a", "data_files": [{"split": "x", "path": 1}]}]),
            "path of the split x is no text",
        ),
    ],
)
def test_a_card_that_cannot_be_read_is_told_with_the_way_out(read, content, reason):
    with pytest.raises(InputError, match=f"^datasets.own: .*{reason}.*; name its files with `files`$"):
        read(content)
