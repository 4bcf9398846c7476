"""Kept probes carried between cells with planted directions: is the truth found, how often is a loss found wrongly, and
what does carrying cost beside fitting?

Cells are prompts of one task. Their states hold the label along a direction, with noise of their own:

| prompt | holds |
|---|---|
| plain | the label along one direction |
| same | along the same direction |
| turned | along an orthogonal direction |
| shifted | along the same direction, and a constant shift along it |
| negated | along the opposite direction |
"""

import argparse
import io
import json
import runpy
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import norm
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from benchmarks.standard_errors import rate_errors
from benchmarks.stimuli import write_stimuli

from layerwise.compare.statistics.transfer import TransferLoss
from layerwise.probes.kept import KeptProbes, LayerProbe
from layerwise.probes.logistic.torch_engine import TorchEngine
from layerwise.probes.problems import Problem, in_blocks, standardise
from layerwise.states.store import StatesFile
from layerwise.states.writing import new_states, write_rows

ROOT = Path(__file__).resolve().parents[1]
PROMPTS = ("plain", "same", "turned", "shifted", "negated")
WIDTH, SHIFT = 16, 4.0
BLOCKS = 2
LAYERS = ["embeddings", *(f"block {k + 1}" for k in range(BLOCKS)), "final norm"]
SPLITS = {"train": 400, "val": 100, "test": 600}
ACCURACY = 0.9
FITTED_C = [0.0001, 0.001, 0.01, 0.1, 1.0, 10.0]


def centres(prompt: str, sign: np.ndarray) -> np.ndarray:
    """States of items before noise, shape (n, WIDTH), from their labels as -1 and 1."""
    axis = {"turned": 1}.get(prompt, 0)
    found = np.zeros((len(sign), WIDTH))
    found[:, axis] = norm.ppf(ACCURACY) * sign * (-1 if prompt == "negated" else 1)
    found[:, 0] += SHIFT if prompt == "shifted" else 0
    return found


def plant(folder: Path, seed: int, labels: Sequence[str] = ("agrees",), items_per_image: int = 2) -> None:
    """Write the states of all prompts, and the task: every layer but the embeddings holds the label.

    Several labels have one direction, and each has items of its own, which are shifted along it.
    """
    rng = np.random.default_rng(seed)
    split = np.tile(np.repeat(list(SPLITS), list(SPLITS.values())), len(labels))
    index, place = np.arange(len(split)), np.repeat(np.arange(len(labels)), sum(SPLITS.values()))
    table = pd.DataFrame({"item_id": [f"item{k:05d}" for k in index], "split": split, "y": index % 2})
    table["label"] = np.array(labels)[place]
    table["group"] = table["image_id"] = [
        f"{name}-{k // items_per_image}" for name, k in zip(split, index, strict=True)
    ]
    cell = write_stimuli(folder / "stimuli", table["item_id"], table["item_id"])
    for prompt in PROMPTS:
        (folder / "states").mkdir(exist_ok=True)
        with new_states(
            *(folder / f"states/{prompt}.h5",),
            positions=["last"],
            layers=LAYERS,
            rows=len(table),
            width=WIDTH,
            dtype="float32",
            item_ids=table["item_id"],
            row_of_item=range(len(table)),
            cell=cell | {"model": "planted", "model_digest": "planted", "prompt": prompt},
        ) as datasets:
            states = rng.standard_normal((len(table), len(LAYERS), WIDTH)).astype(np.float32)
            states[:, 1:] += centres(prompt, 2 * table["y"].to_numpy() - 1)[:, None]
            states[:, 1:, 0] += SHIFT * place[:, None]
            write_rows(datasets["last"], 0, states)
    (folder / "task").mkdir()
    table.to_parquet(folder / "task/labels.parquet")
    task = {"task": "planted", "stimuli": "planted", "question": "global", "labels": list(labels)}
    task |= {"kind": "multilabel" if len(labels) > 1 else "binary", "metric": "accuracy", "classes": ["no", "yes"]}
    (folder / "task/task.json").write_text(json.dumps(task))
    (folder / "model.json").write_text(json.dumps({"digest": "planted"}))


