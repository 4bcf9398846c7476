"""What no published file may say: where files lay, on which machine, who made them, and tokens of the hub."""

import getpass
import os
import re
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

# Of the hub, of GitHub and of other model providers, as they are written.
TOKENS = re.compile(r"\b(hf_[A-Za-z0-9]{20,}|gh[opsu]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|sk-[A-Za-z0-9_-]{20,})")
TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_TOKEN")
# A path from the root of a disk; the end of an address on the web is none. Its first folder decides: ids such as
# /m/01g317 are no paths.
PATHS = re.compile(
    r"""(?:\bfile:/*(?=/)|(?<![\w./~<>-]))/(?P<first>[\w.+-]+)(?:/[^\s"'`<>|,;:()\[\]{}]*)+"""
    r"""|\b[A-Za-z]:\\[^\s"'`<>|,;]+"""
)
ROOTS = {
    "Users",
    "Volumes",
    "afs",
    "data",
    "data1",
    "data2",
    "datasets",
    "etc",
    "export",
    "fs",
    "gpfs",
    "home",
    "local",
    "lustre",
    "media",
    "mnt",
    "net",
    "nfs",
    "nobackup",
    "opt",
    "private",
    "proj",
    "project",
    "projects",
    "root",
    "run",
    "scratch",
    "shared",
    "srv",
    "storage",
    "tmp",
    "usr",
    "var",
    "work",
    "workspace",
}
# Logins and hosts of many machines, which name nobody. They are words of a study, too.
NOBODY = {
    "root",
    "user",
    "users",
    "admin",
    "ubuntu",
    "debian",
    "centos",
    "nobody",
    "runner",
    "jovyan",
    "home",
    "localhost",
}
SHORTEST_NAME = 3


class Private:
    """What is private here and now.

    Args:
        root: the folder where the study runs; paths below it are shown from there.
        words: names that the study itself uses. They are never taken for the name of a user or a machine.
    """

    def __init__(self, root: Path, words: Iterable[str] = ()):
        self._root = root.resolve()
        secrets = [os.environ.get(name, "") for name in TOKEN_VARIABLES]
        self._secrets = [secret for secret in secrets if len(secret) > SHORTEST_NAME]
        known = NOBODY | set(words)
        # A machine's name may go on with its domain.
        self._names = {
            "the name of this machine": _whole([socket.gethostname().split(".")[0]], known, r"(?:\.[\w-]+)*"),
            "the name of its user": _whole([_user(), Path.home().name], known),
        }

    def hidden(self, text: str) -> str:
        """A text without what is private: paths start from the study's folder, and all else is ``<...>``."""
        for secret in self._secrets:
            text = text.replace(secret, "<token>")
        text = PATHS.sub(self._relative, TOKENS.sub("<token>", text))
        for what, names in self._names.items():
            if names is not None:
                text = names.sub("<machine>" if "machine" in what else "<user>", text)
        return text

    def found(self, text: str) -> str:
        """What private thing a text holds, for a message; empty if there is none."""
        return next(self._all(text), "")

    def _all(self, text: str) -> Iterator[str]:
        if TOKENS.search(text) or any(secret in text for secret in self._secrets):
            yield "a token"
        for path in PATHS.finditer(text):
            if _is_of_disk(path):
                yield f"the path {path[0]}"
        for what, names in self._names.items():
            if names is not None and (name := names.search(text)):
                yield f"{what}, {name[0]!r}"

    def _relative(self, path: re.Match[str]) -> str:
        if not _is_of_disk(path):
            return path[0]
        try:
            return Path(path[0].removeprefix("file:")).relative_to(self._root).as_posix()
        except ValueError:
            return "<path>"


def without_folders(ids: Iterable[str]) -> dict[str, str]:
    """Ids that are paths of this machine, by what they become: their path from the deepest folder that all share."""
    paths = [one for one in ids if one.startswith("/") and (path := PATHS.match(one)) and _is_of_disk(path)]
    if not paths:
        return {}
    folder = os.path.commonpath([Path(path).parent for path in paths])
    return {path: os.path.relpath(path, folder) for path in paths}


def _is_of_disk(path: re.Match[str]) -> bool:
    first = path["first"]
    return first is None or first in ROOTS or Path("/", first).is_dir()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # In a container, a number may have no name.
        return ""


def _whole(names: Iterable[str], known: set[str], more: str = "") -> re.Pattern[str] | None:
    """Finds names as whole words. One beside a slash is the owner of a model or a data set on the hub."""
    wanted = sorted({name for name in names if len(name) >= SHORTEST_NAME and name not in known}, key=len, reverse=True)
    return re.compile(rf"(?<![\w/-])(?:{'|'.join(map(re.escape, wanted))}){more}(?![\w/-])") if wanted else None
