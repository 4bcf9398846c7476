"""Tables and figures on the page are those that the workflow writes, and the page is one file that needs no other."""

import base64
import csv
import io
import itertools
import json
import re
import sys
from html import unescape
from html.parser import HTMLParser
from types import ModuleType
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure as Drawing
from PIL import Image

from layerwise.compare.inputs import Given
from layerwise.errors import InputError
from layerwise.explore.catalogue import PARTS
from layerwise.explore.document import page
from layerwise.explore.pages import read_figure_page, read_table_page
from layerwise.figures.catalogue import FIGURES
from layerwise.figures.drawing.style import figure_style, save_figure
from layerwise.figures.entry import Contents, Figure
from layerwise.figures.page import caption_html, figure_page
from layerwise.figures.planning import pictures
from layerwise.figures.writing.sections import Section, numbers_csv, write_table
from layerwise.planning.leaving_out import said_of
from tests.conftest import REPOSITORY

ROWS = pd.DataFrame({"Model": ["<b>a</b>", "b & c"], "Score": ["59.1 [50.2, 60.3]", "–"]})
NUMBERS = pd.DataFrame({"model": ["<b>a</b>", "b & c"], "value": [1 / 3, float("nan")]})


def drawn(given, variant) -> Drawing:
    """A figure of a line, or with the variant "map" one of many marks."""
    drawing = Drawing(figsize=(4, 3))
    axes = drawing.subplots()
    if variant == "map":
        axes.scatter(*np.random.default_rng(0).normal(size=(2, 5000)), s=1)
    else:
        axes.plot([1, 3, 2])
    return drawing


@pytest.fixture
def write(tmp_path):
    """Writes a figure as the workflow does: three files, and a page with its caption."""
    folder = tmp_path / "results/figures"
    folder.mkdir(parents=True)

    def write_figure(name, title, variant="", caption="training-curve.rst"):
        with figure_style():
            drawing = FIGURES[name].draw(None, variant) if name in FIGURES else drawn(None, variant)
        for suffix in ("png", "svg", "pdf"):
            save_figure(drawing, folder / f"{name}.{suffix}")
        text = caption_html(REPOSITORY / "report" / caption, {"axis": "", "window": None, "resamples": 100})
        out = folder / f"{name}.html"
        out.write_text(figure_page(out.with_suffix(".png"), title, text), encoding="utf-8")
        return out

    return write_figure


@pytest.fixture
def table(tmp_path):
    sections = [Section("task: accuracy", ROWS, "What a dash means.", ("Score",))]
    (tmp_path / "results/tables").mkdir(parents=True)
    write_table(tmp_path / "results/tables", "table2", "Table 2: best & top", sections, numbers_csv(NUMBERS))
    return tmp_path / "results/tables/table2.html"


def made(tmp_path, **files) -> str:
    """The page of some parts."""
    given = Given(files)
    parts = {"tables": "tables", "figures": "gallery", "flow-figures": "gallery"}
    contents = {parts[name]: PARTS[parts[name]].make(given, []) for name in files}
    titles = {name: PARTS[name].title for name in contents}
    out = tmp_path / "results/explore/index.html"
    return page(REPOSITORY / "report/page", "A <title>", contents, titles, {"Models": "a & b"}, out=out)


