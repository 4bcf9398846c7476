"""A catalogue: entries by name, one module each, imported when it is first asked for.

A catalogue says what a study may name: kinds of stimuli, data formats, metrics and so on. It is written once, as names
and modules; everything else asks it. It decides no number, so no code digest covers it: whoever takes a digest adds the
module of the entry that is used (:meth:`Catalogue.file`). A new entry then makes nothing stale that does not name it.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


class Catalogue(Mapping[str, Entry], Generic[Entry]):
    """Entries by name.

    Args:
        attribute: what every module calls its entry.
        modules: the module of each entry, by the name that a study gives it.
    """

    def __init__(self, attribute: str, modules: Mapping[str, str]):
        self.attribute = attribute
        self.modules = dict(modules)

    def __getitem__(self, name: str) -> Entry:
        # Not looked up by `import_module` for names that are not there, so that a mapping's `in` and `get` work.
        return getattr(import_module(self.modules[name]), self.attribute)

    def __iter__(self) -> Iterator[str]:
        return iter(self.modules)

    def __len__(self) -> int:
        return len(self.modules)

    def __contains__(self, name: object) -> bool:
        return name in self.modules

    def file(self, name: str) -> str:
        """The module of an entry, from ``scripts/``, for :func:`layerwise.code_digest.code_digest`."""
        return self.modules[name].replace(".", "/") + ".py"
