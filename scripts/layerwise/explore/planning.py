"""What the page of a study has: its parts, its charts, and what they are made from."""

from layerwise.explore.catalogue import PARTS, VIEWS
from layerwise.figures.entry import Contents


def parts(study: Contents) -> list[str]:
    """The parts of a study's page, from top to bottom."""
    return sorted((name for name, part in PARTS.items() if part.exists(study)), key=lambda name: PARTS[name].place)


def views(study: Contents) -> list[str]:
    """The charts of a study, from top to bottom."""
    return sorted((name for name, view in VIEWS.items() if view.exists(study)), key=lambda name: VIEWS[name].place)


def read_by_views(study: Contents) -> list[str]:
    """Names of what these charts are made from, see :class:`layerwise.compare.inputs.Given`."""
    found = ((*VIEWS[name].reads, *VIEWS[name].reads_too(study)) for name in views(study))
    return list(dict.fromkeys(name for names in found for name in names))


def read_by_page(study: Contents) -> list[str]:
    """Names of what the whole page is made from."""
    return list(dict.fromkeys(name for part in parts(study) for name in PARTS[part].reads(study)))
