"""A Snakemake that is too old says so in one line, and not that a line is no Python."""

import subprocess
import sys

from tests.conftest import REPOSITORY

# Snakemake as it was before 9.12: it calls itself 9.11 and does not know the directive that came next.
OLDER = """
from snakemake import cli, common, parser

del parser.Python.subautomata["pathvars"]
common.__version__ = "9.11.9"
cli.main(["--dry-run", "--cores", "1"])
"""


def test_an_older_snakemake_is_told_which_it_takes():
    done = subprocess.run([sys.executable, "-c", OLDER], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode
    error = done.stdout + done.stderr
    assert "Expecting Snakemake version 9.12 or higher (you are currently using 9.11.9)." in error
    assert "SyntaxError" not in error
    assert "Traceback" not in error
