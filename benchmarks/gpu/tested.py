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
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "--durations=5", "--tb=short", *map(str, files)]
    # Bytes of compiled tests and pytest's own cache stay out of the repository.
    command += ["-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    (results.folder / "tests.txt").write_text(done.stdout + done.stderr)
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "no output"
    results.line(f"`{' '.join(['pytest', '-m', 'gpu', *map(str, files)])}`: {last.strip('= ')}")
    problems = [line[:300] for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR", "E  "))]
    if problems:
        results.line("\n```\n" + "\n".join(problems[:15]) + "\n```")
    results.record(what="tests", status=done.returncode, last=last, problems=problems)
    if done.returncode:
        raise RuntimeError(
            f"pytest ended with status {done.returncode}; tests.txt has its output\n{done.stderr[-500:]}"
        )


def main() -> None:
    """Run the one section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    args, _ = parser.parse_known_args()
    sys.exit(run_sections(args.sections, args.out, lambda _name, results: run(results), lambda: False))


if __name__ == "__main__":
    main()
