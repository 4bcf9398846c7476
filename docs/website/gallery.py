"""The gallery: every figure of the catalogue, with the demo's pictures, how to read it, and what asks for it.

A figure says itself which contents of a study it needs. Here stands only which key of a study gives these contents.
"""

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from docs.website.pages import ROOT

from layerwise.explore.pages import FigurePage, read_figure_page
from layerwise.figures.catalogue import FIGURES
from layerwise.figures.entry import Contents, Figure
from layerwise.figures.page import caption_html
from layerwise.models.interventions.catalogue import INTERVENTIONS


class Asked(NamedTuple):
    """What asks for a figure: a key of a study (``*``: any name), and the section of config/README.md about it."""

    key: str
    section: str


# By attribute of Contents.
ASKED_BY = {
    "questions": Asked("tasks", "a-task"),
    "random_labels": Asked("probes.controls.random_labels", "controls"),
    "description_length": Asked("probes.controls.description_length", "controls"),
    "sites": Asked("states.sites", "inside-a-block-and-interventions"),
    "interventions": Asked("models.*.intervention", "inside-a-block-and-interventions"),
    "twins": Asked("models.*.weights", "a-model"),
    "embedded": Asked("embedded_models", "a-model-that-the-workflow-trains"),
    "flow": Asked("flow.models", "which-attention-does-an-answer-need"),
    "flow_heads": Asked("flow.heads", "which-attention-does-an-answer-need"),
    "numbers": Asked("tasks.*.knowledge.as", "numbers"),
    "premise": Asked("stimuli.*.premise", "a-premise-as-text"),
    "parts": Asked("tasks", "a-task"),
    "says": Asked("prompts.*.*.answers", "what-a-model-says"),
    "writes": Asked("prompts.*.*.generate", "what-a-model-says"),
    "carried": Asked("carry", "carried-probes"),
    "sources": Asked("carry", "carried-probes"),
    "specifications": Asked("specifications", "specifications"),
    "kinds": Asked("probes.kinds", "kinds-of-probes"),
    "made_from": Asked("models.*.made_from", "a-language-model"),
    "used": Asked("used", "does-the-model-use-what-a-probe-finds"),
    "routes": Asked("used.routes", "can-what-lower-layers-know-be-routed-to-the-top"),
    "shortcuts": Asked("probes.shortcuts", "shortcuts"),
    "positions": Asked("states.positions", "several-pictures"),
    "task_positions": Asked("tasks.*.positions", "further-positions-in-the-text"),
    "tower": Asked("tower", "vision-tower-and-projector"),
    "pooled": Asked("pooled", "which-image-tokens-hold-it"),
    "picture_controls": Asked("prompts.*.*.images", "a-prompt"),
    "consistency": Asked("tasks", "several-items-of-a-row"),
    "lens": Asked("lens", "where-in-the-picture-does-it-name-an-object"),
    "patch_maps": Asked("lens", "where-in-the-picture-does-it-name-an-object"),
    "likeness": Asked("likeness", "what-layers-are-like"),
}
DEMO = "config/config.yaml"
# What sets of questions must have, by what a figure says it is only made with.
QUESTIONS_WITH = {
    "boxes": "flow.questions",
    "pictures": "flow.questions.*.image_column",
    "spans": "flow.questions.*.spans",
    "distractors": "flow.questions.*.distractor_column",
    "heads": "flow.heads",
    "head differences": "flow.heads",
}
# A caption without a study: what jobs give to captions.
PARAMS = {"axis": "layer", "window": 1, "resamples": 1000}
MISSING = """\
!!! note "No pictures yet"
    No finished demo was found when this page was built, so the figures stand here with their captions alone.
    `make demo` makes the pictures, and `make docs` puts them here.

"""
INTRODUCTION = """\
# Gallery

Every figure that the workflow can draw. Most are from [the demo](index.md#try-it): a small LLaVA, trained on drawn
shapes, and its untrained twin. Below each stands how to read it, and the lines of the study that ask for it. The
model is small and was trained once, so take these pictures as examples of figures. [What the demo
shows](docs/findings.md) has the results of five trainings.

"""


def write_gallery(folder: Path, results: Path, root: Path = ROOT) -> None:
    """Write ``gallery.md`` and its pictures.

    Args:
        folder: of the website's pages.
        results: results root of the demo, which need not be there.
        root: of the repository.
    """
    found = pictures(results)
    if found:
        # The page to play with links to the files of all figures and tables.
        for part in ("figures", "tables", "explore"):
            shutil.copytree(results / part, folder / "demo" / part, ignore=shutil.ignore_patterns("*.parquet"))
    names = sorted(FIGURES, key=lambda name: (FIGURES[name].per_flow, FIGURES[name].place, name))
    made, others = [[name for name in names if (name in found) == drawn] for drawn in (True, False)]
    parts = [INTRODUCTION if made else INTRODUCTION + MISSING]
    if made:
        parts.append(
            "[Open the demo's page to play with](demo/explore/index.html): charts, tables and single pictures.\n\n"
        )
    parts += [_figure(name, found[name], results, root) for name in made]
    if others:
        if made:
            parts.append("## Not in these results\n\nOther studies ask for these.\n\n")
        parts += [_figure(name, [], results, root, level="###" if made else "##") for name in others]
    (folder / "gallery.md").write_text("".join(parts), encoding="utf-8")


