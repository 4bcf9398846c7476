"""This project beside what one would use instead: a plain loop, nnsight, TransformerLens and VLM-Lens.

Each tool gets an environment of its own, the same folder of a model, and the same pictures and questions. Prints two
Markdown tables: one of extraction, whose states must agree, and one of the whole study (extraction, probes, intervals).
What cannot be installed is named. Ends with status 1 if an installed tool fails or its states differ.

    python benchmarks/peers/drive.py                       a model with random weights (about half an hour of CPU)
    python benchmarks/peers/drive.py --model FOLDER        a model of yours, with a chat template
    python benchmarks/peers/drive.py --small               a tiny model (a minute, once the environments are there)
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from environments import VLM_LENS, python_of, source_of
from made import make_folder, make_inputs
from ours import OurStudy
from processes import Runner, checked
from study import LABELS, RESAMPLES, C
from tables import CAN, extraction_table, study_table
from ways import AGREE, REFERENCE, WAYS, Way, difference

from layerwise.errors import InputError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LEAST_PICTURES = 5


def begin(ways: list[Way], folder: Path, args: argparse.Namespace) -> dict[str, Runner]:
    """Make the environments and start every tool that can be; the others know why they cannot."""
    runners = {}
    for number, way in enumerate(ways):
        try:
            source = source_of(args.vlm_lens, args.environments) if way.tool == "vlm_lens" else None
            python = Path(sys.executable)
            if way.tool != "layerwise" and not args.this_environment:
                python = python_of(way.tool, args.environments)
        except InputError as error:
            way.cannot = f"not installed: {error}"
            continue
        work = folder / f"way-{number}"
        work.mkdir()
        runner = Runner(python, way, work, args.model, args.threads, source)
        try:
            way.start = runner.answer()["cpu"]
        except InputError as error:
            way.cannot = f"failed: {error}"
            continue
        runners[way.shown] = runner
    return runners


def extract(ways: list[Way], runners: dict[str, Runner], rounds: int) -> None:
    """Let the tools take turns, and compare their states with the plain loop's."""
    for _ in range(rounds):
        for way in ways:
            if not way.cannot:
                try:
                    way.costs.append(runners[way.shown].extract())
                except InputError as error:
                    way.cannot = f"failed: {error}"
    if next(way for way in ways if way.shown == REFERENCE).cannot:
        return
    truth = load_file(runners[REFERENCE].states)["states"]
    for way in ways:
        if not way.cannot:
            way.difference = difference(load_file(runners[way.shown].states)["states"], truth)


def whole_study(folder: Path, args: argparse.Namespace, inputs: list[dict[str, Any]], states: Path) -> dict[str, Any]:
    """The CPU seconds of our programs, from their start to the intervals, and of scikit-learn on finished states."""
    study = OurStudy(folder / "study", args.model, inputs, args.threads)
    spent = []
    for command in study.commands(folder / "work"):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        checked(command, args.threads)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    python = Path(sys.executable) if args.this_environment else python_of("plain", args.environments)
    theirs = checked([str(python), str(HERE / "study.py"), str(states), str(folder / "inputs.json")], args.threads)
    return {"extraction": spent[0], "probes": sum(spent[1:]), "theirs": json.loads(theirs.splitlines()[-1])}


def print_study(
    ways: list[Way], folder: Path, args: argparse.Namespace, inputs: list[dict[str, Any]], states: Path
) -> None:
    """Run the whole study and print its table.

    Raises:
        InputError: when one of its programs fails.
    """
    costs = whole_study(folder, args, inputs, states)
    print(
        f"\n**The whole study**: embeddings, each block and the final norm at the last token, {len(LABELS)} labels, "
        f"{len(C)} C, and 95 % intervals from {RESAMPLES} resamples of pictures, measured once. Loading libraries and "
        "the model is counted; for ours, also its checks, its files and three processes. The others end in the same "
        "program with scikit-learn.\n"
    )
    print(study_table(ways, costs), flush=True)


def described(folder: Path) -> str:
    """What a folder holds, for the page."""
    config = json.loads((folder / "config.json").read_text())
    text = config.get("text_config", config)
    shape = f"{text['num_hidden_layers']} blocks of width {text['hidden_size']}"
    return f"a model of the type {config['model_type']} with {shape}, given as a folder"


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--small", action="store_true", help="a tiny model, few inputs, two rounds")
    size.add_argument("--quick", action="store_true", help="the default")
    size.add_argument("--full", action="store_true", help="four times as many inputs")
    parser.add_argument("--model", help="folder of a model in transformers' format; default: random weights")
    parser.add_argument("--images", type=int, help="pictures; default: 40, with --small 8, with --full 160")
    parser.add_argument("--texts", type=int, default=5, help="questions about each image")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=sorted({tool for _, tool, _ in WAYS}),
        help="tools to run beside ours and a plain loop",
    )
    parser.add_argument("--vlm-lens", default=VLM_LENS, help="git address of VLM-Lens, or a local clone")
    parser.add_argument("--environments", type=Path, default=ROOT / ".environments/peers")
    parser.add_argument("--this-environment", action="store_true", help="run the tools in this one; for the tests")
    args = parser.parse_args()
    args.images = args.images or (8 if args.small else 160 if args.full else 40)
    args.rounds = args.rounds or (2 if args.small else 3)
    if args.images < LEAST_PICTURES:
        parser.error(
            f"--images {args.images}: every fifth picture is a test picture, so give at least {LEAST_PICTURES}"
        )
    if args.model and not (Path(args.model) / "config.json").exists():
        parser.error(f"--model {args.model}: there is no config.json in this folder")
    args.model = args.model and str(Path(args.model).resolve())
    args.environments = args.environments.resolve()
    return args


def main() -> int:
    """Measure, print, and return 1 if a tool failed or states differ."""
    args = parsed()
    ways = [
        Way(shown, tool, batch)
        for shown, tool, batch in WAYS
        if not args.only or tool in {*args.only, "layerwise", "plain"}
    ]
    began = time.strftime("%Y-%m-%d")
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        folder = Path(name)
        inputs = make_inputs(folder, args.images, args.texts)
        if args.model:
            said = described(Path(args.model))
        else:
            args.model = str(folder / "model")
            said = make_folder(folder / "model", [one["text"] for one in inputs], args.small)
        runners = begin(ways, folder, args)
        extract(ways, runners, args.rounds)
        for runner in runners.values():
            runner.end()
        print(
            f"On {began}: {said}, {args.images} pictures with {args.texts} questions each, {args.threads} thread(s), "
            f"float32. The tools take turns; medians of {args.rounds} rounds of all inputs with the model loaded. Read "
            "ratios of CPU time rather than seconds: other programs may have run on the machine. A state's difference "
            "is the norm of the difference from the plain loop's, relative to that state.\n"
        )
        print(extraction_table(ways, len(inputs)), flush=True)
        # A tool that is left out, or whose states are wrong, has no study to compare.
        if all(not way.cannot for way in ways if way.tool in ("layerwise", "plain")):
            print_study(ways, folder, args, inputs, runners[REFERENCE].states)
    print(f"\n{CAN}")
    wrong = [way.shown for way in ways if not (way.cannot or way.difference <= AGREE)]
    print(f"- states agree to {AGREE:.0e}: {'NOT those of ' + ', '.join(wrong) if wrong else 'all'}")
    failed = [f"{way.shown} {way.cannot}" for way in ways if way.cannot.startswith("failed")]
    print("\n".join(f"- {line}" for line in failed))
    return bool(wrong or failed)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"error: {error}")
