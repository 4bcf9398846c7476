"""Publish a finished study: check it, write all files under a temporary name, read them back, and rename the folder."""

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from layerwise.checksums import file_sha256
from layerwise.errors import InputError
from layerwise.jobs.command import REFUSED
from layerwise.publish.card_facts import Contents
from layerwise.publish.contents import write_contents
from layerwise.publish.finished import check_finished
from layerwise.publish.kept_states import GIGABYTE, check_room, chosen_states
from layerwise.publish.leaks import check_private
from layerwise.publish.licences import Said
from layerwise.publish.origins import data_of, models_of, of_unknown_licence
from layerwise.study import Study
from layerwise.workflow_folder import WORKFLOW

log = logging.getLogger(__name__)

SUMS = "SHA256SUMS"
CITATION = "CITATION.cff"


@dataclass(frozen=True)
class Wanted:
    """What a user asks for.

    Attributes:
        out: the folder to make.
        states: cells whose hidden states are published, each ``model/stimuli/prompt``, or ``all``.
        licences: see :class:`layerwise.publish.licences.Said`.
        title: of the card. Default: names the models.
        citation: a CITATION.cff. Default: the one beside the study.
        texts: whether the texts of data sets are published, too.
    """

    out: Path
    states: Sequence[str] = ()
    licences: Sequence[str] = ()
    title: str = ""
    citation: Path | None = None
    texts: bool = False


def publish(study: Study, wanted: Wanted) -> None:
    """Make the folder, whole or not at all.

    Raises:
        InputError: when the study is not finished or older than its config, when the folder holds files, when there is
            no room, or when something private would be published.
    """
    out, said = wanted.out, Said(wanted.licences)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is not empty; name a new folder, or move it away")
    log.info("asking whether the study is finished")
    check_finished(study)
    models, data = models_of(study, said), data_of(study, said)
    said.check([origin["subject"] for origin in (*models, *data)])
    unknown = of_unknown_licence([*models, *data])
    _check_licences(unknown, said, wanted.texts, [origin["subject"] for origin in data])
    chosen = chosen_states(study, wanted.states)
    out.parent.mkdir(parents=True, exist_ok=True)
    if chosen:
        size = sum(states.bytes_ for states in chosen) / GIGABYTE
        log.info("the hidden states of %d cells take %.2f GB", len(chosen), size)
        check_room(chosen, out.parent)
    contents = Contents(
        title=wanted.title,
        models=models,
        data=data,
        unknown=unknown,
        licence=said.of_folder,
        states=[states.cell for states in chosen],
        citation=_citation(study, wanted.citation),
        texts=wanted.texts,
    )
    with _whole(out) as folder:
        private = write_contents(study, contents, folder)
        check_private(folder, private)
        sums = {file.relative_to(folder).as_posix(): file_sha256(file) for file in _files(folder)}
        lines = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
        (folder / SUMS).write_text(lines, encoding="utf-8")
        size = sum(file.stat().st_size for file in _files(folder))
    log.info("%s: %d files, %.1f MB; look at its README.md before you upload it", out, len(sums) + 1, size / 1e6)


def _check_licences(unknown: Sequence[str], said: Said, texts: bool, data: Sequence[str]) -> None:
    """Tell whose licence is unknown; refuse to publish texts without one."""
    if texts and (without := [subject for subject in unknown if subject in data]):
        raise InputError(
            f"--texts: nobody said under which licence {', '.join(without)} may be passed on; look it up, and "
            f"say it with --licence {without[0]}=LICENCE"
        )
    for subject in unknown:
        log.warning("the licence of %s is unknown; look it up and say it with --licence %s=LICENCE", subject, subject)
    if not said.of_folder:
        log.warning("no licence is stated for what you publish; choose one, such as --licence cc-by-4.0")


def _citation(study: Study, named: Path | None) -> Path | None:
    """The study's own citation file. The one in the project's clone is the project's."""
    if named is not None and not named.is_file():
        raise InputError(f"--citation {named}: there is no such file")
    beside = Path(study.files[0]).resolve().parent / CITATION if study.files else Path(CITATION)
    return named or (beside if beside.is_file() and beside.parent != WORKFLOW else None)


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``out``; rename it on success, and remove it on failure."""
    partial = out.with_name(f".{out.name}.partial")
    # Of a try that was killed.
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        os.replace(partial, out)
    except Exception as error:
        # Texts, because the writers of Parquet and safetensors raise different classes.
        for code, what in REFUSED.items():
            if not isinstance(error, InputError) and os.strerror(code) in str(error):
                raise InputError(f"{out}: {what}; nothing was published") from error
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
