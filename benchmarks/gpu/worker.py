"""A process that runs sections one after the other, and tells the runner how far it is.

One process makes the model once for several sections. It ends early when the GPU no longer answers; the runner then
starts another one for the sections that are left.
"""

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from gpu.results import Results
from gpu.sections import SECTIONS

# What begins a line for the runner; all else on standard output is a library's.
MARK = "@section"
# Exit statuses: the device is lost, and there is none.
LOST, NO_CARD = 3, 4


def tell(*words: str) -> None:
    """Say something to the runner."""
    print(MARK, *words, flush=True)


def run_sections(
    names: Sequence[str], folder: Path, run: Callable[[str, Results], None], lost: Callable[[], bool]
) -> int:
    """Run sections; a failed one leaves the end of its error in the results. Returns the exit status.

    Args:
        names: of the sections.
        folder: of the results.
        run: runs a section.
        lost: whether the device no longer works, asked after a failure.
    """
    for name in names:
        tell("begin", name)
        start, results = time.perf_counter(), Results(folder, name)
        heading(results)
        try:
            run(name, results)
        except Exception as error:
            traceback.print_exc()
            note_failure(results, "".join(traceback.format_exception(error)))
            if lost():
                tell("end", name, "lost")
                return LOST
            tell("end", name, "failed")
            continue
        seconds = time.perf_counter() - start
        results.line(f"\n({seconds:.0f} s)")
        results.record(what="elapsed", seconds=seconds)
        tell("end", name, "done")
    return 0


def heading(results: Results) -> None:
    """Begin a section on the page."""
    results.line(f"\n## {next(section.title for section in SECTIONS if section.name == results.section)}\n")


def note_failure(results: Results, text: str) -> None:
    """Put the last lines of an error into the results."""
    last = [line[:300] for line in text.strip().splitlines()[-6:]]
    results.line("\nFailed:\n\n```\n" + "\n".join(last) + "\n```")
    results.record(what="failed", error=last)


def main() -> None:
    """Run sections that use the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--rounds", type=int, required=True)
    args = parser.parse_args()

    import torch

    import layerwise  # noqa: F401 - before transformers, whose torchvision it mends
    from gpu.card import Card

    if not args.small and not torch.cuda.is_available():
        sys.exit(NO_CARD)
    if args.small:
        # Several threads would wait for one another longer than they compute.
        torch.set_num_threads(1)
    card = Card(args.out, args.small, args.rounds)

    def run(name: str, results: Results) -> None:
        try:
            import_module(f"gpu.{name}").run(card, results)
        finally:
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def lost() -> bool:
        if not torch.cuda.is_available():
            return False
        try:
            torch.ones(1, device="cuda").add_(1)
            torch.cuda.synchronize()
        except Exception:
            traceback.print_exc()
            return True
        return False

    sys.exit(run_sections(args.sections, args.out, run, lost))


if __name__ == "__main__":
    main()
