"""The code blocks of the documentation: where each is, and what says that it is not run.

A comment in the line before a block marks it: ``<!-- not run: reason -->``, or ``<!-- under models -->`` where YAML is
a part of a study and this key stands above it.
"""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import REPOSITORY

FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>```+)(?P<language>[\w-]*)[^\n]*\n(?P<code>.*?)^ *(?P=fence) *$", re.MULTILINE | re.DOTALL
)
COMMENT = re.compile(r"<!-- (?P<kind>not run|under):? (?P<text>.+?) -->")
# Drawings and listings: nothing to run.
SHOWN = {"", "text", "mermaid"}
# Pages whose examples another test runs, all of them together.
RUN_TOGETHER = {
    "docs/extending.md": "tests/workflow/test_extending.py",
    "docs/explore.md": "tests/workflow/test_demo.py",
    "docs/formats.md": "tests/workflow/test_demo.py",
}


@dataclass(frozen=True)
class CodeBlock:
    """A fenced block: page, line and language, code without indentation, and what the comment before it says."""

    page: str
    line: int
    language: str
    code: str
    not_run: str = ""
    under: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The commands of a console block, without prompt and comment."""
        lines = [line[2:] for line in self.code.splitlines() if line.startswith("$ ")]
        return [re.sub(r"\s+# .*", "", line).strip() for line in lines]


def pages() -> list[Path]:
    """README and all documentation."""
    top = [REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "config/README.md", "results/README.md")]
    return [*top, *sorted((REPOSITORY / "docs").glob("*.md"))]


def blocks_of(page: str, text: str) -> list[CodeBlock]:
    """The blocks of a page, in its order."""
    found = []
    for match in FENCE.finditer(text):
        before = text[: match.start()].rstrip("\n").rpartition("\n")[2].strip()
        comment = COMMENT.fullmatch(before)
        said = {comment["kind"].replace(" ", "_"): comment["text"]} if comment else {}
        line = text.count("\n", 0, match.start()) + 1
        found.append(CodeBlock(page, line, match["language"], textwrap.dedent(match["code"]), **said))
    return found


def blocks() -> list[CodeBlock]:
    """All blocks of README and the documentation."""
    return [
        block
        for path in pages()
        for block in blocks_of(str(path.relative_to(REPOSITORY)), path.read_text(encoding="utf-8"))
    ]
