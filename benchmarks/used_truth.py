"""Is a concept that a decoder uses found to be used, in the right blocks, and one that it does not use never?

The decoder is that of benchmarks/planted_decoder.py. Every study draws its own directions and pictures, and runs the
programs of the workflow: states are extracted, probes fitted and kept, concepts fitted from them, swept, and compared.
"""

import argparse
import io
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from benchmarks.carried import run_program
from benchmarks.planted_decoder import CLASSES, COLOURS, CONVERSATION, PROMPT, USED, draw_items, make_decoder
from benchmarks.standard_errors import rate_errors

from layerwise.checksums import file_sha256
from layerwise.compare.catalogue import COMPARISONS
from layerwise.compare.inputs import Given
from layerwise.compare.statistics.significance import LEVEL
from layerwise.models.registration import describe_model
from layerwise.stimuli.items import items_digest

ROOT = Path(__file__).resolve().parents[1]
# Blue as bright as red in so many items.
ALIKE, CONFOUNDED = 0.75, "blue, like red"
SPLITS = {"train": 400, "val": 100, "test": 100}
NAME, WORDING = "planted", "bright"
ENTRY = {"text": PROMPT, "answers": {name: [name] for name in CLASSES}}
SWEPT: dict[str, Any] = {"items": 1000, "strengths": [], "along": "probe", "draws": 10, "seed": 0}


@dataclass(frozen=True)
class Study:
    """The files of one study, made step by step.

    Attributes:
        folder: holds ``model``, ``model.json``, ``stimuli``, ``tasks``, ``states.h5``, and what the programs write.
        colours: a task each.
    """

    folder: Path
    colours: Sequence[str] = COLOURS

    def draw(self, seed: int, random: bool = False, splits: Mapping[str, int] = SPLITS, alike: float = 0.5) -> None:
        """Write a model, its stimuli, and a task for each colour; see :mod:`benchmarks.planted_decoder`."""
        with redirect_stderr(io.StringIO()):
            make_decoder(seed, random).save(self.folder / "model")
        entry = {"source": str(self.folder / "model"), "weights": "pretrained", "dtype": "float32"}
        entry |= {"adapter": "generic", "conversation": CONVERSATION}
        (self.folder / "model.json").write_text(json.dumps(describe_model(NAME, entry, None, seed)))
        drawn = draw_items(self.folder, splits, seed, alike)
        items = drawn[["item_id", "image", "text"]].assign(category=None)
        items.insert(2, "image_sha256", [file_sha256(Path(path)) for path in drawn["image"]])
        stimuli = self.folder / "stimuli"
        stimuli.mkdir()
        items.to_parquet(stimuli / "items.parquet")
        (stimuli / "stimuli.json").write_text(json.dumps({"digest": items_digest(items, []), "categories": []}))
        for colour in self.colours:
            labels = drawn[["item_id", "split"]].assign(image_id=drawn["item_id"], group=drawn["item_id"])
            labels = labels.assign(label=colour, y=drawn[colour].map(CLASSES.index))
            task = {"task": colour, "stimuli": NAME, "question": "local", "labels": [colour], "classes": list(CLASSES)}
            folder = self.folder / "tasks" / colour
            folder.mkdir(parents=True)
            labels.to_parquet(folder / "labels.parquet")
            (folder / "task.json").write_text(json.dumps(task | {"kind": "binary", "metric": "accuracy"}))

    def extract(self) -> None:
        """The states of all items."""
        cell: dict[str, Any] = {"prompt": WORDING, "prompt_entry": ENTRY, "positions": ["last"], "dtype": "float32"}
        for name, file in (("model", "model.json"), ("stimuli", "stimuli/stimuli.json")):
            cell[f"{name}_digest"] = json.loads((self.folder / file).read_text())["digest"]
        self._run("extract_states.py", cell=cell, batch_size=64, threads=1, out=self.folder / "states.h5")

    def fit(self, colour: str) -> None:
        """The probes and the concept of a colour."""
        where = {"states": self.folder / "states.h5", "position": "last", "seed": 0, "threads": 1, "memory_mb": 2000}
        where |= {"task": self.folder / "tasks" / colour, "probes": self.file(colour, "probes.h5"), "cell": {}}
        named = {name: self.file(colour, f"{name}.parquet") for name in ("scores", "predictions", "curve")}
        self._run("fit_probes.py", engine="torch", C=[0.01, 0.1], resamples=50, **where, **named)
        self._run("fit_concept.py", draws=SWEPT["draws"], out=self.file(colour, "concept.safetensors"), **where)

    def sweep(self, colour: str, **changed: Any) -> None:
        """The answers of changed runs of one cell; ``changed`` replaces keys of :data:`SWEPT`."""
        cell = {"model": NAME, "task": colour, "stimuli": NAME, "prompt": WORDING, "prompt_entry": ENTRY}
        others = {
            f"{other}/{WORDING}": str(self.file(other, "concept.safetensors"))
            for other in self.colours
            if other != colour
        }
        self._run(
            "sweep_used.py",
            cell=cell | SWEPT | changed,
            others=others,
            task=self.folder / "tasks" / colour,
            concept=self.file(colour, "concept.safetensors"),
            probes=self.file(colour, "probes.h5"),
            threads=1,
            out=self.file(colour, "parquet"),
            above=self.file(colour, "above.parquet"),
        )

    def compare(self, seed: int = 0) -> pd.DataFrame:
        """The comparison ``used`` of all colours."""
        options: dict[str, Any] = {"resamples": 300, "permutations": 1999, "seed": seed, "twins": {}}
        options["used"] = [f"{NAME}/{colour}/{WORDING}" for colour in self.colours]
        return COMPARISONS["used"].compute(Given({"sweeps": [self.folder / "used"]}), options)

    def probe_scores(self, colour: str) -> pd.Series:
        """Accuracy of the kept probes on test items, by layer."""
        table = pd.read_parquet(self.file(colour, "scores.parquet"))
        table = table.query("split == 'test' and metric == 'accuracy' and probe == 'logistic' and label == @colour")
        return table.set_index("layer")["value"]

    def file(self, colour: str, ending: str) -> Path:
        """A file of a colour's cell."""
        return self.folder / "used" / NAME / colour / f"{WORDING}.{ending}"

    def _run(self, script: str, **options: Any) -> None:
        options |= {"model": self.folder / "model.json", "stimuli": self.folder / "stimuli"}
        options |= {"work": self.folder / "work"}
        command = [sys.executable, str(ROOT / "scripts" / script)]
        for name, value in options.items():
            given = value if isinstance(value, list) else [json.dumps(value) if isinstance(value, dict) else value]
            command += [f"--{name.replace('_', '-')}", *map(str, given)]
        run_program(command)


