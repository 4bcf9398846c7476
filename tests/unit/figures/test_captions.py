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
import yaml
from docutils.core import publish_parts
from PIL import Image

from layerwise.figures.captions import INCLUDED, caption_digest
from layerwise.figures.catalogue import FIGURES, TABLES
from layerwise.figures.page import caption_html

ROOT = Path(__file__).parents[3]
# How the caption of each figure begins.
BEGINS = {
    "entailment": "Figure 1.",
    "recognition-by-model": "Figure 2.",
    "recognition-by-prompt": "Figure 3.",
    "selectivity": "Selectivity by layer.",
    "code-length": "Description length by layer.",
    "learning-curve": "Learning curves.",
    "sites-by-layer": "Attention, MLP and heads by layer.",
    "head-map": "Single heads.",
    "image-ablation": "The image hidden from some blocks.",
    "bypass": "Blocks routed past those above them.",
    "training-curve": "Training of the small model.",
    "knockout": "Which attention does the answer need?",
    "objects": "Which part of the image does the question look at?",
    "tracing": "Where does the answer appear?",
}
# Figures that are drawn without intervals.
WITHOUT_INTERVALS = {"head-map", "training-curve"}


def text_of(html):
    return " ".join(re.sub("<[^>]*>", "", html).split())


def words(caption, axis="", window=None):
    """The text of the caption of a figure as its page shows it, with what a job gives it."""
    return text_of(caption_html(ROOT / f"report/{caption}.rst", {"axis": axis, "window": window, "resamples": 777}))


def words_in_report(caption, position="last"):
    """The text of a caption that Snakemake fills in for its report."""
    # The settings of Snakemake's own report, but strict about names that are not defined.
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    job = SimpleNamespace(
        params=SimpleNamespace(resamples=777, position=position),
        config={"seed": 11, "states": {"positions": [position]}},
    )
    text = environment.from_string((ROOT / f"report/{caption}.rst").read_text()).render(snakemake=job)
    return text_of(
        publish_parts(text, writer="html", settings_overrides={"halt_level": 2, "report_level": 2})["html_body"]
    )


@pytest.mark.parametrize("figure", FIGURES)
def test_each_figure_has_a_caption_that_says_what_its_intervals_are(figure):
    shown = words(figure, window=3)
    assert ("95 % interval" in shown) is not ("no interval" in shown)
    # Those that are there today; a new one needs no line here.
    if figure in BEGINS:
        assert shown.startswith(BEGINS[figure])
        assert ("no interval" in shown) is (figure in WITHOUT_INTERVALS)


@pytest.mark.parametrize("axis", ["layer", "depth"])
def test_captions_of_scores_by_layer_say_what_the_axis_is(axis):
    by_layer = [name for name, figure in FIGURES.items() if figure.file == "{name}-by-{variant}"]
    assert len(by_layer) >= 5
    for figure in by_layer:
        shown = words(figure, axis)
        assert ("relative depth" in shown) is (axis == "depth")
        assert ("(777 resamples)" in shown) is (figure != "code-length")


@pytest.mark.parametrize("caption", ["entailment", "recognition-by-model", "recognition-by-prompt"])
def test_captions_speak_of_redrawn_training_images_only_where_there_are_draws(caption):
    named = {"axis": "layer", "window": None, "resamples": 777, "training_draws": 23}
    assert "lighter band" not in words(caption, "layer")
    assert "fitted again to 23 bootstrap draws" in text_of(caption_html(ROOT / f"report/{caption}.rst", named))


def test_captions_speak_of_language_models_only_where_one_is_paired():
    by_model = ["entailment", "recognition-by-model", "selectivity", "code-length", "numbers", "learning-curve"]
    for caption in by_model:
        named = {"axis": "layer", "window": None, "resamples": 777, "made_from": True}
        assert "language model" not in words(caption, "layer")
        assert "in the colour of another model" in text_of(caption_html(ROOT / f"report/{caption}.rst", named))


def test_a_window_of_one_block_is_no_plural():
    assert "of a window of 1 block, centred" in words("knockout", window=1)
    assert "of a window of 3 blocks, centred" in words("knockout", window=3)


@pytest.mark.parametrize("caption", TABLES)
def test_captions_of_tables_need_no_more_than_their_jobs_have(caption):
    assert len(words_in_report(caption)) > 100


def test_the_report_begins_with_the_question_and_states_the_seed():
    shown = words_in_report("workflow")
    assert shown.startswith("Where in a multimodal LLM does an image's meaning live?")
    assert "the seed 11" in shown


def test_snakemake_makes_the_report_of_a_study_that_gives_no_defaults(tmp_path):
    """The demo's config names neither `states` nor anything else that the report's first page says."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    config.pop("seed")
    assert "states" not in config
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "downloads", "--snakefile", ROOT / "Snakefile"]
    command += ["--workflow-profile", "none", "--configfile", "study.yaml", "--report", "report.html"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "This run used the seed 0" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("caption", ["workflow", "table1"])
def test_the_position_that_is_probed_is_named(caption):
    assert "last token" in words_in_report(caption)
    shown = words_in_report(caption, position="image-mean")
    assert "mean of the hidden states at the image's tokens" in shown
    assert "last token" not in shown


def test_a_page_has_the_picture_and_the_caption(tmp_path):
    """The picture is as wide as 120 dots an inch make it, where there is room; the caption is the report's own."""
    Image.new("RGB", (1000, 40), (200, 30, 30)).save(tmp_path / "figure.png")
    options = {"--picture": tmp_path / "figure.png", "--title": "A <b>", "--out": tmp_path / "page.html"}
    options |= {"--caption": ROOT / "report/entailment.rst"}
    options["--params"] = json.dumps({"axis": "layer", "window": None, "resamples": 777})
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
    assert text.startswith(words("entailment", "layer"))


def test_a_caption_that_names_what_a_page_lacks_is_an_error(tmp_path):
    (tmp_path / "caption.rst").write_text("{{ snakemake.params.typo }}")
    with pytest.raises(jinja2.UndefinedError, match="typo"):
        caption_html(tmp_path / "caption.rst", {"figure": "entailment"})


def test_every_figure_and_table_has_a_caption_and_every_caption_a_figure_or_table():
    assert {path.stem for path in (ROOT / "report").glob("*.rst")} == {*FIGURES, *TABLES, "workflow"}
    included = {name for path in (ROOT / "report").glob("*.rst") for name in INCLUDED.findall(path.read_text())}
    assert {f"parts/{path.name}" for path in (ROOT / "report/parts").iterdir()} == included


def test_an_edited_caption_counts_and_so_does_what_it_includes(tmp_path):
    (tmp_path / "parts").mkdir()
    for name, text in {"a": '{% include "parts/shared.rst" %}', "b": "alone", "parts/shared": "before"}.items():
        (tmp_path / f"{name}.rst").write_text(text)
    before = [caption_digest(tmp_path, name) for name in "ab"]
    (tmp_path / "parts/shared.rst").write_text("after")
    after = [caption_digest(tmp_path, name) for name in "ab"]
    assert (before[0] != after[0], before[1] == after[1]) == (True, True)
