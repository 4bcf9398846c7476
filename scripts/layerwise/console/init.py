"""Write a commented study beside someone's own pictures, and say how to run it."""

import argparse
import json
import os
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from layerwise.console.own_table import OwnTable, find_table, read_columns, table_of_folders
from layerwise.console.studies import STUDY, run_command
from layerwise.errors import InputError
from layerwise.jobs.command import finished_file
from layerwise.workflow_folder import WORKFLOW

TEMPLATE = "own-pictures.yaml.j2"
# A name that YAML reads as text, as it stands.
PLAIN = re.compile(r"[A-Za-z][\w./-]*")
WORDS_OF_YAML = {"yes", "no", "on", "off", "true", "false", "null", "y", "n"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this subcommand."""
    parser.add_argument("folder", type=Path, help="holds the pictures and their table, or a folder for each class")
    parser.add_argument("--table", type=Path, help="the table (CSV, TSV, JSON or Parquet); default: the only one there")
    parser.add_argument("--label", action="append", default=[], metavar="COLUMN", help="of the table; may be repeated")
    parser.add_argument("--example", action="store_true", help="draw a few pictures, and write their table")


def run(options: argparse.Namespace) -> None:
    """Write the study; print what it is about and what to do next.

    Raises:
        InputError: when there is a study already, or no pictures that it could be about.
    """
    folder: Path = options.folder
    if (folder / STUDY).exists():
        raise InputError(f"{folder / STUDY}: there is a study already; edit it, or move it away")
    table = read_columns(_table(options), options.label)
    with finished_file(folder / STUDY) as file:
        file.write_text(_study(table, folder), encoding="utf-8")
    about = "; ".join(f"{name} ({', '.join(classes)})" for name, classes in table.labels.items())
    print(f"Wrote {folder / STUDY}: {table.rows} rows of {table.file}. To be read off hidden states: {about}.")
    if table.text:
        print(f"Models read the column {table.text}, with the picture and without it.")
    print("Next, once you have looked into it:")
    if folder.resolve() != Path.cwd():
        print(f"  cd {folder}")
    for command in ("layerwise check", run_command([Path(STUDY)]), "layerwise open"):
        print(f"  {command}")


def _table(options: argparse.Namespace) -> Path:
    folder = options.folder
    if options.table is not None:
        folder.mkdir(parents=True, exist_ok=True)
        return options.table
    if options.example:
        from layerwise.console.example import draw_example

        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(f"{folder}: the example needs a new folder, and this one is not empty")
        return draw_example(folder)
    if folder.is_dir() and (found := find_table(folder) or table_of_folders(folder)):
        return found
    raise InputError(
        f"{folder}: here are no pictures to write a study about. Put them there, in a folder for each class or with a "
        f"table that has a column of paths and a column of labels; or see an example first: "
        f"layerwise init {folder} --example"
    )


def _study(table: OwnTable, folder: Path) -> str:
    environment = Environment(
        loader=FileSystemLoader(WORKFLOW / "config"), undefined=StrictUndefined, keep_trailing_newline=True
    )
    text = environment.get_template(TEMPLATE).render(
        file=_quoted(Path(os.path.relpath(table.file, folder)).as_posix()),
        image=_quoted(table.image),
        text=None if table.text is None else _quoted(table.text),
        labels=[_quoted(name) for name in table.labels],
        tasks=[(_quoted(name), _task_name(name, number)) for number, name in enumerate(table.labels, 1)],
        least=table.least,
        command=run_command([Path(STUDY)]),
    )
    # Comments behind values of different lengths.
    return re.sub(r"(?m)^(.*\S) +(# .*)$", lambda line: f"{line[1]:<38} {line[2]}", text)


def _quoted(text: str) -> str:
    """A text as YAML reads it."""
    plain = PLAIN.fullmatch(text) and text.lower() not in WORDS_OF_YAML
    return text if plain else json.dumps(text, ensure_ascii=False)


def _task_name(label: str, number: int) -> str:
    """A name of a task: it becomes a part of file names."""
    name = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
    return name if re.match(r"[a-z]", name) and name not in WORDS_OF_YAML else f"task-{number}"
