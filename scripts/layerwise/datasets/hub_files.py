"""The receipt of a data set that was downloaded from the Hugging Face hub: what it is, and where its files lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerwise.checksums import file_sha256
from layerwise.datasets.disk import is_file
from layerwise.descriptions import read_description
from layerwise.errors import InputError

# What of a receipt says whose data they are.
ORIGIN = ("repository", "revision", "licence", "citation")


@dataclass(frozen=True)
class HubFiles:
    """The downloaded files of a data set.

    Attributes:
        receipt: the file that says all this.
        repository, revision: id and commit on the hub.
        licence, citation: as its card says, each one line; empty where it does not.
        root: the folder that paths in the repository start from.
        listed: by split, in the order in which they are read, for each file its ``path``, ``size`` and ``sha256``.
        pictures: the same for further files, which rows name by their path.
    """

    receipt: Path
    repository: str
    revision: str
    licence: str
    citation: str
    root: Path
    listed: dict[str, list[dict[str, Any]]]
    pictures: list[dict[str, Any]]

    def files(self, split: str) -> list[Path]:
        """The files of a split, in the order in which they are read.

        Raises:
            InputError: when the data set has no such split, it has no files, or one is gone.
        """
        if split not in self.listed:
            known = ", ".join(self.listed)
            raise InputError(f"{self.receipt}: {self.repository} has no split {split!r} here; it has {known}")
        if not self.listed[split]:
            raise InputError(
                f"{self.receipt}: damaged ({split} has no files); delete it and run the same command again"
            )
        found = self._paths(split)
        for file in found:
            if not is_file(file):
                raise InputError(
                    f"{file}: it was downloaded, and is gone; delete {self.receipt} and run the same command again. If "
                    "the hub's cache was moved, set HF_HOME to where it is now"
                )
        return found

    def are_there(self, splits: Sequence[str]) -> bool:
        """Whether all files of some splits are where they were downloaded to."""
        return all(is_file(file) for split in splits if split in self.listed for file in self._paths(split))

    def _paths(self, split: str) -> list[Path]:
        return [self.root / entry["path"] for entry in self.listed[split]]

    def records(self, files: Sequence[Path]) -> list[dict[str, Any]]:
        """What ``stimuli.json`` says of files that stimuli were read from: their checksums, and whose data they are."""
        checksums = {self.root / entry["path"]: entry["sha256"] for split in self.listed.values() for entry in split}
        origin = {key: getattr(self, key) for key in ORIGIN}
        return [
            {"file": str(file), "sha256": checksums[file], **origin}
            if file in checksums
            else {"file": str(file), "sha256": file_sha256(file)}
            for file in files
        ]


def read_receipt(file: str | Path) -> HubFiles:
    """Read the receipt of a download.

    Raises:
        InputError: when it is damaged.
        FileNotFoundError: when there is none.
    """
    found = read_description(file, *ORIGIN, "root", "files", "pictures")
    return HubFiles(
        receipt=Path(file),
        root=Path(found["root"]),
        listed=found["files"],
        pictures=found["pictures"],
        **{key: found[key] for key in ORIGIN},
    )
