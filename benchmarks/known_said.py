"""Planted knowledge that a model says or keeps to itself: is it found, and only there; do intervals and tests hold?

States of four layers and an output head are drawn, probes are fitted to them, and the comparisons of known and said run
on the files, as in a study. The head reads one direction of the topmost block, through no norm.

| world | the label lies | the head |
|---|---|---|
| nothing | nowhere | reads noise |
| kept to itself | in block 2 and above, in a direction that the head does not read | reads noise |
| said | in block 2 and above, in the head's direction | reads the label |
| said with a leaning | the same | reads the label, and nearly always says yes |
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.standard_errors import rate_errors
from scipy.stats import multivariate_normal, norm

from layerwise.answers.table import Answers, write_answers
from layerwise.compare.inputs import Model, Task
from layerwise.compare.statistics.answered import Answered, ItemScorer, answered_cells
from layerwise.compare.statistics.known_said import compare_known_said, known_and_said, share_rows
from layerwise.compare.statistics.paired import paired_difference
from layerwise.probes.fits import choose, margins
from layerwise.probes.logistic.torch_engine import TorchEngine
from layerwise.probes.problems import Problem, make_problems, standardise
from layerwise.probes.scoring import Guess, Scorer, majority_guess, predictions

TASK = Task("planted", "planted", "global", "binary", ["label"], ["no", "yes"], "accuracy")
MODEL = Model("planted", "planted", "pretrained", n_layers=3, width=8)
WORLDS = ("nothing", "kept to itself", "said", "said with a leaning")
# The layer from which the label is there, and the best accuracy that any reader of it could have.
FIRST, RATE = 2, 0.85
WIDTH, ALIKE = MODEL.width, 0.3
C = [0.01, 0.1, 1.0]
SIZES = {"train": 100, "val": 50, "test": 100}
ITEMS_PER_IMAGE = 4
LEVEL = 0.05


def plant(world: str, rng: np.random.Generator) -> tuple[pd.DataFrame, list[np.ndarray], np.ndarray]:
    """Labels, states of each layer, shape (n, WIDTH), and the log odds that the head gives to yes, shape (n,)."""
    tables = []
    for split, images in SIZES.items():
        index = np.arange(images * ITEMS_PER_IMAGE)
        table = pd.DataFrame({"label": "label", "split": split, "y": rng.permutation(index % 2)})
        table["group"] = [f"{split}-{k // ITEMS_PER_IMAGE}" for k in index]
        tables.append(table.assign(item_id=[f"{split}-{k}" for k in index]))
    table = pd.concat(tables, ignore_index=True)
    images = pd.factorize(table["group"])[0]
    states, sign = [], 2 * table["y"].to_numpy() - 1
    for layer in range(MODEL.n_layers + 1):
        noise = np.sqrt(ALIKE) * rng.standard_normal((images.max() + 1, WIDTH))[images]
        noise += np.sqrt(1 - ALIKE) * rng.standard_normal((len(table), WIDTH))
        if layer >= FIRST and world != "nothing":
            # The head reads the first direction.
            noise[:, 1 if world == "kept to itself" else 0] += norm.ppf(RATE) * sign
        states.append(noise.astype(np.float32))
    return table, states, states[-1][:, 0] + (3.0 if world == "said with a leaning" else 0.0)


def run(world: str, seed: int, resamples: int = 200, permutations: int = 999) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One study: the tables ``known-said-top`` and ``known-said``."""
    table, states, said = plant(world, np.random.default_rng(seed))
    (problem,) = make_problems(table, ["label"], 2, list(table["item_id"]), np.arange(len(table)))
    scorer, rows, parts = Scorer([problem], resamples, seed), [], []
    for layer, of_layer in enumerate(states):
        values = standardise(of_layer.copy(), problem.rows["train"])
        (path,) = TorchEngine(1).fit(values, [problem], C)
        fit = choose(path, values, problem.rows["val"], problem.y["val"])
        guess = Guess({split: margins([fit], values, problem.rows[split])[0] for split in ("val", "test")})
        rows += [
            row | {"probe": "logistic", "layer": layer}
            for row in scorer.rows(scorer.measure([guess], metrics=["accuracy"]))
        ]
        right = {split: (scores[:, 0] > 0).astype(int) for split, scores in guess.scores.items()}
        parts.append(predictions(problem, guess, right).assign(layer=layer))
    majority = scorer.rows(scorer.measure([majority_guess(problem)], metrics=["accuracy"]))
    scores = pd.DataFrame([*rows, *(row | {"probe": "majority", "layer": -1} for row in majority)])
    scores = scores.assign(model="planted", task="planted", prompt="plain", n_layers=MODEL.n_layers)
    with tempfile.TemporaryDirectory(prefix="known-said-") as name:
        folder = Path(name)
        for below in ("probes/planted/planted", "answers/planted/planted"):
            (folder / below).mkdir(parents=True)
        pd.concat(parts).to_parquet(folder / "probes/planted/planted/plain.predictions.parquet")
        scored = np.stack([-np.logaddexp(0, said), -np.logaddexp(0, -said)], axis=1).astype(np.float32)
        answers = pd.DataFrame({"layer": 4, "item_id": table["item_id"], "scores": list(scored), "mass": np.nan})
        write_answers(folder / "answers/planted/planted/plain.parquet", Answers(TASK.classes, {}, {}, answers))
        tasks, models = {"planted": TASK}, {"planted": MODEL}

        def cells() -> Iterator[Answered]:
            return answered_cells(["planted/planted/plain"], tasks, folder / "probes", folder / "answers")

        top = compare_known_said(cells(), scores, tasks, models, resamples, permutations, seed)
        return top, known_and_said(cells(), models, resamples, seed)


