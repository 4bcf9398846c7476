"""Write tables as Markdown, LaTeX and a page of HTML, and the numbers in them for reading."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from layerwise.jobs.command import finished_file

# More rows than this do not fit on a page and go into a longtable.
LATEX_PAGE_ROWS = 40

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    # A long name may break after its underscores.
    "_": r"\_\allowbreak{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # A straight quotation mark needs a font encoding that not every document has.
    '"': "''",
    "\n": r" \textbackslash{}n ",
    "[": r"{[}",
    "]": r"{]}",
    "–": "--",
    "−": r"\ensuremath{-}",
    "×": r"\ensuremath{\times}",
    "²": r"\ensuremath{^2}",
    "≤": r"\ensuremath{\leq}",
}
_MARKDOWN = {character: f"\\{character}" for character in "\\`*_<>|#$~"} | {"\n": r" \\n "}

_PAGE = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { font: 14px/1.45 system-ui, sans-serif; color: #222; background: #fff; margin: 1.5rem; }
h1 { font-size: 1.25rem; } h2 { font-size: 1.05rem; margin: 1.8rem 0 .3rem; }
p { max-width: 60rem; margin: .3rem 0 .7rem; color: #444; }
/* Head and row names stay in sight. Cells have borders of their own: those of a collapsed table scroll away. */
.scroll { overflow: auto; max-height: calc(100vh - 3rem); }
table { border-spacing: 0; border-top: 2px solid #222; border-bottom: 2px solid #222; }
th, td { padding: .25rem .7rem; text-align: left; vertical-align: top; background: #fff; box-sizing: border-box; }
th { font-weight: normal; }
tbody th, td { border-bottom: 1px solid #eee; }
thead th { position: sticky; top: 0; z-index: 1; vertical-align: bottom; border-bottom: 1px solid #222;
  font-weight: bold; }
.name { position: sticky; left: 0; width: 9rem; min-width: 9rem; max-width: 9rem; overflow-wrap: anywhere; }
.name + .name { left: 9rem; } .name + .name + .name { left: 18rem; }
.name:not(:has(+ .name)) { border-right: 1px solid #ccc; }
thead .name { z-index: 2; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.text { min-width: 18rem; white-space: pre-wrap; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
{% for section in sections %}
<h2>{{ section.title }}</h2>
{% if section.note and section.note != (loop.previtem.note if loop.previtem else "") %}
<p>{{ section.note }}</p>
{% endif %}
<div class="scroll"><table>
<thead><tr>
{% for column in section.frame.columns %}
<th{{ section.html_class(column) }}>{{ column }}</th>
{% endfor %}
</tr></thead>
<tbody>
{% for row in section.frame.itertuples(index=False) %}
<tr>
{% for column in section.frame.columns %}
{% set cell = "th" if loop.index0 < section.row_names else "td" %}
<{{ cell }}{{ section.html_class(column) }}>{{ row[loop.index0] }}</{{ cell }}>
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table></div>
{% endfor %}
</body>
</html>
""")


@dataclass(frozen=True)
class Section:
    """One table with its title: cells are shown by ``str``.

    ``numbers`` names the columns that are set flush right, ``texts`` maps columns of long text to their share of the
    line in LaTeX (0 to 1), and ``detail`` marks a table too long for paper, which LaTeX and Markdown leave out. The
    first ``row_names`` columns, 3 at most, say which row it is; on a page they stay in sight.
    """

    title: str
    frame: pd.DataFrame
    note: str = ""
    numbers: tuple[str, ...] = ()
    texts: tuple[tuple[str, float], ...] = ()
    detail: bool = False
    row_names: int = 1

    def html_class(self, column: str) -> Markup:
        """The class attribute of a column's cells."""
        if column in self.frame.columns[: self.row_names]:
            name = "name"
        else:
            name = "number" if column in self.numbers else "text" if dict(self.texts).get(column, 0) >= 0.5 else ""
        return Markup(f' class="{name}"' if name else "")


def write_table(
    folder: str | Path, name: str, title: str, sections: Sequence[Section], csv: str, note: str = ""
) -> None:
    """Write ``NAME.csv``, ``.tex``, ``.md`` and ``.html``.

    Args:
        folder: where.
        name: of the files.
        title: of the pages.
        sections: what stands in them.
        csv: the table as numbers, without the note.
        note: which models the table lacks; it follows the title, and is a comment in LaTeX.
    """
    title = f"{title} - {note}" if note else title
    texts = {"csv": csv, "tex": (f"% {note}\n" if note else "") + to_latex(sections)}
    texts |= {"md": to_markdown(title, sections), "html": to_html(title, sections)}
    for suffix, text in texts.items():
        with finished_file(Path(folder) / f"{name}.{suffix}") as partial:
            partial.write_text(text, encoding="utf-8")


