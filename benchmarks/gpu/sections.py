"""The sections, most valuable first. Imports nothing, so that the runner does without torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A part of the program.

    Attributes:
        name: its module.
        title: its heading.
        seconds: its limit.
        process: sections in a row with the same word here share a process, and so one model.
    """

    name: str
    title: str
    seconds: int
    process: str


SECTIONS = (
    Section("environment", "Environment and ceilings", 60, "model"),
    Section("extraction", "Extraction", 110, "model"),
    Section("breakdown", "Where the time of the shared prefix goes", 50, "model"),
    Section("whole_run", "A whole run", 50, "model"),
    Section("knockout", "Attention knockout", 90, "model"),
    Section("used", "Used sweep", 60, "model"),
    Section("graphs", "CUDA graphs and compiled modules (an experiment)", 100, "model"),
    Section("tested", "Tests that need a GPU", 90, "tests"),
    Section("probes", "Probes", 100, "probes"),
    Section("quantised", "8 and 4 bits", 120, "model, again"),
    Section("compiled", "The whole decoder compiled (an experiment)", 120, "model, again"),
)