def fit_command(folder: Path, prompt: str, engine: str = "torch") -> list[str]:
    """The program that fits and keeps the probes of a prompt."""
    out = folder / f"probes/planted/planted/{prompt}"
    command = [sys.executable, ROOT / "scripts/fit_probes.py", "--states", folder / f"states/{prompt}.h5"]
    command += ["--cell", "{}", "--stimuli", folder / "stimuli", "--task", folder / "task", "--position", "last"]
    command += ["--engine", engine, "--C", 0.01, "--resamples", 100, "--seed", 0, "--threads", 1, "--memory-mb", 4000]
    command += ["--work", folder / "work", "--scores", f"{out}.scores.parquet", "--curve", f"{out}.curve.parquet"]
    command += ["--predictions", f"{out}.predictions.parquet", "--probes", f"{out}.probes.h5"]
    return list(map(str, command))


def carry_command(folder: Path, prompts: Sequence[str] = PROMPTS, labels: bool = False) -> list[str]:
    """The program that carries the probes of each prompt to the others; the one called negated negates.

    With ``labels``, those of each label to the others of the same prompt.
    """
    swapped = {"no": "yes", "yes": "no"}
    carried = (
        [
            {"kind": "labels", "prompt": prompt, "source": ["planted", "planted"], "source_prompts": [prompt]}
            for prompt in prompts
        ]
        if labels
        else [
            {"kind": "prompts", "prompt": prompt, "source": ["planted", "planted"], "source_prompts": [other]}
            | ({"flipped": swapped} if "negated" in (prompt, other) else {})
            for prompt in prompts
            for other in prompts
            if other != prompt
        ]
    )
    options = {
        "states": {prompt: [str(folder / f"states/{prompt}.h5")] for prompt in prompts},
        "planned": {prompt: {} for prompt in prompts},
        "tasks": {"planted": [str(folder / "task"), str(folder / "stimuli")]},
        "carried": carried,
    }
    command = [sys.executable, ROOT / "scripts/carry_probes.py", "--cell", "planted", "planted"]
    for name, value in options.items():
        command += [f"--{name}", json.dumps(value)]
    command += ["--model", folder / "model.json", "--probes", folder / "probes", "--position", "last"]
    command += ["--permutations", 2000, "--seed", 0, "--threads", 1, "--memory-mb", 4000, "--work", folder / "work"]
    return list(map(str, [*command, "--out", folder / "carried.parquet"]))


def run_program(command: Sequence[str]) -> None:
    """A program's ``main`` in this process, which has imported its libraries already; without its progress bars."""
    before, (_, *sys.argv) = sys.argv, command
    try:
        with redirect_stderr(io.StringIO()):
            runpy.run_path(command[1])["main"]()
    finally:
        sys.argv = before


def carried_scores(folder: Path, seed: int) -> pd.DataFrame:
    """Plant, fit and carry with the real programs; the test scores in the topmost block.

    Returns:
        The rows of the program that carries, with ``own`` scores, and ``degrees`` between the planted direction and the
        one that the probe of `plain` learned.
    """
    plant(folder, seed)
    for command in [*(fit_command(folder, prompt) for prompt in PROMPTS), carry_command(folder)]:
        run_program(command)
    with KeptProbes(folder / "probes/planted/planted/plain.probes.h5") as kept:
        (weights,) = kept.layer(BLOCKS).weights[0]
    degrees = float(np.degrees(np.arccos(weights[0] / np.linalg.norm(weights))))
    return pd.read_parquet(folder / "carried.parquet").query("layer == n_layers").assign(degrees=degrees)


