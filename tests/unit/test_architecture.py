"""The rooms of the library import one way only, and docs/architecture.md shows how."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import CONTRACTS, LIBRARY, PAGE, arrows, boxes, page, shortest


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the library in ``folder``. In a process of its own, because import-linter silences all loggers."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", str(CONTRACTS)]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_no_stage_imports_a_later_one_and_none_imports_in_a_circle():
    done = lint_imports(LIBRARY.parent)
    assert done.returncode == 0, done.stdout


def test_the_picture_is_up_to_date():
    assert PAGE.read_text() == page(PAGE.read_text()), "run `make architecture`"


def test_no_arrow_of_the_picture_goes_up_or_both_ways():
    drawn = boxes()
    layer = {box.name: box.layer for box in drawn}
    found = arrows(drawn)
    assert len(found) > 20
    assert not [pair for pair in found if layer[pair[0]] > layer[pair[1]] or pair[::-1] in found]


def test_an_arrow_that_a_chain_implies_is_left_out():
    assert shortest({("a", "b"), ("b", "c"), ("c", "d"), ("a", "d"), ("a", "e")}) == {
        ("a", "b"), ("b", "c"), ("c", "d"), ("a", "e"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("modules", "said"),
    [
        (
            {"datasets/upward.py": "import layerwise.states"},
            "layerwise.datasets is not allowed to import layerwise.states",
        ),
        (
            {"states/one.py": "import layerwise.states.two", "states/two.py": "import layerwise.states.one"},
            "No circles, between packages or within one BROKEN",
        ),
        ({"placeless.py": ""}, "layerwise.placeless"),
    ],
)
def test_imports_upwards_and_in_circles_and_modules_without_a_place_are_named(tmp_path, modules, said):
    shutil.copytree(LIBRARY, tmp_path / "layerwise", ignore=shutil.ignore_patterns("__pycache__"))
    for name, code in modules.items():
        (tmp_path / "layerwise" / name).write_text(f"{code}\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1
    assert said in " ".join(done.stdout.split())
