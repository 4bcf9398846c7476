"""Data sets of the Hugging Face hub, whose files are tables: downloaded by their commit, and read by `kind: table`."""

import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from layerwise.config.base import Each, Either, Filled, Maybe, Name, Text, text
from layerwise.config.data import DatasetEntry, World
from layerwise.datasets.format import DataFormat, DataSize, OwnDownload
from layerwise.errors import InputError

# `**` stands for any folders, `*` for anything within a name. No address, and no way out of the repository.
Pattern = Annotated[
    str,
    text(
        r"(?!/|[A-Za-z]+:)(?!(?:.*/)?\.\.(?:/|$))[^\x00-\x1f\\]+",
        "a path in the repository, or a pattern of such paths (data/test-*.parquet); no address, and none that leads "
        "out of it",
    ),
]
Patterns = Annotated[
    Pattern | Annotated[list[Pattern], Each(1)], Either("a path in the repository, or a list of such paths")
]
Repository = Annotated[
    str, text(r"[A-Za-z0-9_][A-Za-z0-9_.-]*/[A-Za-z0-9_][A-Za-z0-9_.-]*", "the id of a data set on the hub: owner/name")
]
Commit = Annotated[
    str, text("[0-9a-f]{40}", "a commit of the repository: 40 hexadecimal digits (on its page under Files, History)")
]


class Entry(DatasetEntry):
    """A data set of the Hugging Face hub."""

    format: Literal["hub"]
    """How images and annotations are laid out."""
    repository: Repository
    """Its id: owner/name."""
    revision: Commit
    """The commit that is downloaded: 40 hexadecimal digits."""
    configuration: Maybe[Text] = None
    """Which of its configurations (subsets) is read. Default: the only one, or the one that its card marks as the
    default or calls default."""
    files: Maybe[Annotated[dict[Name, Patterns], Filled()]] = None
    """The files of each split, as paths in the repository or patterns of them. Default: what its card says, or else
    what the files' names say."""
    pictures: Maybe[Patterns] = None
    """Further files that are downloaded, such as pictures which rows name by their path in the repository."""
    licence: Maybe[Text] = None
    """The licence as results tell it. Default: what its card says."""
    citation: Maybe[Text] = None
    """What to cite, as results tell it. Default: the BibTeX entries of its card."""

    @model_validator(mode="after")
    def _names_files_once(self) -> "Entry":
        if self.files is not None and self.configuration is not None:
            raise PydanticCustomError(
                "unfit", "give `configuration` or `files`, not both: either says which files are read"
            )
        return self


class _Hub(DataFormat[Entry]):
    entry_class = Entry

    def own_download(self, entry: Entry, parts: Sequence[str]) -> OwnDownload:
        told = {"repository", "revision", "configuration", "licence", "citation"}
        asked = entry.model_dump(include=told, exclude_none=True)
        asked["splits"] = sorted(parts)
        if entry.files is not None:
            asked["files"] = {split: _listed(entry.files.get(split, [])) for split in asked["splits"]}
        if entry.pictures is not None:
            asked["pictures"] = _listed(entry.pictures)
        # By what is downloaded: studies that share the data root, and data sets of other names, share receipts.
        digits = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]
        folder = f"hub/{entry.repository.replace('/', '--')}/{entry.revision}"
        return OwnDownload(f"{folder}/{digits}.json", asked)

    def check_parts(self, where: str, entry: Entry, parts: Sequence[str]) -> None:
        for part in parts:
            if entry.files is not None and part not in entry.files:
                known = ", ".join(entry.files)
                raise InputError(f"{where}: the data set's `files` name no split {part!r}; they name {known}")

    def size(self, world: World | None) -> DataSize:
        # Nothing is known before the files are there.
        return DataSize(images={})


def _listed(patterns: str | list[str]) -> list[str]:
    return [patterns] if isinstance(patterns, str) else patterns


FORMAT = _Hub()