def drawn_probe(rng: np.random.Generator, n: int, strength: float, noise: float) -> LayerProbe:
    """A probe of a drawn training set: the difference of the two classes' means.

    Args:
        rng: of the training set.
        n: training items.
        strength: half the distance of the classes, along the first axis.
        noise: a factor on the errors of the fitted direction.
    """
    states = rng.standard_normal((n, WIDTH)) * noise
    sign = np.where(np.arange(n) % 2, 1, -1)
    states[:, 0] += strength * sign
    weights = states[sign > 0].mean(axis=0) - states[sign < 0].mean(axis=0)
    centre = states.mean(axis=0)
    bias = np.array([[-weights @ centre]])
    return LayerProbe(["agrees"], ["no", "yes"], weights[None, None], bias, np.ones(1), centre, np.ones(WIDTH))


def rates(n_images: int, items: int, accuracy: float, layers: int, studies: int, seed: int, texts: int = 0) -> dict:
    """How often equally good probes are found to differ, and how often the interval of the loss covers the true one.

    Two cells hold the same direction, and both probes were fitted to as many items. Items of an image share a part of
    their noise, and layers too. With ``texts``, so many texts cross the images, and their items share noise as well.

    Returns:
        ``wrong``: studies in which some layer is called worse at 5 % though the carried probe is truly as good there;
        ``some``: those in which some layer is called worse, also where chance in training made the own probe a little
        better; ``accuracy`` and ``roc_auc``: of single layers, how often the interval covers the true loss.
    """
    rng, strength = np.random.default_rng(seed), float(norm.ppf(accuracy))
    image = np.repeat(np.arange(n_images), items)
    y = np.arange(len(image)) % 2
    found: dict[str, list[float]] = {"wrong": [], "some": [], "accuracy": [], "roc_auc": []}
    for _ in range(studies):
        text = rng.permutation(np.arange(len(image)) % texts) if texts else None
        losses = {
            m: TransferLoss(m, 2, [y], [image], None if text is None else [text]) for m in ("accuracy", "roc_auc")
        }
        shared = rng.standard_normal((n_images, WIDTH))[image]
        of_text = rng.standard_normal((texts, WIDTH))[text] if text is not None else None
        as_good = []
        for _layer in range(layers):
            own = np.sqrt(0.5) * shared + np.sqrt(0.5) * rng.standard_normal((len(image), WIDTH))
            if of_text is not None:
                own = np.sqrt(0.6) * own + np.sqrt(0.4) * of_text
            own[:, 0] += strength * (2 * y - 1)
            probes = [drawn_probe(rng, 300, strength, 1.0) for _ in range(2)]
            margins = [probe.margins(own) for probe in probes]
            true = [true_scores(probe, strength) for probe in probes]
            as_good.append(true[0]["accuracy"] <= true[1]["accuracy"])
            for metric, loss in losses.items():
                row = loss.layer([margins[0]], [margins[1]], test=metric == "accuracy")
                truth = true[0][metric] - true[1][metric]
                found[metric].append(row["loss_low"] <= truth <= row["loss_high"])
        worse = np.array(losses["accuracy"].p_values(1000, int(rng.integers(2**32)))) <= 0.05
        found["wrong"].append(bool((worse & as_good).any()))
        found["some"].append(bool(worse.any()))
    return {name: float(np.mean(values)) for name, values in found.items()}


def true_scores(probe: LayerProbe, strength: float) -> dict[str, float]:
    """The scores that a probe has on all items that there could be."""
    weights, bias = probe.weights[0, 0], float(probe.bias[0, 0])
    length = float(np.linalg.norm(weights))
    positive, negative = strength * weights[0] + bias, -strength * weights[0] + bias
    right = norm.cdf(positive / length) + norm.cdf(-negative / length)
    return {"accuracy": right / 2, "roc_auc": norm.cdf((positive - negative) / (np.sqrt(2) * length))}


