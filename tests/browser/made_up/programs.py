"""Run the workflow's programs in this process, which has their libraries already."""

import os
import runpy
import sys
from typing import Any
from unittest.mock import patch

from tests.conftest import REPOSITORY


def run(program: str, **options: Any) -> None:
    """Run ``scripts/PROGRAM.py``.

    Args:
        program: its name.
        options: of its command line; of a list each value stands behind the name.

    Raises:
        SystemExit: The program ended with an error.
    """
    script = str(REPOSITORY / f"scripts/{program}.py")
    command = [script]
    for name, values in options.items():
        command += [f"--{name.replace('_', '-')}", *map(str, values if isinstance(values, list) else [values])]
    # What a program sets for itself ends with it.
    with patch.object(sys, "argv", command), patch.dict(os.environ):
        runpy.run_path(script)["main"]()
