"""How tests share the machine's cores; a pytest plugin for pytest-xdist.

The tests of a file run one after the other on one core, so that what they share is made once. Files that take long or
share something costly with another file are listed here; the others need nothing. (pytest-xdist 3.8 has a marker for
groups of tests, which has no effect with pytest 9.)
"""

import os
from itertools import count

import pytest

# What takes longest begins first, so that no core waits for another in the end. Files in one line stay on one core.
LONGEST = [
    # They share the second environment.
    ["tests/legacy/test_paper_models.py", "tests/legacy/test_paper_grid.py"],
    ["tests/workflow/test_demo.py"],
    # They share the finished tiny grid.
    [
        f"tests/workflow/test_{name}.py"
        for name in ("whole_run", "page", "staleness", "clock", "shards_and_partial", "extending", "used")
    ],
    ["tests/slurm/test_slurm.py"],
    # They share a made-up study and its page.
    [
        f"tests/browser/test_{name}.py"
        for name in ("choice", "everyone", "first_screen", "items", "opening", "tables", "views")
    ],
    ["tests/workflow/test_flow.py"],
    ["tests/workflow/test_downloads.py"],
    ["tests/workflow/test_sites_and_interventions.py"],
    ["tests/faults/test_killed_extraction.py"],
    ["tests/faults/test_disks.py"],
    ["tests/faults/test_random_kills.py"],
    ["tests/workflow/test_bad_input.py"],
    ["tests/workflow/test_older_weights.py"],
    ["tests/unit/flow/test_measuring.py"],
    ["tests/unit/models/test_embedded_model.py"],
    ["tests/unit/models/test_hub.py"],
]
# Files that are worth dividing among the cores, although each then makes what its tests share.
DIVIDED = {"tests/faults/test_random_kills.py"}
LINE_OF = {file: line for line, files in enumerate(LONGEST) for file in files}


def file_of(nodeid: str) -> str:
    return nodeid.split("::", 1)[0]


def pytest_collection_modifyitems(items: list[pytest.Item]):
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: LINE_OF.get(file_of(item.nodeid), len(LONGEST)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    from xdist.scheduler import LoadScopeScheduling

    # In the order of the collection, and not by the number of tests.
    config.option.loadscopereorder = False
    return _scheduler(LoadScopeScheduling, config, log)


def _scheduler(base: type, config: pytest.Config, log):
    number = count()
    groups: dict[str, str] = {}

    class Scheduler(base):
        def _split_scope(self, nodeid: str) -> str:
            file = file_of(nodeid)
            if nodeid not in groups:
                part = next(number) % self.config.getoption("numprocesses") if file in DIVIDED else ""
                groups[nodeid] = f"{LONGEST[LINE_OF[file]][0] if file in LINE_OF else file}{part}"
            return groups[nodeid]

    return Scheduler(config, log)
