"""Write docs/reliability.md from what the tests of all faults say of them: ``make reliability``."""

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TABLE = REPOSITORY / "docs/reliability.md"

HEAD = """# What can go wrong

Each of these faults has a test that causes it and checks the result. `make reliability` writes this page from those
tests, so do not edit it. After any fault, finished work stays finished, and **the same command** continues from there
([workflow.md](workflow.md) says how).

| fault | what you see | what is kept | test |
|---|---|---|---|
"""


def table() -> str:
    """The whole page."""
    # Imported late, so that the program finds the tests when it is run as a file.
    from tests.faults.reliability import all_faults

    rows = sorted(all_faults(), key=lambda fault: (fault.test.split("::")[0], fault.what))
    return HEAD + "".join(f"| {row.what} | {row.sees} | {row.kept} | `{row.test}` |\n" for row in rows)


if __name__ == "__main__":
    sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "scripts")]
    TABLE.write_text(table())