def to_csv(sections: Sequence[Section]) -> str:
    """All sections as one tidy CSV with the columns section, row (from 0), column, value."""
    parts = []
    for section in sections:
        long = section.frame.reset_index(drop=True).rename_axis("row").reset_index()
        long = long.melt(id_vars="row", var_name="column").sort_values("row", kind="stable")
        long.insert(0, "section", section.title)
        parts.append(long)
    return pd.concat(parts).to_csv(index=False, lineterminator="\n")


def numbers_csv(table: pd.DataFrame) -> str:
    """A table of numbers as CSV, a row each."""
    return table.to_csv(index=False, lineterminator="\n")


def to_html(title: str, sections: Sequence[Section]) -> str:
    """A page of its own, with no reference to another file."""
    return _PAGE.render(title=title, sections=sections)


def to_markdown(title: str, sections: Sequence[Section]) -> str:
    """A heading and a pipe table per section, detail left out."""
    lines = [f"# {title}", ""]
    for section in sections:
        if section.detail:
            continue
        columns = list(section.frame.columns)
        lines += [f"## {escape_markdown(section.title)}", ""]
        # A note that sections share is written once.
        if section.note and section.note not in lines:
            lines += [section.note, ""]
        lines.append("| " + " | ".join(map(escape_markdown, columns)) + " |")
        lines.append("|" + "|".join("---:" if column in section.numbers else "---" for column in columns) + "|")
        for row in section.frame.itertuples(index=False):
            lines.append("| " + " | ".join(escape_markdown(str(cell)) for cell in row) + " |")
        lines.append("")
    return "\n".join(lines)


def to_latex(sections: Sequence[Section]) -> str:
    r"""A ``table*`` per section for ``\input``, or a ``longtable`` where the rows exceed a page; detail left out."""
    parts = [r"% Needs \usepackage{booktabs}; tables longer than a page need \usepackage{longtable} too."]
    return "\n\n".join(parts + [_latex_table(section) for section in sections if not section.detail]) + "\n"


def _latex_table(section: Section) -> str:
    columns = list(section.frame.columns)
    widths = dict(section.texts)
    spec = "".join(
        rf"p{{{widths[column]}\linewidth}}" if column in widths else "r" if column in section.numbers else "l"
        for column in columns
    )
    head = " & ".join(map(escape_latex, columns)) + r" \\"
    body = [
        " & ".join(escape_latex(str(cell)) for cell in row) + r" \\" for row in section.frame.itertuples(index=False)
    ]
    caption = rf"\caption{{{escape_latex(section.title)}. {escape_latex(section.note)}}}"
    size = r"\scriptsize\setlength{\tabcolsep}{2.5pt}\setlength{\belowcaptionskip}{4pt}"
    if len(body) > LATEX_PAGE_ROWS:
        begin = [
            "{" + size + r"\setlength{\LTcapwidth}{\linewidth}",
            rf"\begin{{longtable}}{{@{{}}{spec}@{{}}}}",
            caption + r" \\",
            r"\toprule",
            head,
            r"\midrule",
        ]
        begin += [r"\endfirsthead", r"\toprule", head, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot"]
        return "\n".join([*begin, *body, r"\end{longtable}}"])
    begin = [r"\begin{table*}[htbp]", r"\centering" + size, caption, rf"\begin{{tabular}}{{@{{}}{spec}@{{}}}}"]
    end = [r"\bottomrule", r"\end{tabular}", r"\end{table*}"]
    return "\n".join([*begin, r"\toprule", head, r"\midrule", *body, *end])


def escape_latex(text: str) -> str:
    r"""Text as LaTeX prints it literally; a line break shows as ``\n``."""
    return "".join(_LATEX.get(character, character) for character in text)


def escape_markdown(text: str) -> str:
    r"""Text as Markdown shows it literally in a table cell; a line break shows as ``\n``."""
    escaped = "".join(_MARKDOWN.get(character, character) for character in text)
    # Brackets are plain but for this one place, where they would make a link.
    return escaped.replace("](", r"]\(")


def with_interval(table: pd.DataFrame, name: str, sign: str = "") -> list[str]:
    """A column of shares with those of its bounds (``_low``, ``_high``), times 100, for reading."""
    values = (number(100 * value, f"{sign}.1f") for value in table[name])
    return [f"{value} {bounds}" for value, bounds in zip(values, interval(table, name), strict=True)]


def interval(table: pd.DataFrame, name: str) -> list[str]:
    """The bounds (``_low``, ``_high``) of a column of shares, times 100, for reading."""
    bounds = zip(table[f"{name}_low"], table[f"{name}_high"], strict=True)
    return [f"[{number(100 * low, '.1f')}, {number(100 * high, '.1f')}]" for low, high in bounds]


def number(value: float, form: str) -> str:
    """A number with a true minus sign, none on what rounds to zero; a dash for NaN."""
    return "–" if np.isnan(value) else format(value, form.replace(".", "z.")).replace("-", "−")
