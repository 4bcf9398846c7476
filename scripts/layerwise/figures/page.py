"""A page for a figure: the picture with its caption, for the report and to open by itself."""

import base64
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
from docutils.core import publish_parts
from markupsafe import Markup

# CSS pixels per dot of the picture, which has 200 to the inch: a letter of 8 points is as high as one of the text.
SCALE = 0.6

_PAGE = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { font: 14px/1.45 system-ui, sans-serif; color: #222; background: #fff; margin: 1rem; }
/* The caption stands beside the picture or, where there is no room, above it: it is seen without scrolling. */
figure { display: flex; flex-wrap: wrap-reverse; gap: .5rem 2rem; align-items: flex-end; margin: 0; }
img { width: {{ width }}px; max-width: 100%; height: auto; }
figcaption { flex: 1 1 18rem; max-width: 60rem; }
figcaption p { margin: .3rem 0 .7rem; }
</style>
</head>
<body>
<figure>
<img src="data:image/png;base64,{{ picture }}" alt="{{ title }}">
<figcaption>
{{ caption }}
</figcaption>
</figure>
</body>
</html>
""")


def caption_html(template: str | Path, params: Mapping[str, Any]) -> str:
    """A caption as HTML.

    Args:
        template: reStructuredText in which Jinja fills in ``snakemake.params``, as Snakemake does in the report. It may
            include files of its folder.
        params: what the template may name; any other name is an error.
    """
    # The settings of Snakemake's own report, but strict about names that are not defined.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(template).parent),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    filled = environment.get_template(Path(template).name)
    text = filled.render(snakemake=SimpleNamespace(params=SimpleNamespace(**params)))
    strict = {"halt_level": 2, "report_level": 2}
    return publish_parts(text, writer="html", settings_overrides=strict)["body"]


def figure_page(picture: str | Path, title: str, caption: str) -> str:
    """A page with no reference to another file.

    Args:
        picture: a PNG.
        title: of the page.
        caption: HTML.
    """
    content = Path(picture).read_bytes()
    # The header of a PNG holds its width in these four bytes.
    width = round(int.from_bytes(content[16:20], "big") * SCALE)
    encoded = base64.b64encode(content).decode()
    return _PAGE.render(title=title, picture=encoded, caption=Markup(caption), width=width)