class Read(HTMLParser):
    """What a browser finds in a page: elements by tag, links, what is loaded, blocks of data."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loaded, self.blocks, self.tags, self.within = [], [], {}, [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self.tags.append((tag, known))
        self.links += [known["href"]] if tag == "a" else []
        self.loaded += [known[key] for key in ("src", "srcset", "data", "poster") if key in known]
        self.loaded += [known["href"]] if tag in ("link", "use", "image") else []
        self.within = known.get("id") if tag == "script" and known.get("type") == "application/json" else None

    def handle_data(self, data):
        if self.within:
            self.blocks[self.within] = self.blocks.get(self.within, "") + data

    def handle_endtag(self, tag):
        self.within = None


def test_a_page_that_is_made_twice_is_the_same(tmp_path, write, table):
    files = {"tables": [table], "figures": [write("lines", "00 Lines"), write("map", "01 Map", "map")]}
    assert made(tmp_path, **files) == made(tmp_path, **files)


def test_nothing_is_loaded_from_anywhere(tmp_path, write, table):
    text = made(tmp_path, tables=[table], figures=[write("lines", "00 Lines")])
    read = Read(text)
    assert read.loaded
    assert all(address.startswith("data:image/") for address in read.loaded)
    styles = "".join(re.findall(r"<style>(.*?)</style>", text, flags=re.DOTALL))
    assert "@import" not in styles
    assert "url(" not in styles
    for file in (REPOSITORY / "report/page").glob("*.js"):
        assert not re.search(r"https?:|\bfetch\(|XMLHttpRequest|\bimport\(", file.read_text()), file.name


def test_links_lead_to_the_files_beside_the_page(tmp_path, write, table):
    read = Read(made(tmp_path, tables=[table], figures=[write("a figure #1", "00 Lines")]))
    files = [link for link in read.links if not link.startswith("#")]
    found = [(tmp_path / "results/explore" / unquote(link)).resolve() for link in files]
    assert {file.name for file in found} == {
        "table2.csv",
        "table2.tex",
        *(f"a figure #1.{s}" for s in ("png", "svg", "pdf")),
    }
    assert all(file.exists() for file in found)
    ids = {known["id"] for _, known in read.tags if "id" in known}
    assert {link[1:] for link in read.links if link.startswith("#")} <= ids


def test_what_is_copied_of_a_table_is_its_files(tmp_path, table):
    (block,) = [
        json.loads(text) for name, text in Read(made(tmp_path, tables=[table])).blocks.items() if "table2" in name
    ]
    assert block["csv"] == table.with_suffix(".csv").read_text()
    assert block["tex"] == table.with_suffix(".tex").read_text()
    assert float(next(iter(csv.DictReader(io.StringIO(block["csv"]))))["value"]) == 1 / 3


def test_what_is_shown_of_a_table_is_its_page(tmp_path, table):
    (block,) = [
        json.loads(text) for name, text in Read(made(tmp_path, tables=[table])).blocks.items() if "table2" in name
    ]
    cells = re.findall(r"<(t[hd])[^>]*>(.*?)</\1>", block["html"])
    assert [unescape(cell) for _, cell in cells] == [*ROWS, *ROWS.to_numpy().ravel()]
    assert "What a dash means." in block["html"]
    # Names of models are text, whatever they hold.
    assert "<b>" not in block["html"]


def test_headings_are_in_order(tmp_path, write, table):
    text = made(
        tmp_path, tables=[table], figures=[write("lines", "00 Lines")], **{"flow-figures": [write("more", "more")]}
    )
    read = Read(text)
    levels = [int(tag[1]) for tag, _ in read.tags if re.fullmatch("h[1-6]", tag)]
    levels += [int(level) for level in re.findall(r"<h(\d)>", json.loads(read.blocks["data-table-table2"])["html"])]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_figures_have_their_captions_and_come_in_the_order_of_the_report(tmp_path, write):
    text = made(tmp_path, figures=[write("b", "10 Later & last"), write("a", "02 First")])
    assert text.index("First") < text.index("Later &amp; last")
    assert "02 First" not in text
    assert text.count("Training of the small model.") == 2


def test_pictures_are_within_the_page_dot_by_dot(tmp_path, write):
    file = write("picture", "00 Picture", "map")
    (address,) = Read(made(tmp_path, figures=[file])).loaded
    head, _, content = address.partition(",")
    assert head == "data:image/webp;base64"
    shown = [
        Image.open(source).convert("RGB")
        for source in (io.BytesIO(base64.b64decode(content)), file.with_suffix(".png"))
    ]
    assert np.array_equal(*map(np.asarray, shown))


def test_pictures_that_are_too_many_stay_beside_the_page(tmp_path, write, monkeypatch):
    monkeypatch.setattr("layerwise.explore.parts.gallery.WITHIN", 100)
    text = made(tmp_path, figures=[write("b", "01 Later"), write("a", "00 First")])
    within, beside = Read(text).loaded
    assert within.startswith("data:image/")
    assert (tmp_path / "results/explore" / beside).resolve() == tmp_path / "results/figures/b.png"
    assert "those at the end are not in this file" in text


def test_a_new_figure_of_the_catalogue_appears(tmp_path, write, monkeypatch):
    """It is one module, its line and its caption: nothing of the page knows its name."""
    module = ModuleType("made_up")
    module.FIGURE = Figure(place=90, title="Made up", reads=(), draw=drawn, exists=lambda study: study.probes)
    monkeypatch.setitem(sys.modules, "made_up", module)
    study = Contents(questions=frozenset({"global"}))
    before = pictures(study)
    monkeypatch.setitem(FIGURES.modules, "made-up", "made_up")
    (new,) = pictures(study).keys() - before.keys()
    assert PARTS["gallery"].reads(study) == ["figures"]
    text = made(tmp_path, figures=[write(new, pictures(study)[new].title)])
    assert "Made up" in text
    assert "made-up.pdf" in text


def test_models_that_are_left_out_are_named(tmp_path):
    text = page(REPOSITORY / "report/page", "Title", {}, {}, {}, said_of(["a<b", "c"]))
    assert "Partial: without a&lt;b, c." in text


def test_a_study_without_figures_or_tables_has_neither():
    assert not PARTS["gallery"].exists(Contents())
    assert not PARTS["tables"].exists(Contents())


@pytest.mark.parametrize("read", [read_figure_page, read_table_page])
def test_a_page_of_something_else_is_refused(tmp_path, read):
    (tmp_path / "other.html").write_text("<html><body>Nothing</body></html>")
    with pytest.raises(InputError, match=r"other\.html: is not a page of this workflow; delete it"):
        read(tmp_path / "other.html")
    with pytest.raises(InputError, match=r"gone\.html: cannot be read"):
        read(tmp_path / "gone.html")