def pictures(results: Path) -> dict[str, list[Path]]:
    """The pages of the figures in a results root, by the name of their figure."""
    by_place = {f"{figure.place:02d}": name for name, figure in FIGURES.items() if not figure.per_flow}
    found: dict[str, list[Path]] = {}
    for path in sorted((results / "figures").glob("*.html")):
        place, _, _ = read_figure_page(path).title.partition(" ")
        if place in by_place:
            found.setdefault(by_place[place], []).append(path)
    for path in sorted((results / "figures/flow").glob("*/*/*.html")):
        if path.stem in FIGURES and FIGURES[path.stem].per_flow:
            found.setdefault(path.stem, []).append(path)
    return found


def asked_by(figure: Figure) -> list[Asked]:
    """What asks for a figure, each of which is enough in a study that probes global and local tasks."""
    plain = Contents(questions=frozenset({"global", "local"}))
    if figure.only_with:
        return [Asked(QUESTIONS_WITH[figure.only_with], ASKED_BY["flow"].section)]
    if figure.exists(plain) and not figure.exists(Contents()):
        return [ASKED_BY["questions"]]
    enough = []
    for attribute, asked in ASKED_BY.items():
        for value, key in _values(attribute, asked.key):
            if figure.exists(replace(plain, **{attribute: value})):
                enough.append(Asked(key, asked.section))
    return list(dict.fromkeys(enough))


def _values(attribute: str, key: str) -> Iterator[tuple[Any, str]]:
    """Contents of a study that an attribute may have, each with the key that gives them."""
    if attribute == "interventions":
        yield from ((frozenset({kind}), f"{key}.{kind}") for kind in INTERVENTIONS)
    elif attribute == "sites":
        yield frozenset({"attention", "mlp", "heads"}), key
    elif attribute == "questions":
        return
    else:
        plain = getattr(Contents(), attribute)
        yield (True if isinstance(plain, bool) else (("model", "set"),)), key


def has(config: Any, key: str) -> bool:
    """Whether a study has a key; ``*`` stands for any name."""
    first, _, rest = key.partition(".")
    if not isinstance(config, Mapping):
        return False
    values = config.values() if first == "*" else [config[first]] if first in config else []
    return any(not rest or has(value, rest) for value in values)


def excerpt(text: str, section: str) -> str:
    """The lines of a section of a study, with the comment above it."""
    found = re.search(rf"^(?:#.*\n)*{section}:.*\n(?:(?:[ #].*)?\n(?!#))*(?:[ ].*\n)?", text + "\n", re.MULTILINE)
    return found[0].strip("\n") if found else ""


def _title(name: str) -> str:
    figure = FIGURES[name]
    title = re.sub(r"[:,]? *(of )?\{variant\}", "", figure.title)
    return f"Information flow: {name.replace('-', ' ')}" if figure.per_flow else title


def _figure(name: str, pages: list[Path], results: Path, root: Path, level: str = "##") -> str:
    """The part of the gallery about one figure."""
    pages = _without_depth(pages)
    shown = "".join(_picture(path, results) for path in pages)
    heading = f"{level} {_title(name)} {{ #{name} }}\n\n"
    return f"{heading}{shown}{_caption(name, pages, root)}\n\n{_asked(name, bool(pages), root)}\n"


def _without_depth(pages: list[Path]) -> list[Path]:
    """The figures against the layer; the same against the relative depth is of use with models of several depths."""
    return [path for path in pages if not path.stem.endswith("-by-depth")]


def _picture(page: Path, results: Path) -> str:
    file = f"demo/{page.relative_to(results).with_suffix('.png')}"
    return f'[![{page.stem}]({file} "{page.stem}"){{ loading=lazy }}]({file}){{ .gallery-figure }}\n\n'


def _caption(name: str, pages: list[Path], root: Path) -> str:
    """How to read it, as HTML: the caption of its page, or of no study."""
    found: FigurePage | None = read_figure_page(pages[0]) if pages else None
    caption = found.caption if found else _plain_caption(root, name)
    # A blank line would end a block of HTML in Markdown.
    return '<div class="gallery-caption">\n' + re.sub(r"\n\s*\n", "\n", caption.strip()) + "\n</div>"


def _asked(name: str, made: bool, root: Path) -> str:
    """What asks for a figure: the key, an explanation, and the lines of a study that has it."""
    asked = asked_by(FIGURES[name])
    keys = " or ".join(f"[`{one.key}`](config/README.md#{one.section})" for one in asked)
    for file, text, config in _studies(root):
        if made and file != DEMO:
            break
        if one := next((one for one in asked if has(config, one.key)), None):
            lines = excerpt(text, one.key.partition(".")[0])
            return (
                f"**Made for** a study with {keys}, such as [{file}]({file}.md):\n\n"
                f'??? example "The lines of {file}"\n\n'
                + "".join(f"    {line}".rstrip() + "\n" for line in ["```yaml", *lines.splitlines(), "```"])
            )
    return f"**Made for** a study with {keys}" + (", which the demo has by default.\n" if made else ".\n")


@cache
def _studies(root: Path) -> list[tuple[str, str, Any]]:
    """The studies of the project, the demo first: file, text and content."""
    files = sorted((root / "config").glob("*.yaml"), key=lambda path: (path.name != Path(DEMO).name, path.name))
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    return [(str(path.relative_to(root)), text, yaml.safe_load(text)) for path, text in texts.items()]


@cache
def _plain_caption(root: Path, name: str) -> str:
    return caption_html(root / f"report/{name}.rst", PARAMS)
