"""The pages of some tables and figures of a made-up study, written by the real programs."""

import json
from pathlib import Path

from layerwise.compare.inputs import Given
from layerwise.figures.catalogue import FIGURES, TABLES
from tests.browser.made_up.programs import run
from tests.conftest import REPOSITORY

TABLE_NAMES = ("table-which-layer", "table2")
FIGURE_NAMES = ("which-layer",)


def tables(folder: Path, given: Given) -> list[Path]:
    """The pages of tables; beside each are its other files."""
    (folder / "tables").mkdir(exist_ok=True)
    for name in TABLE_NAMES:
        run("make_table", table=name, inputs=inputs(given, TABLES[name].reads), out_dir=folder / "tables")
    return [folder / f"tables/{name}.html" for name in TABLE_NAMES]


def figures(folder: Path, given: Given) -> list[Path]:
    """The pages of figures; beside each are its other files."""
    (folder / "figures").mkdir(exist_ok=True)
    for name in FIGURE_NAMES:
        files = [folder / f"figures/{name}.{suffix}" for suffix in ("png", "svg", "pdf", "html")]
        run("plot_figure", figure=name, inputs=inputs(given, FIGURES[name].reads), out=files[:3])
        caption = REPOSITORY / f"report/{name}.rst"
        named = json.dumps({"axis": "", "window": None, "resamples": 2000})
        run("show_figure", picture=files[0], title=FIGURES[name].title, caption=caption, params=named, out=files[3])
    return [folder / f"figures/{name}.html" for name in FIGURE_NAMES]


def inputs(given: Given, names: tuple[str, ...]) -> list[str]:
    """NAME=PATH of the files of these names."""
    return [f"{name}={path}" for name in names for path in given.paths(name)]
