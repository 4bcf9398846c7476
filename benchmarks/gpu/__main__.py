"""Run all sections within a time limit, most valuable first; see benchmarks/gpu.sh."""

import argparse
import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from gpu.results import Results
from gpu.sections import SECTIONS, Section
from gpu.worker import LOST, MARK, NO_CARD, heading, note_failure

# A process imports its libraries first.
START_SECONDS = 90
# How often a silent process is looked after.
LOOK_SECONDS = 0.5
# No process is begun with less time left.
LEAST_SECONDS = 15
# The caller sees the end of the output: keep the tables within it.
MOST_CHARACTERS = 11_500


class Runner:
    """Starts processes, watches the clock and goes on after whatever happens to them."""

    def __init__(self, folder: Path, options: Sequence[str], budget: float):
        self.folder, self.options = folder, options
        self.began = time.perf_counter()
        self.end = self.began + budget
        self.process: subprocess.Popen[str] | None = None

    def run(self, sections: Sequence[Section]) -> None:
        """Run the sections in order."""
        left = list(sections)
        while left and self._time_left() > LEAST_SECONDS:
            group = [section for section in left if section.process == left[0].process]
            done = self._run_group(group)
            left = [section for section in left if section.name not in done]
        for section in left:
            heading(Results(self.folder, section.name))
            note_failure(Results(self.folder, section.name), "not begun: the time was over")

    def _run_group(self, group: list[Section]) -> set[str]:
        """Run sections in one process; returns those that need not be run again."""
        program = "gpu.tested" if group[0].process == "tests" else "gpu.worker"
        command = [sys.executable, "-m", program, *(section.name for section in group), "--out", str(self.folder)]
        lines: queue.Queue[str | None] = queue.Queue()
        with open(self.folder / "log.txt", "a") as log:
            # A session of its own, so that what it starts can be ended with it.
            self.process = subprocess.Popen(
                [*command, *self.options], stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )
            reader = threading.Thread(target=_read, args=(self.process, lines, log), daemon=True)
            reader.start()
            try:
                finished, begun, why = self._watch(group, lines)
            finally:
                self.stop()
                reader.join(5)
        if why is None:
            return finished
        # What was under way when the process ended is not tried again, or its first section if none had begun.
        at = begun or next(section for section in group if section.name not in finished)
        if begun is None:
            heading(Results(self.folder, at.name))
        print(f"{self._clock()} {at.name}: {why}", flush=True)
        note_failure(Results(self.folder, at.name), why)
        return finished | {at.name}

    def _watch(
        self, group: list[Section], lines: "queue.Queue[str | None]"
    ) -> tuple[set[str], Section | None, str | None]:
        """Follow a process until it ends or a limit is over.

        Returns:
            The finished sections, the one under way if any, and what was wrong; None if nothing was, or if the process
            said itself that the device is lost.
        """
        by_name = {section.name: section for section in group}
        finished: set[str] = set()
        current: Section | None = None
        began, limit = time.perf_counter(), min(START_SECONDS, self._time_left())
        while True:
            try:
                line = lines.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                if time.perf_counter() < began + limit and self._status() is None:
                    continue
                if self._status() is None:
                    return finished, current, f"ended after {limit:.0f} s, its limit or the end of the whole time"
                # What it started may hold its output open, so that no end of it comes.
                line = None
            if line is None:
                status = self._exited()
                if current is None and status == LOST:
                    return finished, None, None
                if status == NO_CARD:
                    sys.exit("no CUDA device; --small tries the program without one")
                return finished, current, f"its process ended with status {status}; log.txt says why"
            word, name, *outcome = line.split()
            if word == "begin":
                current = by_name[name]
                began, limit = time.perf_counter(), min(current.seconds, self._time_left())
            else:
                seconds = time.perf_counter() - began
                print(f"{self._clock()} {name}: {outcome[0]}, {seconds:.1f} s", flush=True)
                finished.add(name)
                if len(finished) == len(group):
                    return finished, None, None
                current, began, limit = None, time.perf_counter(), min(START_SECONDS, self._time_left())

    def _status(self) -> int | None:
        """The process's exit status, None while it runs."""
        assert self.process
        return self.process.poll()

    def _exited(self) -> int | None:
        """The exit status of a process that closed its output; None if it goes on all the same."""
        assert self.process
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            return None

    def _time_left(self) -> float:
        return self.end - time.perf_counter()

    def _clock(self) -> str:
        return f"[{time.perf_counter() - self.began:5.0f} s]"

    def stop(self) -> None:
        """End the process and all that it started."""
        if self.process is None:
            return
        # Also after its own end: a compiler's processes may outlive it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


def _read(process: "subprocess.Popen[str]", lines: "queue.Queue[str | None]", log) -> None:
    assert process.stdout
    for line in process.stdout:
        if line.startswith(MARK):
            lines.put(line.removeprefix(MARK).strip())
        else:
            log.write(line)
    lines.put(None)


def main() -> None:
    """Run the sections and print their tables."""
    names = [section.name for section in SECTIONS]
    parser = argparse.ArgumentParser(prog="benchmarks/gpu.sh", description=__doc__)
    parser.add_argument("--small", action="store_true", help="tiny shapes, on any machine, in about a minute")
    parser.add_argument("--rounds", type=int, help="how often each way is measured (default 7, with --small 2)")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="SECTION", help=", ".join(names))
    parser.add_argument("--seconds", type=float, default=515, help="for everything (default 515)")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT_DIR", "results-gpu")))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in ("results.md", "results.jsonl", "log.txt", "tests.txt"):
        (args.out / name).unlink(missing_ok=True)
    rounds = args.rounds or (2 if args.small else 7)
    runner = Runner(args.out.resolve(), [*(["--small"] if args.small else []), "--rounds", str(rounds)], args.seconds)

    def interrupted(*_: object) -> None:
        runner.stop()
        show(args.out)
        os._exit(1)

    signal.signal(signal.SIGTERM, interrupted)
    runner.run([section for section in SECTIONS if section.name in args.only])
    show(args.out)
    failed = "Failed:" in (args.out / "results.md").read_text()
    sys.exit(1 if failed else 0)


def show(folder: Path) -> None:
    """Print the tables, as far as they fit."""
    page = folder / "results.md"
    text = page.read_text() if page.exists() else ""
    if len(text) > MOST_CHARACTERS:
        print(f"(the page's last {MOST_CHARACTERS} of {len(text)} characters; all of it is in {page})")
    print(text[-MOST_CHARACTERS:], flush=True)


if __name__ == "__main__":
    main()
