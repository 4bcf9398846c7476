"""Captions of the report: valid, and of the figure that they stand below."""

import re
from pathlib import Path
from types import SimpleNamespace

import jinja2
import pytest
from docutils.core import publish_parts

from layerwise.figures.flow import FIGURES as FLOW_FIGURES

ROOT = Path(__file__).parents[2]
# Of the captions that several figures share: the wildcard, and how each figure's text begins.
SHARED = {
    ("layers", "figure"): {
        "entailment": "Figure 1.",
        "recognition-by-model": "Figure 2.",
        "recognition-by-prompt": "Figure 3.",
        "selectivity": "Selectivity by layer.",
        "code-length": "Description length by layer.",
    },
    ("sites", "site_figure"): {
        "sites-by-layer": "Attention, MLP and heads by layer.",
        "head-map": "Single heads.",
    },
    ("interventions", "intervention_figure"): {
        "image-ablation": "The image hidden from some blocks.",
        "bypass": "Blocks routed past those above them.",
    },
    ("flow", "flow_figure"): {
        "knockout": "Which attention does the answer need?",
        "objects": "Which part of the image does the question look at?",
        "tracing": "Where does the answer appear?",
    },
}
CASES = [
    (caption, {wildcard: figure}, begins)
    for (caption, wildcard), figures in SHARED.items()
    for figure, begins in figures.items()
]


def words(caption, wildcards=None, **params):
    """The text of a caption as a page shows it, with all that a job has: what it lacks is an error."""
    # The settings of Snakemake's own report, but for what is undefined.
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    job = SimpleNamespace(
        wildcards=SimpleNamespace(**(wildcards or {})),
        params=SimpleNamespace(**({"resamples": 777, "window": 3} | params)),
        config={"seed": 11},
    )
    text = environment.from_string((ROOT / f"report/{caption}.rst").read_text()).render(snakemake=job)
    html = publish_parts(text, writer="html", settings_overrides={"halt_level": 2, "report_level": 2})["html_body"]
    return " ".join(re.sub("<[^>]*>", "", html).split())


@pytest.mark.parametrize("axis", ["layer", "depth"])
@pytest.mark.parametrize(("caption", "figure", "begins"), CASES)
def test_each_figure_has_its_own_text(caption, figure, begins, axis):
    shown = words(caption, figure | {"axis": axis})
    assert shown.startswith(begins)
    if caption == "layers":
        assert ("relative depth" in shown) == (axis == "depth")
        assert ("(777 resamples)" in shown) == (figure["figure"] != "code-length")


def test_the_flows_captions_are_those_of_its_figures():
    assert list(SHARED["flow", "flow_figure"]) == list(FLOW_FIGURES)


def test_a_window_of_one_block_is_no_plural():
    assert "of a window of 1 block, centred" in words("flow", {"flow_figure": "knockout"}, window=1)
    assert "of a window of 3 blocks, centred" in words("flow", {"flow_figure": "knockout"})


@pytest.mark.parametrize("caption", ["learning-curve", "training-curve", "flow-table", "table1", "table2", "table3"])
def test_captions_of_one_thing_need_no_more_than_its_job_has(caption):
    assert len(words(caption)) > 100


def test_the_report_begins_with_the_question_and_states_the_seed():
    shown = words("workflow")
    assert shown.startswith("Where in a multimodal LLM does an image's meaning live?")
    assert "the seed 11" in shown


def test_every_caption_is_tested():
    tested = {caption for caption, _ in SHARED} | {"workflow", "learning-curve", "training-curve", "flow-table"}
    assert {path.stem for path in (ROOT / "report").glob("*.rst")} == tested | {"table1", "table2", "table3"}