def found(world: str, studies: int) -> pd.DataFrame:
    """Of each study, whether what is known is called more, or less, than what is said; and the shares.

    Returns:
        One row per study. By way to read the answer: ``more`` and ``less``, 0 or 1; ``known`` and ``said``, test
        scores; and the share of items that block 1 and the topmost block know and the model does not say, with that
        which independence gives.
    """
    values: list[dict[str, float]] = []
    for seed in range(studies):
        top, shares = run(world, seed)
        row: dict[str, float] = {}
        for one in top.itertuples():
            row |= {
                f"{one.answer}, more": one.p_value <= LEVEL and one.difference > 0,
                f"{one.answer}, less": one.p_value <= LEVEL and one.difference < 0,
                "known": one.known,
                f"{one.answer}, said": one.said,
            }
        silent = shares[(shares["share"] == "known, not said") & (shares["answer"] == "threshold")].set_index("layer")
        row |= {"block 1": silent.loc[1, "value"], "top": silent.loc[MODEL.n_layers, "value"]}
        row |= {"top, independent": silent.loc[MODEL.n_layers, "independent"]}
        values.append(row)
    return pd.DataFrame(values).astype(float)


def share_coverage(
    n_images: int, items: int, rates: tuple[float, float], alike: float, replications: int, seed: int
) -> dict[str, float]:
    """How often the intervals of the four shares cover the truth, where right answers are alike within images.

    Args:
        n_images, items: images, and items of each.
        rates: how often the probe and the model are right.
        alike: share of the noise that items of an image have in common.
        replications: how many test sets.
        seed: for them.
    """
    rng, limits, together = np.random.default_rng(seed), norm.ppf(rates), 0.5
    both = float(multivariate_normal.cdf(limits, cov=[[1, together], [together, 1]]))
    truth = [both, rates[0] - both, rates[1] - both, 1 - rates[0] - rates[1] + both]
    image = np.repeat(np.arange(n_images), items)
    covered: dict[str, list[bool]] = {}
    for k in range(replications):
        of_item, of_image = (
            rng.multivariate_normal([0, 0], [[1, together], [together, 1]], size) for size in (len(image), n_images)
        )
        known, said = ((np.sqrt(1 - alike) * of_item + np.sqrt(alike) * of_image[image]) < limits).T
        splits = ("val", "test")
        problem = Problem("label", 2, *(dict.fromkeys(splits, image) for _ in range(4)))
        for true, row in zip(truth, share_rows(ItemScorer([problem], 400, k), [known], [said]), strict=True):
            covered.setdefault(str(row["share"]), []).append(row["low"] <= true <= row["high"])
    return {share: float(np.mean(hits)) for share, hits in covered.items()}


