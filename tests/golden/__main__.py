"""Let users keep their cells over a release whose code changed and whose numbers did not.

    python -m tests.golden          compare with the golden numbers; where they agree, list the present code
    python -m tests.golden --new    after a change that was meant to change numbers: keep new ones, and start new lists

``scripts/layerwise/same_code.json`` says, for hidden states and information flow (of the generic adapter), for probes
and for GQA's questions, which code digest stands for all that give the same numbers. A listed digest counts as that
one, so that it makes nothing stale.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from layerwise.code_digest import SAME_CODE, own_digest
from layerwise.datasets.catalogue import QUESTIONS
from layerwise.models.interventions.catalogue import INTERVENTIONS
from layerwise.probes.logistic.engines.catalogue import ENGINES
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.probes.metrics.scored import ALWAYS
from tests.conftest import make_tiny_llava
from tests.golden.computed import (
    FILE,
    differences,
    of_fitted,
    of_flow,
    of_interventions,
    of_probes,
    of_questions,
    of_states,
)

STATES = ("extract_states.py", "layerwise/models/adapters/generic.py")
# Kinds of intervention that need no fitted file.
PLAIN = [kind for kind in INTERVENTIONS if INTERVENTIONS[kind].fitted is None]
# By program, the files of each digest that cells have: a model with an intervention adds the module of its kind.
PROGRAMS = {
    "states": [STATES, *((*STATES, INTERVENTIONS.file(kind)) for kind in PLAIN)],
    "fitted": [(*STATES, INTERVENTIONS.file(kind)) for kind in INTERVENTIONS if kind not in PLAIN],
    # Whichever of the metrics that are always scored a task has, it is the same code.
    "probes": [("fit_probes.py", ENGINES.file("torch"), *map(METRICS.file, ALWAYS))],
    "questions": [("make_questions.py", QUESTIONS.file("gqa"))],
    "flow": [("trace_flow.py", "layerwise/models/adapters/generic.py")],
}
# By program, the golden numbers that it must give.
NUMBERS = {"states": ("states", "interventions")}
NUMBERS |= {name: (name,) for name in ("fitted", "probes", "questions", "flow")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--new", choices=PROGRAMS, nargs="+", default=[], help="programs whose numbers are to be new")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model").mkdir()
        (folder / "cell").mkdir()
        (folder / "intervened").mkdir()
        (folder / "fitted").mkdir()
        make_tiny_llava(folder / "model")
        found = {
            "states": of_states(folder / "cell", folder / "model"),
            "interventions": of_interventions(folder / "intervened", folder / "model"),
            "fitted": of_fitted(folder / "fitted", folder / "model"),
            "probes": of_probes(folder),
            "questions": of_questions(folder),
            "flow": of_flow(folder, folder / "model"),
        }
    if args.new:
        keep(found, args.new)
    listed = json.loads(SAME_CODE.read_text())
    for program, of_cells in PROGRAMS.items():
        stands, *others = (own_digest(*files) for files in of_cells)
        if program in args.new:
            listed[program] = {"stands_for_all": stands, "same": others, "golden": golden_of(program)}
            continue
        if said := [line for numbers in NUMBERS[program] for line in differences(found[numbers], numbers)]:
            sys.exit(f"{program}: not the golden numbers, so the code is not listed: " + "; ".join(said))
        same = listed[program]["same"]
        for digest in (stands, *others):
            if digest not in (for_all := listed[program]["stands_for_all"], *same):
                same.append(digest)
                print(f"{program}: {digest} gives the golden numbers, and counts as {for_all}")
    SAME_CODE.write_text(json.dumps(listed, indent=2) + "\n")


def keep(found: dict[str, dict[str, np.ndarray]], programs: list[str]) -> None:
    """Write the golden numbers of some programs anew."""
    kept = {}
    if FILE.exists():
        with np.load(FILE) as golden:
            new = [numbers for program in programs for numbers in NUMBERS[program]]
            kept = {name: golden[name] for name in golden if name.partition("/")[0] not in new}
    kept |= {
        f"{numbers}/{name}": values
        for program in programs
        for numbers in NUMBERS[program]
        for name, values in found[numbers].items()
    }
    np.savez_compressed(FILE, **kept)


def golden_of(program: str) -> str:
    """A digest of a program's golden numbers."""
    digest = hashlib.sha256()
    with np.load(FILE) as golden:
        for name in sorted(golden):
            if name.partition("/")[0] in NUMBERS[program]:
                digest.update(name.encode() + np.ascontiguousarray(golden[name]).tobytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    main()