def print_planted(studies: int) -> None:
    """A table of :func:`carried_scores`: means of several studies, and their standard errors."""
    tables = []
    for seed in range(studies):
        with tempfile.TemporaryDirectory(prefix="carried-") as name:
            tables.append(carried_scores(Path(name), seed))
    of_plain = pd.concat(tables).query("source_prompt == 'plain'")
    by = of_plain.groupby(["prompt", "metric", "centre", "flipped"])[["value", "own"]]
    means, spreads = 100 * by.mean(), 100 * by.std()
    apart = spreads.loc[("turned", "accuracy", "source", False), "value"]
    print(f"\n**Carried probes.** A probe of the prompt `plain` on the states of others: accuracy in percent, mean and "
          f"standard error over {studies} studies of {SPLITS['test']} test items, topmost block. States hold the same "
          "direction as those of `plain` (*same*), an orthogonal one (*turned*), the same with a constant added "
          "(*shifted*), or the opposite one (*negated*). A probe learns its direction from "
          f"{SPLITS['train']} items, which here leaves it {of_plain['degrees'].mean():.0f} degrees off on average. So "
          f"in a single study it reads the orthogonal direction up to some {2 * apart:.0f} points better or worse than "
          "chance; only the mean of many studies is 50.\n")  # fmt: skip
    print("| states | own probe | as fitted | re-centred | ROC AUC, as fitted | flipped, as fitted |")
    print("|---|---:|---:|---:|---:|---:|")

    def shown(key: tuple, column: str = "value") -> str:
        if key not in means.index:
            return "–"
        return f"{means.loc[key, column]:.1f} ± {spreads.loc[key, column] / np.sqrt(studies):.1f}"

    for prompt in PROMPTS[1:]:
        fitted, centred, flipped = (
            (prompt, "accuracy", *how) for how in (("source", False), ("own", False), ("source", True))
        )
        numbers = [shown(fitted, "own"), shown(fitted), shown(centred), shown((prompt, "roc_auc", "source", False))]
        print(f"| {prompt} | {' | '.join([*numbers, shown(flipped)])} |", flush=True)


def print_carried(studies: int, planted: int) -> None:
    """The tables for docs/benchmarks.md.

    Args:
        studies: per row of the table of losses.
        planted: studies that are fitted and carried by the programs.
    """
    print_planted(planted)
    print(f"\n**Losses of carried probes**, in percent, in {studies:,} studies each ({rate_errors(studies)}). Both "
          "probes were fitted to as many items of the same distribution, so that only chance makes one of them truly "
          "better. *Called worse, but as good*: at the level of 5 %, some layer's carried probe is called worse though "
          "it truly is not. *Called worse*: any layer's. *Covers*: 95 % intervals of single layers.\n")  # fmt: skip
    print("| test set | accuracy | layers | called worse, but as good | called worse | covers, accuracy | "
          "covers, ROC AUC |\n|---|---:|---:|---:|---:|---:|---:|")  # fmt: skip
    for n_images, items, accuracy, layers, texts in ((400, 1, 0.8, 12, 0), (100, 4, 0.8, 12, 0), (120, 1, 0.95, 12, 0),
                                                     (400, 2, 0.8, 12, 80)):  # fmt: skip
        shown = rates(n_images, items, accuracy, layers, studies, 0, texts)
        named = f"{n_images * items} items of {n_images} images" + (f", {texts} texts" if texts else "")
        numbers = " | ".join(f"{100 * shown[name]:.1f}" for name in ("wrong", "some", "accuracy", "roc_auc"))
        print(f"| {named} | {accuracy} | {layers} | {numbers} |", flush=True)


