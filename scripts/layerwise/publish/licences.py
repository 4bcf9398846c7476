"""Whose licence is known, and what a user says of the others. None is guessed."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from layerwise.errors import InputError

# The licences that the hub knows by these ids (https://huggingface.co/docs/hub/repositories-licenses, looked up on 28
# November 2026). It calls all others `other`, and shows their name.
HUB_LICENCES = {
    "apache-2.0",
    "mit",
    "openrail",
    "bigscience-openrail-m",
    "creativeml-openrail-m",
    "bigscience-bloom-rail-1.0",
    "bigcode-openrail-m",
    "afl-3.0",
    "artistic-2.0",
    "bsl-1.0",
    "bsd",
    "bsd-2-clause",
    "bsd-3-clause",
    "bsd-3-clause-clear",
    "c-uda",
    "cc",
    "cc0-1.0",
    "cc-by-2.0",
    "cc-by-2.5",
    "cc-by-3.0",
    "cc-by-4.0",
    "cc-by-sa-3.0",
    "cc-by-sa-4.0",
    "cc-by-nc-2.0",
    "cc-by-nc-3.0",
    "cc-by-nc-4.0",
    "cc-by-nd-4.0",
    "cc-by-nc-nd-3.0",
    "cc-by-nc-nd-4.0",
    "cc-by-nc-sa-2.0",
    "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0",
    "cdla-sharing-1.0",
    "cdla-permissive-1.0",
    "cdla-permissive-2.0",
    "wtfpl",
    "ecl-2.0",
    "epl-1.0",
    "epl-2.0",
    "etalab-2.0",
    "eupl-1.1",
    "agpl-3.0",
    "gfdl",
    "gpl",
    "gpl-2.0",
    "gpl-3.0",
    "lgpl",
    "lgpl-2.1",
    "lgpl-3.0",
    "isc",
    "lppl-1.3c",
    "ms-pl",
    "mpl-2.0",
    "odc-by",
    "odbl",
    "openrail++",
    "osl-3.0",
    "postgresql",
    "ofl-1.1",
    "ncsa",
    "unlicense",
    "zlib",
    "pddl",
    "lgpl-lr",
}
UNKNOWN = "unknown"
# Nobody else's: it was drawn or trained by the study.
OWN = "made by this study"


class Licence(NamedTuple):
    """A licence, and who says that it is the one."""

    name: str
    said_by: str


# By the names of downloads in config/sources.yaml: what the pages of the data sets say (looked up on 28 November 2026).
SOURCES = {
    "coco-2017": Licence(
        "CC BY 4.0 for annotations; pictures under the terms of Flickr",
        "https://cocodataset.org/#termsofuse",
    ),
    "snli-ve": Licence(
        "BSD 2-Clause for the repository; texts from SNLI (CC BY-SA 4.0); pictures of Flickr30k under its own terms",
        "https://github.com/necla-ml/SNLI-VE",
    ),
    "snli": Licence(
        "CC BY-SA 4.0; pictures of Flickr30k under its own terms", "https://nlp.stanford.edu/projects/snli/"
    ),
}


class Said:
    """What a user says of licences.

    Args:
        options: ``LICENCE`` of the published folder; ``models.NAME=LICENCE``, ``datasets.NAME=LICENCE`` or
            ``stimuli.NAME=LICENCE`` of what the study used.

    Raises:
        InputError: when something is said twice, or cannot be read.
    """

    def __init__(self, options: Sequence[str] = ()):
        self.of_folder = ""
        self._of: dict[str, str] = {}
        for option in options:
            subject, equals, name = option.rpartition("=")
            if not name.strip() or (equals and not re.fullmatch(r"(models|datasets|stimuli)\..+", subject)):
                raise InputError(
                    f"--licence {option}: write a licence, such as cc-by-4.0, for what is published; or "
                    "models.NAME=LICENCE, datasets.NAME=LICENCE or stimuli.NAME=LICENCE for what it was made from"
                )
            if subject in self._of or (not subject and self.of_folder):
                raise InputError(f"--licence {option}: {subject or 'the published folder'} has a licence already")
            if subject:
                self._of[subject] = name.strip()
            else:
                self.of_folder = name.strip()

    def of(self, subject: str) -> Licence | None:
        """What the user says of a subject, such as ``models.llava``."""
        return Licence(self._of[subject], "those who publish this") if subject in self._of else None

    def check(self, subjects: Iterable[str]) -> None:
        """Refuse a licence of something that the study does not use."""
        known = list(subjects)
        if strangers := [subject for subject in self._of if subject not in known]:
            raise InputError(f"--licence {strangers[0]}: the study does not use it; it uses {', '.join(known)}")


def hub_header(name: str) -> Mapping[str, Any]:
    """The keys of a card on the hub for a licence. Without one there are none, and the hub shows none."""
    if not name:
        return {}
    if name.lower() in HUB_LICENCES:
        return {"license": name.lower()}
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.+]+", "-", name.lower()).strip("-")}
