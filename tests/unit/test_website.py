"""The website: its links, its navigation, and a gallery of every figure in the catalogue. `make docs` builds it."""

import re
import shutil
from dataclasses import fields

import pytest
import yaml
from docs.website.gallery import ASKED_BY, QUESTIONS_WITH, asked_by, excerpt, has, pictures, write_gallery
from docs.website.link_check import broken
from docs.website.pages import LINK, OUTSIDE, SETTINGS, START, adapted, links, sources, write_pages
from PIL import Image

from layerwise.config.study import StudyConfig
from layerwise.errors import InputError
from layerwise.figures.catalogue import FIGURES
from layerwise.figures.entry import Contents
from layerwise.figures.page import figure_page
from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The pages, with the gallery of a demo that has drawn one figure of each sort."""
    results, folder = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("website") / "pages"
    flow = results / "figures/flow/shapes-llava/shapes-questions"
    for path, title in ((results / "figures/tower", "29 Vision tower"), (flow / "knockout", "knockout, shapes-llava")):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10)).save(path.with_suffix(".png"))
        page = figure_page(path.with_suffix(".png"), title, f"<p>How to read {title}.</p>")
        path.with_suffix(".html").write_text(page)
    for part in ("tables", "explore"):
        (results / part).mkdir()
    write_pages(folder)
    write_gallery(folder, results)
    return folder


def slugs(text: str) -> set[str]:
    """The anchors of a page, as code hosts and the website make them."""
    text = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = [LINK.sub(r"\1", heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
    own = re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings} | set(own)


@pytest.mark.parametrize("page", [str(path) for path in sources()])
def test_every_link_leads_to_a_file_and_a_heading(page):
    path = REPOSITORY / page
    for match in links(path.read_text()):
        address, _, anchor = match[2].partition("#")
        if OUTSIDE.match(match[2]):
            continue
        target = path.parent / address if address else path
        assert target.exists(), f"{page} links to {match[2]}"
        if anchor and target.suffix == ".md":
            assert anchor in slugs(target.read_text()), f"{page} links to {match[2]}"


def test_links_within_code_are_not_links():
    page = "[a](b.md) `[c](d.md)` and\n```\n[e](f.md)\n```\n[`g`](h.md)\n"
    assert [match[2] for match in links(page)] == ["b.md", "h.md"]


def test_lists_of_a_code_host_are_lists_of_the_website():
    page = "Steps:\n1. One\n   <!-- not run: why -->\n   ```yaml\n   a:\n     - b\n   ```\n\n2. Two\n   - sub\n     c\n"
    website = "Steps:\n\n1. One\n    ```yaml\n    a:\n      - b\n    ```\n\n2. Two\n    - sub\n        c\n"
    assert adapted(page) == website
    assert adapted("- a\n  b\n- c\n  - d\n    e\n") == "- a\n    b\n- c\n    - d\n        e\n"
    code = "```\n  - a\n<!-- kept -->\n1. b\n```\n"
    assert adapted(code) == code


@pytest.mark.slow
def test_the_gallery_has_every_figure_and_its_pictures(written):
    gallery = (written / "gallery.md").read_text()
    assert set(re.findall(r"^#+ .* \{ #([\w-]+) \}$", gallery, re.MULTILINE)) == set(FIGURES)
    assert gallery.count("**Made for** a study with") == gallery.count('<div class="gallery-caption">') == len(FIGURES)
    shown = re.findall(r"!\[[\w-]+\]\((\S+) ", gallery)
    assert shown == ["demo/figures/tower.png", "demo/figures/flow/shapes-llava/shapes-questions/knockout.png"]
    assert all((written / file).is_file() for file in shown)
    assert "How to read 29 Vision tower" in gallery
    tower = gallery.partition("{ #tower }")[2].partition("\n## ")[0]
    assert "    tower:\n      tasks: [objects]\n" in tower


@pytest.mark.slow
def test_without_a_demo_the_gallery_says_how_to_make_it(tmp_path):
    write_gallery(tmp_path, tmp_path / "no-results")
    gallery = (tmp_path / "gallery.md").read_text()
    assert "`make demo`" in gallery
    assert "![" not in gallery
    assert gallery.count('<div class="gallery-caption">') == len(FIGURES)


def test_something_in_a_study_asks_for_every_figure():
    """A new attribute of Contents needs a line in ASKED_BY."""
    assert {field.name for field in fields(Contents)} == {*ASKED_BY, "question_sets"}
    guide = slugs((REPOSITORY / "config/README.md").read_text())
    for name, figure in FIGURES.items():
        assert asked_by(figure), name
        for asked in asked_by(figure):
            assert asked.key.partition(".")[0] in StudyConfig.model_fields, asked
            assert asked.section in guide, asked
    assert {figure.only_with for figure in FIGURES.values() if figure.only_with} == set(QUESTIONS_WITH)


def test_keys_and_sections_of_a_study():
    text = "# One.\na:\n  # Two.\n  b: {c: 1}\n\n# Three.\nd: 2\n"
    assert excerpt(text, "a") == "# One.\na:\n  # Two.\n  b: {c: 1}"
    assert excerpt(text, "d") == "# Three.\nd: 2"
    assert [has(yaml.safe_load(text), key) for key in ("a.*.c", "a.b", "d", "a.c", "e")] == [True] * 3 + [False] * 2


def test_a_page_without_a_place_and_a_lost_link_are_refused(tmp_path):
    for page in sources():
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / page).write_text("# Page\n")
    (tmp_path / "docs/new.md").write_text("# New\n")
    with pytest.raises(InputError, match=r"docs/new.md: is not in the website's navigation"):
        write_pages(tmp_path / "out", tmp_path)
    (tmp_path / "docs/new.md").unlink()
    (tmp_path / "docs/flow.md").write_text("# Page\n\n[there](gone.md)\n")
    with pytest.raises(InputError, match=r"docs/flow.md: line 3 links to gone.md"):
        write_pages(tmp_path / "out", tmp_path)


def test_the_navigation_names_pages_that_there_are():
    named = set(re.findall(r'"([^"]+\.md)"', SETTINGS.read_text()))
    assert named == {START.get(str(page), str(page)) for page in sources()} | {"gallery.md"}


def test_a_broken_link_of_the_website_is_named(tmp_path):
    (tmp_path / "a.html").write_text('<h1 id="x"></h1><a href="#x"></a><a href="b.html#y"></a><img src="c.png">')
    (tmp_path / "b.html").write_text('<a href="a.html#x"></a><a href="https://example.org/gone"></a><a href="#z"></a>')
    assert list(broken(tmp_path)) == [
        "a.html: b.html#y leads to no heading",
        "a.html: c.png leads to no file",
        "b.html: #z leads to no heading",
    ]
    shutil.copy(tmp_path / "a.html", tmp_path / "404.html")
    assert len(list(broken(tmp_path))) == 3
    # Found by the place in its title, and by the name of its file.
    assert pictures(tmp_path) == {}
