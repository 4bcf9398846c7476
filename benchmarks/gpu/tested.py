"""The tests that need a GPU, run by pytest in a process of their own."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

from gpu.results import Results
from gpu.worker import run_sections

REPOSITORY = Path(__file__).resolve().parents[2]


def run(results: Results) -> None:
    """Run the files that hold such tests. Others are not even imported: the machine may lack what they need."""
    files = [
        path.relative_to(REPOSITORY)
        for path in sorted((REPOSITORY / "tests").rglob("test_*.py"))
        if re.search(r"\bmark\.gpu\b", path.read_text())
    ]
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-v", "--durations=5", "--tb=short", "--timeout=60"]
    # pytest's own cache stays out of the repository.
    command += ["-p", "no:cacheprovider", *map(str, files)]
    output = results.folder / "tests.txt"
    # Straight into the file, which then says how far they came should the time be over.
    with open(output, "w") as file:
        done = subprocess.run(command, cwd=REPOSITORY, stdout=file, stderr=subprocess.STDOUT, check=False)
    lines = output.read_text().splitlines() or ["no output"]
    results.line(f"`{' '.join(['pytest', '-m', 'gpu', *map(str, files)])}`: {lines[-1].strip('= ')}")
    problems = [line[:300] for line in lines if line.startswith(("FAILED", "ERROR", "E  "))]
    if problems:
        results.line("\n```\n" + "\n".join(problems[:15]) + "\n```")
    results.record(what="tests", status=done.returncode, last=lines[-1], problems=problems)
    if done.returncode:
        raise RuntimeError(f"pytest ended with status {done.returncode}; tests.txt has its output")


def main() -> None:
    """Run the one section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    args, _ = parser.parse_known_args()
    sys.exit(run_sections(args.sections, args.out, lambda _name, results: run(results), lambda: False))


if __name__ == "__main__":
    main()
