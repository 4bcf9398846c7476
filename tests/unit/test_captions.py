"""Captions of the report: valid, and of the figure that they stand below."""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jinja2
import pytest
from docutils.core import publish_parts
from PIL import Image

from layerwise.figures.flow import FIGURES as FLOW_FIGURES
from layerwise.figures.page import caption_html

ROOT = Path(__file__).parents[2]
# Of the captions that several figures share: how each figure's text begins.
SHARED = {
    "layers": {
        "entailment": "Figure 1.",
        "recognition-by-model": "Figure 2.",
        "recognition-by-prompt": "Figure 3.",
        "selectivity": "Selectivity by layer.",
        "code-length": "Description length by layer.",
    },
    "sites": {
        "sites-by-layer": "Attention, MLP and heads by layer.",
        "head-map": "Single heads.",
    },
    "interventions": {
        "image-ablation": "The image hidden from some blocks.",
        "bypass": "Blocks routed past those above them.",
    },
    "flow": {
        "knockout": "Which attention does the answer need?",
        "objects": "Which part of the image does the question look at?",
        "tracing": "Where does the answer appear?",
    },
}
CASES = [(caption, figure, begins) for caption, figures in SHARED.items() for figure, begins in figures.items()]


def words(caption, position="last", **params):
    """The text of a caption as a page shows it, with all that a job has: what it lacks is an error."""
    # The settings of Snakemake's own report, but for what is undefined.
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    job = SimpleNamespace(
        params=SimpleNamespace(**({"resamples": 777, "window": 3, "position": position} | params)),
        config={"seed": 11, "states": {"positions": [position]}},
    )
    text = environment.from_string((ROOT / f"report/{caption}.rst").read_text()).render(snakemake=job)
    html = publish_parts(text, writer="html", settings_overrides={"halt_level": 2, "report_level": 2})["html_body"]
    return " ".join(re.sub("<[^>]*>", "", html).split())


@pytest.mark.parametrize("axis", ["layer", "depth"])
@pytest.mark.parametrize(("caption", "figure", "begins"), CASES)
def test_each_figure_has_its_own_text(caption, figure, begins, axis):
    shown = words(caption, figure=figure, axis=axis)
    assert shown.startswith(begins)
    if caption == "layers":
        assert ("relative depth" in shown) == (axis == "depth")
        assert ("(777 resamples)" in shown) == (figure != "code-length")


def test_the_flows_captions_are_those_of_its_figures():
    assert list(SHARED["flow"]) == list(FLOW_FIGURES)


def test_a_window_of_one_block_is_no_plural():
    assert "of a window of 1 block, centred" in words("flow", figure="knockout", window=1)
    assert "of a window of 3 blocks, centred" in words("flow", figure="knockout")


@pytest.mark.parametrize("caption", ["learning-curve", "training-curve", "flow-table", "table1", "table2", "table3"])
def test_captions_of_one_thing_need_no_more_than_its_job_has(caption):
    assert len(words(caption)) > 100


def test_the_report_begins_with_the_question_and_states_the_seed():
    shown = words("workflow")
    assert shown.startswith("Where in a multimodal LLM does an image's meaning live?")
    assert "the seed 11" in shown


@pytest.mark.parametrize("caption", ["workflow", "table1"])
def test_the_position_that_is_probed_is_named(caption):
    assert "last token" in words(caption)
    shown = words(caption, position="image-mean")
    assert "mean of the hidden states at the image's tokens" in shown
    assert "last token" not in shown


def test_a_page_has_the_picture_and_the_caption(tmp_path):
    """The picture is as wide as 120 dots an inch make it, where there is room; the caption is the report's own."""
    Image.new("RGB", (1000, 40), (200, 30, 30)).save(tmp_path / "figure.png")
    options = {"--picture": tmp_path / "figure.png", "--title": "A <b>", "--out": tmp_path / "page.html"}
    options |= {"--caption": ROOT / "report/layers.rst"}
    options["--params"] = json.dumps({"figure": "entailment", "axis": "layer", "window": None, "resamples": 777})
    command = [
        sys.executable,
        ROOT / "scripts/show_figure.py",
        *[part for option in options.items() for part in option],
    ]
    subprocess.run(command, check=True)
    page = (tmp_path / "page.html").read_text()
    picture = base64.b64decode(re.search(r'src="data:image/png;base64,([^"]*)"', page)[1])
    assert picture == (tmp_path / "figure.png").read_bytes()
    assert "width: 600px; max-width: 100%" in page
    assert "<title>A &lt;b&gt;</title>" in page
    text = " ".join(re.sub("<[^>]*>", "", page[page.index("<figcaption>") :]).split())
    assert text.startswith(words("layers", figure="entailment", axis="layer"))


def test_a_caption_that_names_what_a_page_lacks_is_an_error(tmp_path):
    (tmp_path / "caption.rst").write_text("{{ snakemake.params.typo }}")
    with pytest.raises(jinja2.UndefinedError, match="typo"):
        caption_html(tmp_path / "caption.rst", {"figure": "entailment"})


def test_every_caption_is_tested():
    tested = set(SHARED) | {"workflow", "learning-curve", "training-curve", "flow-table"}
    assert {path.stem for path in (ROOT / "report").glob("*.rst")} == tested | {"table1", "table2", "table3"}