def layer_seconds(n: int, width: int, sources: int, folder: Path) -> dict[str, float]:
    """CPU seconds of one layer: to read it, to fit one label (all C), and to carry probes from some sources to it."""
    rng = np.random.default_rng(0)
    items = [f"item{k:06d}" for k in range(n)]
    layers = ["embeddings", "block 1", "final norm"]
    shape = {"positions": ["last"], "layers": layers, "rows": n, "width": width, "dtype": "float32"}
    cell = {"model": "planted", "prompt": "plain"}
    y = np.arange(n) % 2
    with new_states(folder / "states.h5", **shape, item_ids=items, row_of_item=range(n), cell=cell) as datasets:
        # 16 bits, as models that run in half precision have.
        for start in range(0, n, 512):
            part = rng.standard_normal((min(512, n - start), len(layers), width), dtype=np.float32)
            part[:, :, 0] += 2 * y[start : start + 512, None] - 1
            write_rows(datasets["last"], start, part.astype(np.float16).astype(np.float32))
    split = {"train": np.arange(n) < 0.6 * n, "val": (np.arange(n) >= 0.6 * n) & (np.arange(n) < 0.75 * n)}
    split["test"] = np.arange(n) >= 0.75 * n
    rows = {name: np.flatnonzero(of_split) for name, of_split in split.items()}
    problem = Problem("agrees", 2, rows, rows, rows, {name: y[of_split] for name, of_split in rows.items()})
    found, buffer = {}, np.empty((n, width), np.float32)
    with StatesFile(folder / "states.h5") as states:
        start = time.process_time()
        states.layer("last", 1, out=buffer)
        found["read"] = time.process_time() - start
    weights, ones = rng.standard_normal((1, 1, width)).astype(np.float32), np.ones(width, np.float32)
    probe = LayerProbe(["agrees"], ["no", "yes"], weights, np.zeros((1, 1)), np.ones(1), 0 * ones, ones)
    start = time.process_time()
    losses = [
        TransferLoss(metric, 2, [y[rows["test"]]], [rows["test"]]) for metric in ("accuracy", "roc_auc")
        for _ in range(2 * sources)
    ]  # fmt: skip
    for _ in range(sources):
        margins = np.concatenate([probe.margins(buffer[block]) for block in in_blocks(rows["test"], width)])
    for loss in losses:
        loss.layer([margins], [-margins], test=loss.metric == "accuracy")
    found["carry"] = time.process_time() - start
    start = time.process_time()
    for loss in losses:
        # Of one layer; so many layers take as many times as long.
        if loss.metric == "accuracy":
            loss.p_values(20_000, 0)
    found["test"] = time.process_time() - start
    start = time.process_time()
    TorchEngine(1).fit(standardise(buffer, rows["train"]), [problem], FITTED_C)
    found["fit"] = time.process_time() - start
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="the default; 10,000 items")
    size.add_argument("--full", action="store_true", help="50,000 items; 3 GB of disk")
    args = parser.parse_args()
    n, width, sources, layers = 50_000 if args.full else 10_000, 4096, 3, 33
    torch.set_num_threads(1)
    with threadpool_limits(1), tempfile.TemporaryDirectory(prefix="carried-") as name:
        found = layer_seconds(n, width, sources, Path(name))
    fitted, carried = found["read"] + found["fit"], found["read"] + found["carry"] + found["test"]
    print(f"One thread, {n} items, {width} dimensions, {layers} layers, a quarter of the items held out for the test. "
          f"The probes of {sources} other prompts read one prompt's states. Measured on one layer.\n")  # fmt: skip
    print("| | CPU s, all layers | of reading and fitting |\n|---|---:|---:|")
    for title, seconds in (
        *(("read the states", found["read"]), ("fit the own probe, one label, no controls", found["fit"])),
        *((f"margins, losses and intervals of {sources} sources", found["carry"]), ("tests", found["test"])),
    ):
        print(f"| {title} | {layers * seconds:.1f} | {100 * seconds / fitted:.0f} % |")
    rate = 4 * n * width / carried / 1e9
    print(f"\nCarrying takes {carried / fitted:.2f} times as long as fitting, reading included; it reads {rate:.2f} GB "
          "of states per second.")  # fmt: skip


if __name__ == "__main__":
    main()