def verdicts(seed: int, random: bool = False, alike: float = 0.5) -> pd.DataFrame:
    """The comparison of one study.

    Args:
        seed: of the study.
        random, alike: see :mod:`benchmarks.planted_decoder`.

    Returns:
        The rows of :mod:`layerwise.compare.used`, with the probe's test ``score``; ``shown``: whether the verdict would
        be *used* for a model that answers; and ``by_gold``: the same if controls were signed by the items' classes
        alone.
    """
    with tempfile.TemporaryDirectory(prefix="used-") as name:
        study = Study(Path(name))
        study.draw(seed, random, alike=alike)
        study.extract()
        for colour in COLOURS:
            study.fit(colour)
        for colour in COLOURS:
            study.sweep(colour, strengths=[-2.0, 2.0] if colour == "red" and not random else [])
        table = study.compare(seed)
        scores = {colour: study.probe_scores(colour) for colour in COLOURS}
    table["score"] = [scores[row.task][row.block] for row in table.itertuples()]
    by_gold = (table["effect"] > table["control_greatest"].clip(lower=0)) & (table["p_value"] < LEVEL)
    return table.assign(seed=seed, shown=table["beyond"] & (table["p_value"] < LEVEL), by_gold=by_gold)


def print_truth(studies: int, confounded: int) -> None:
    """A table of the decoder with its circuit, by colour and block."""
    found = pd.concat([verdicts(seed) for seed in range(studies)], ignore_index=True)
    also = pd.concat([verdicts(seed, alike=ALIKE) for seed in range(confounded)], ignore_index=True)
    steered = found[found["change"] == "steer"].groupby(["seed", "block"])[["used"]].any().groupby("block").mean()
    print(f"**Verdicts in a decoder whose weights were written**, in percent of {studies} studies "
          f"({rate_errors(studies)}), {SPLITS['train']} training and {SPLITS['test']} test items, "
          f"{SWEPT['draws']} controls. The model answers by red. *{CONFOUNDED}*: in {confounded} further studies, blue "
          f"is as bright as red in {100 * ALIKE:.0f} % of items, and is erased together with a part of red. *score*: "
          "accuracy of the probe. *effect*: the fall of the gold margin by erasing, mean and standard deviation, where "
          "1 is the mean margin of red. *by gold*: p < 0.05, the effect exceeds that of every control on the right "
          "answers, and the model answers the colour better than by chance. *used*: the same, and the effect exceeds "
          "that of every control on its own classes. *beyond*: *used*, if the model answered. *steered*: the verdict "
          "of steering by two standard deviations, in either direction.\n")  # fmt: skip
    print("| colour | block | truly used | score | effect | beyond | by gold | used | steered |")
    print("|---|---:|---|---:|---:|---:|---:|---:|---:|")
    found, also = (table[table["change"] == "erase"] for table in (found, also))
    unit = found.loc[found["task"] == "red", "free"].mean()
    parts = {**dict(list(found.groupby("task", sort=False))), CONFOUNDED: also[also["task"] == "blue"]}
    for colour, table in parts.items():
        for block, rows in table.groupby("block"):
            true = "yes" if block in USED.get(colour, ()) else "no"
            true = "in part" if colour == CONFOUNDED and block in USED["red"] else true
            steer = f"{100 * steered.loc[block, 'used']:.0f}" if colour == "red" else "–"
            print(f"| {colour} | {block} | {true} | {100 * rows['score'].mean():.1f} | "
                  f"{rows['effect'].mean() / unit:.2f} ± {rows['effect'].std() / unit:.2f} | "
                  f"{100 * rows['shown'].mean():.0f} | {100 * (rows['by_gold'] & rows['answers']).mean():.0f} | "
                  f"{100 * rows['used'].mean():.0f} | {steer} |",
                  flush=True)  # fmt: skip


