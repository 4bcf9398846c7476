"""Open the page of a finished study, or its report."""

import argparse
import os
import sys
import webbrowser
from pathlib import Path

from layerwise.console.studies import add_study, load_study, run_command
from layerwise.errors import InputError
from layerwise.study import Study


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this subcommand."""
    add_study(parser)
    parser.add_argument("--report", action="store_true", help="the report: figures, tables and captions in one file")
    parser.add_argument("--print", action="store_true", help="print the path only, and open nothing")


def run(options: argparse.Namespace) -> None:
    """Print the path, and open it where there is a screen.

    Raises:
        InputError: when it has not been made yet; with the command that makes it.
    """
    study = load_study(options)
    found = _report(study) if options.report else _page(study)
    print(found)
    if not options.print and _has_screen() and not webbrowser.open(found.as_uri()):
        print("No browser could be started; open the file in one.", file=sys.stderr)


def _page(study: Study) -> Path:
    page = _place(study, study.shown) / "explore/index.html"
    if not page.is_file():
        raise InputError(f"{page}: not there yet; run the study first: {run_command(study.files)}")
    return page


def _report(study: Study) -> Path:
    folder = _place(study, study.results)
    reports = sorted(folder.glob("*report.html"), key=lambda file: file.stat().st_mtime)
    if not reports:
        to = f"{study.results}/{study.files[0].stem}-report.html"
        style = '--report-stylesheet "$(layerwise where report/style.css)"'
        raise InputError(
            f"{folder}: there is no report yet; make it with {run_command(study.files, '--report', to, style)}"
        )
    return reports[-1]


def _place(study: Study, folder: str) -> Path:
    """A folder of results. They are where Snakemake ran: here, or beside the study."""
    here, beside = Path(folder).absolute(), (study.files[0].parent / folder).absolute()
    return beside if beside.exists() and not here.exists() else here


def _has_screen() -> bool:
    # Elsewhere a browser for terminals would start in this one.
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
