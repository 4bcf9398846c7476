"""Programs import what they use, so that dozens of short jobs do not each wait for libraries that take seconds."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

# What takes longer than a tenth of a second, and what is not imported at all by the programs that need no more.
TORCH = {"torch", "transformers"}
FITS = TORCH | {"sklearn", "scipy.stats", "statsmodels"}
DRAWS = FITS | {"matplotlib"}
WITHOUT = {
    "check_prompts.py": DRAWS,
    "extract_position.py": DRAWS,
    "extract_states.py": DRAWS,
    "fit_concept.py": DRAWS,
    "fit_position_probes.py": DRAWS,
    "fit_probes.py": DRAWS,
    "fit_site_probes.py": DRAWS,
    "fit_task_position.py": DRAWS,
    "gather_positions.py": DRAWS,
    "gather_scores.py": DRAWS,
    "compare.py": DRAWS,
    "make_questions.py": DRAWS,
    "make_stimuli.py": DRAWS,
    "make_table.py": DRAWS,
    "make_task.py": DRAWS,
    "make_world.py": DRAWS | {"pandas"},
    "plot_figure.py": FITS,
    "show_figure.py": DRAWS | {"pandas"},
    "trace_flow.py": DRAWS,
}
# Each program in a process forked from this one: it starts with no more than the standard library.
CHILD = """
import json, os, runpy, sys
for program in sys.argv[1:]:
    if os.fork() == 0:
        sys.argv = [program, "--help"]
        sys.path.insert(0, os.path.dirname(program))
        sys.stdout = open(os.devnull, "w")
        try:
            runpy.run_path(program, run_name="__main__")
        except SystemExit:
            pass
        os.write(1, (json.dumps([os.path.basename(program), sorted(sys.modules)]) + "\\n").encode())
        os._exit(0)
    os.wait()
"""


def imported(programs: list[str]) -> dict[str, set[str]]:
    """What each program has imported when its arguments are read."""
    command = [sys.executable, "-c", CHILD, *(str(REPOSITORY / "scripts" / program) for program in programs)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {program: set(modules) for program, modules in map(json.loads, done.stdout.splitlines())}


def test_programs_import_no_library_before_they_need_it():
    found = imported(list(WITHOUT))
    assert set(found) == set(WITHOUT)
    assert {program: sorted(found[program] & libraries) for program, libraries in WITHOUT.items()} == {
        program: [] for program in WITHOUT
    }


def test_planning_imports_every_entry_of_a_catalogue_and_no_library():
    code = """
import sys
from layerwise.compare.catalogue import COMPARISONS
from layerwise.figures.captions import caption_digest
from layerwise.figures.catalogue import FIGURES, TABLES
from layerwise.figures.planning import pictures
assert all(len(list(catalogue.values())) > 3 for catalogue in (COMPARISONS, FIGURES, TABLES))
print(*{name.partition(".")[0] for name in sys.modules})
"""
    environment = {"PYTHONPATH": str(Path(REPOSITORY, "scripts"))}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert not {"numpy", "pandas", "pyarrow", "scipy", "matplotlib", "jinja2", "docutils"} & set(done.stdout.split())


def test_finished_parts_are_put_together_without_torch():
    """As every job does whose cell another job has gone on with."""
    code = "import sys, extract_states; sys.exit('torch' in sys.modules or 'safetensors.torch' in sys.modules)"
    environment = {"PYTHONPATH": str(Path(REPOSITORY, "scripts"))}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_authors_code_runs_without_what_its_transformers_lacks():
    """As in the second environment, which :mod:`tests.legacy` makes."""
    code = "import sys; sys.modules['transformers.cache_utils'] = None\n"
    code += "import layerwise.models.opening, layerwise.states.going_on, layerwise.states.running"
    environment = {"PYTHONPATH": str(Path(REPOSITORY, "scripts"))}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


@pytest.mark.parametrize("stage", ["states", "flow"])
def test_stages_import_no_adapter(stage):
    """They see the abstract model, so that a new adapter needs no line there."""
    for file in (REPOSITORY / "scripts/layerwise" / stage).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert "adapters" not in (node.module or "").split("."), f"{file}: {node.module}"