def false_positives(n_images: int, items: int, rate: float, studies: int, seed: int) -> float:
    """How often a probe and a model that are equally good, and err alike within images, are called different."""
    rng, image = np.random.default_rng(seed), np.repeat(np.arange(n_images), items)
    wrong = 0
    for _ in range(studies):
        y = rng.permutation(np.arange(len(image)) % 2)
        common = rng.standard_normal(n_images)[image]
        frames = []
        for share in (0.2, 0.5):
            # One errs more on whole images than the other.
            own = np.sqrt(share) * common + np.sqrt(1 - share) * rng.standard_normal(len(image))
            margin = (2 * y - 1) * (norm.ppf(rate) + own)
            table = pd.DataFrame({"label": "label", "item_id": np.arange(len(image)), "group": image, "y": y})
            frames.append(table.assign(scores=list(margin[:, None])))
        pair = paired_difference(frames[0], frames[1], "accuracy", 2, 50, 1999, rng)
        wrong += pair.p_value <= LEVEL
    return wrong / studies


def print_known_said(studies: int, replications: int) -> None:
    """Tables of all of it, in percent.

    Args:
        studies: per planted world.
        replications: per row of the other tables.
    """
    size = f"{SIZES['test'] * ITEMS_PER_IMAGE} test items of {SIZES['test']} images"
    print("\n**Known and said.** The label lies nowhere (*nothing*), or from block 2 on: in a direction that the "
          "output head does not read (*kept to itself*), or in the one that it reads (*said*). *Said with a leaning* "
          f"is the same with a head that nearly always says yes. {studies} studies of each, {size}, in percent "
          f"({rate_errors(studies)}). *More* and *less*: how often the best layer's probe is called better, or worse, "
          "than the model's answer at the level of 5 %. A probe that learned from few items is truly a little worse "
          "than a head that reads the very direction of the label. *Not said*: mean share of test items that a layer "
          "knows and the model does not say at the threshold.\n")  # fmt: skip
    print("| world | known | said | said at threshold | more | less | more, at threshold | less, at threshold | "
          "not said, block 1 | not said, top block | if independent |\n|---|" + 10 * "---:|")  # fmt: skip
    names = ["known", "as said, said", "threshold, said", "as said, more", "as said, less"]
    names += ["threshold, more", "threshold, less", "block 1", "top", "top, independent"]
    scores, error = [name for name in names if not name.endswith(("more", "less"))], 0.0
    for world in WORLDS:
        table = 100 * found(world, studies)
        print(f"| {world} | {' | '.join(f'{table[name].mean():.1f}' for name in names)} |", flush=True)
        error = max(error, table[scores].sem().max())
    print(f"\nMean scores and shares have standard errors of at most {error:.1f}.")
    print(f"\n**Shares of known and said**: how often 95 % intervals cover the truth, in percent, in {replications:,} "
          f"test sets each ({rate_errors(replications)}).\n")  # fmt: skip
    print("| test set | right: probe, model | known and said | known, not said | said, not known | neither |\n"
          "|---|---|---:|---:|---:|---:|")  # fmt: skip
    for n_images, items, alike in ((120, 1, 0.0), (100, 4, 0.3), (200, 5, 0.5)):
        for rates in ((0.9, 0.6), (0.75, 0.75), (0.97, 0.9)):
            row = share_coverage(n_images, items, rates, alike, replications, seed=n_images)
            print(f"| {n_images * items} items of {n_images} images | {rates[0]}, {rates[1]} | "
                  f"{' | '.join(f'{100 * value:.1f}' for value in row.values())} |", flush=True)  # fmt: skip
    print("\nProbe and model equally good: called different at the level of 5 %, in percent of as many:", end=" ")
    rows = [(60, 4, 0.8), (100, 4, 0.9), (400, 1, 0.7)]
    rates = [f"{100 * false_positives(*row, replications, 0):.1f}" for row in rows]
    print(", ".join(rates), "(60 images with 4 items, 80 % right; 100 with 4, 90 %; 400 with 1, 70 %).\n")
