"""Assemble the page: one file of HTML with its styles, scripts and data within."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from layerwise.explore.entry import Content

# Scripts of the whole page. Those of its parts run after them.
SCRIPTS = ("rows.js", "theme.js", "contents.js", "choice.js")


def page(
    folder: Path,
    title: str,
    contents: Mapping[str, Content],
    titles: Mapping[str, str],
    facts: Mapping[str, str],
    without: str = "",
    out: Path = Path("index.html"),
) -> str:
    """The page.

    Args:
        folder: of templates, styles and scripts.
        title: of the page.
        contents: of its parts, by name, from top to bottom.
        titles: of these parts; headings within a part begin at h3.
        facts: what the page says of the study below its title, by name.
        without: what the page says of models that the study lacks.
        out: where the page will lie. In templates, ``{{ path | address }}`` is the address of a file from there.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["address"] = lambda path: quote(os.path.relpath(path, out.parent))
    parts = {
        name: Markup(environment.get_template(f"{name}.html.j2").render(content.context))
        for name, content in contents.items()
    }
    styles = [file for name in ("style", *contents) if (file := folder / f"{name}.css").exists()]
    scripts = [folder / name for name in SCRIPTS]
    scripts += [file for name in contents if (file := folder / f"{name}.js").exists()]
    libraries = dict.fromkeys(code for content in contents.values() for code in content.libraries)
    return environment.get_template("index.html.j2").render(
        title=title,
        facts=facts,
        without=without,
        parts=parts,
        titles=titles,
        styles=[Markup(file.read_text(encoding="utf-8")) for file in styles],
        libraries=[_script(code) for code in libraries],
        scripts=[_script(file.read_text(encoding="utf-8")) for file in scripts],
        data={name: _data(value) for content in contents.values() for name, value in content.data.items()},
    )


def _script(code: str) -> Markup:
    """Code that stands in a script element: nothing in it may look like the element's end."""
    return Markup(code.replace("</script", r"<\/script").replace("<!--", r"<\!--"))


def _data(value: Any) -> Markup:
    """JSON that stands in a script element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", r"\u003c"))