def print_random(studies: int) -> None:
    """Rates in untrained models, where every direction is as good as any other."""
    print(f"\n**The same in untrained models**, where no concept is used more than a random direction: in percent of "
          f"{studies} models and {len(COLOURS)} colours ({rate_errors(len(COLOURS) * studies)}), by some block of six. "
          "*answers*: the free margin's interval lies above 0. *margin known*: *used* if there were unlimited test "
          "items, which tell the sign of any margin. *by gold*: without the controls' effects on their own "
          "classes.\n")  # fmt: skip
    print("| verdict | score | answers | beyond | used | used, margin known |\n|---|---:|---:|---:|---:|---:|")
    found = pd.concat([verdicts(seed, random=True) for seed in range(studies)], ignore_index=True)
    score = f"{100 * found['score'].mean():.1f}"
    for name, beyond in (("by gold", found["by_gold"]), ("used", found["shown"])):
        kinds = {"beyond": beyond, "used": beyond & found["answers"], "known": beyond & (found["free"] > 0)}
        by_cell = found.assign(**kinds).groupby(["seed", "task"])[["answers", *kinds]].any()
        print(f"| {name} | {score} | {' | '.join(f'{rate:.1f}' for rate in 100 * by_cell.mean())} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="the default; 5 studies and more, some minutes")
    size.add_argument("--full", action="store_true", help="40 studies and more, half an hour")
    kinds = ("CIRCUIT", "CONFOUNDED", "UNTRAINED")
    size.add_argument("--studies", type=int, nargs=3, metavar=kinds, help="so many of each, 8 seconds each")
    given = parser.parse_args()
    circuit, confounded, untrained = given.studies or ((40, 8, 50) if given.full else (5, 2, 5))
    print_truth(circuit, confounded)
    print_random(untrained)


if __name__ == "__main__":
    main()
