"""What each fault's test says of it, and the page that is written from all of them."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

TESTS = Path(__file__).resolve().parents[1]

Test = TypeVar("Test", bound=Callable)


class Fault(NamedTuple):
    """A row of docs/reliability.md."""

    what: str
    sees: str
    kept: str
    test: str


def fault(what: str, *, sees: str, kept: str) -> Callable[[Test], Test]:
    """Say of a test which fault it makes, what the user then sees, and what is kept.

    It only marks: :func:`all_faults` reads the source, so that the page needs none of what the tests import.
    """
    del what, sees, kept
    return lambda test: test


def all_faults() -> Iterator[Fault]:
    """The faults of all tests, in the order of files and lines."""
    for file in sorted(TESTS.rglob("test_*.py")):
        for test in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(test, ast.FunctionDef):
                continue
            for mark in test.decorator_list:
                if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == "fault":
                    given = {word.arg: ast.literal_eval(word.value) for word in mark.keywords}
                    name = f"{file.relative_to(TESTS.parent)}::{test.name}"
                    yield Fault(ast.literal_eval(mark.args[0]), **given, test=name)
