"""Sweeps on disk whose effects are known: concepts that are used, decoys, and some that are one more random draw."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import log_softmax

from layerwise.compare.inputs import Given, Model, Task
from layerwise.used.results import Above, Sweep, Told, write_above, write_sweep
from tests.given import given

AGREE = Task("entailment", "pairs", "global", "binary", ["agrees"], ["no", "yes"], "accuracy")
OBJECTS = Task("objects", "pictures", "local", "binary", ["there"], ["no", "yes"], "accuracy")
THREE = Task("snli-ve", "pairs", "global", "multiclass", ["gold"], ["no", "maybe", "yes"], "balanced_accuracy")
BLOCKS, DRAWS = 6, 10
STRENGTHS = (-2.0, -1.0, 1.0, 2.0)
COMPARED = ("used", "used-across", "used-above")
OPTIONS = {"resamples": 300, "permutations": 1999, "seed": 0}


@dataclass(frozen=True)
class Planted:
    """What is planted in one cell.

    Attributes:
        model, task, prompt: of the cell.
        taken: by block, from 1, the share of the free margin that erasing the own concept takes away; None for one more
            draw of the controls.
        others: by ``task/prompt`` the share that erasing this other concept takes, in every block.
        answers: log odds by which the right class leads in the free run; 0 for a model that does not answer.
        spread: of the share that a control takes: the standard deviation over draws.
        skewed: whether draws are squares of normal numbers.
        signed: log odds that each control of erasing takes from the classes that it itself gives the items.
        bias: is added to the last class.
        steered: by block the log odds that one standard deviation of steering adds; None for no steering.
        n_images, per_image: how many images, and items of each.
        seed: of all noise.
    """

    model: str = "m"
    task: Task = AGREE
    prompt: str = "agree"
    taken: tuple[float, ...] | None = (0, 0.6, 0.9, 0.5, 0, 0)
    others: dict[str, float] = field(default_factory=dict)
    answers: float = 2.5
    spread: float = 0.03
    skewed: bool = False
    signed: float = 0.0
    bias: float = 0.4
    steered: tuple[float, ...] | None = (0.1, 0.8, 1.2, 0.7, 0.1, 0)
    n_images: int = 100
    per_image: int = 2
    seed: int = 0

    @property
    def name(self) -> str:
        return f"{self.task.task}/{self.prompt}"


def sweep_table(planted: Planted) -> pd.DataFrame:
    """The table of a sweep: a row per item and run."""
    rng, k = np.random.default_rng(planted.seed), planted.task.n_classes
    n = planted.n_images * planted.per_image
    images = np.repeat(np.arange(planted.n_images), planted.per_image)
    y = rng.permutation(np.arange(n) % k)
    gold = np.eye(k)[y]
    noise = 0.7 * rng.standard_normal((planted.n_images, k))[images] + 0.8 * rng.standard_normal((n, k))
    base = planted.answers * gold + noise
    base[:, -1] += planted.bias
    parts = []

    def add(logits, block, change, source="own", of="", draw=-1, strength=0.0, pseudo=-1):
        logits = logits + (0.15 * rng.standard_normal((n, k)) if block else 0)
        run = {"block": block, "change": change, "strength": strength, "source": source, "of": of, "draw": draw}
        scores = list(log_softmax(logits, axis=1).astype(np.float32))
        items = {"item_id": [f"i{i:04d}" for i in range(n)], "image": [f"p{i:03d}" for i in images], "y": y}
        items["pseudo"] = np.broadcast_to(pseudo, n)
        # Files need not be in the order of the items.
        parts.append(
            pd.DataFrame(items | run | {"scores": scores, "mass": np.float32(0.8)}).sample(frac=1, random_state=block)
        )

    def draws(n_draws):
        drawn = rng.standard_normal(n_draws)
        return planted.spread * (drawn**2 if planted.skewed else drawn)

    add(base, 0, "free")
    for block in range(1, BLOCKS + 1):
        share = draws(1)[0] if planted.taken is None else planted.taken[block - 1]
        add(base - share * planted.answers * gold, block, "erase", of=planted.name)
        for draw, of_draw in enumerate(draws(DRAWS)):
            given_classes = np.random.default_rng([planted.seed, block, draw]).integers(k, size=n)
            taken = of_draw * planted.answers * gold + planted.signed * np.eye(k)[given_classes]
            add(base - taken, block, "erase", "control", draw=draw, pseudo=given_classes)
        for of, of_other in planted.others.items():
            add(base - of_other * planted.answers * gold, block, "erase", "other", of)
        for strength in STRENGTHS if planted.steered is not None else ():
            move = strength * planted.steered[block - 1] * np.eye(k)[1]
            add(base + move, block, "steer", of=planted.name, strength=strength)
            for draw, of_draw in enumerate(0.1 * rng.standard_normal(DRAWS)):
                add(base + strength * of_draw * np.eye(k)[1], block, "steer", "control", draw=draw, strength=strength)
    return pd.concat(parts, ignore_index=True)


def above_table(planted: Planted) -> pd.DataFrame:
    """What kept probes find at and above each block: nothing where the concept was erased, more from block to block."""
    rng, k = np.random.default_rng(planted.seed + 1), planted.task.n_classes
    n = planted.n_images * planted.per_image
    y = np.random.default_rng(planted.seed).permutation(np.arange(n) % k)
    images = np.repeat(np.arange(planted.n_images), planted.per_image)
    noise = rng.standard_normal((BLOCKS + 1, n, k))
    parts = []

    def add(share, block, above, source="own", draw=-1):
        scores = share * 2.0 * np.eye(k)[y] + noise[above]
        margins = scores[:, 1:] - scores[:, :1] if k == 2 else scores
        margins = margins + 0.3 * rng.standard_normal(margins.shape)
        run = {"block": block, "above": above, "source": source, "draw": draw}
        items = {"item_id": [f"i{i:04d}" for i in range(n)], "image": [f"p{i:03d}" for i in images], "y": y}
        parts.append(pd.DataFrame(items | run | {"margins": list(margins.astype(np.float32))}))

    for above in range(1, BLOCKS + 1):
        add(1, 0, above)
    for block in range(1, BLOCKS + 1):
        for above in range(block, BLOCKS + 1):
            # Erased early, it is read again from other tokens; erased late, it is gone.
            add(min(1, (above - block) * 0.5 / block), block, above)
            for draw in range(DRAWS):
                add(0.97, block, above, "control", draw)
    return pd.concat(parts, ignore_index=True)


def write(path: Path, table: pd.DataFrame, task: Task) -> None:
    """Either table, by the columns that it has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = Told(task.classes, {}, {}, BLOCKS, "probe", list(STRENGTHS), DRAWS)
    if "scores" in table:
        write_sweep(path, Sweep(told, table.drop(columns="scores"), np.stack(table["scores"])))
    else:
        write_above(path, Above(told, table.drop(columns="margins"), np.stack(table["margins"])))


def write_cell(folder: Path, planted: Planted) -> None:
    """Both tables of a cell below ``folder``/used."""
    stem = folder / "used" / planted.model / planted.task.task / planted.prompt
    write(stem.with_name(f"{planted.prompt}.parquet"), sweep_table(planted), planted.task)
    write(stem.with_name(f"{planted.prompt}.above.parquet"), above_table(planted), planted.task)


def study() -> list[Planted]:
    """A model that uses one concept in blocks 2 to 4, has a decoy, and one that is one more draw; and its twin."""
    names = {"entailment": "entailment/agree", "objects": "objects/category", "snli-ve": "snli-ve/statement"}
    rest = {task: {name: 0.0 for other, name in names.items() if other != task} for task in names}
    # Erasing what is in the picture takes a part of whether the caption agrees.
    rest["entailment"] |= {names["objects"]: 0.15}
    trained = [
        Planted(others=rest["entailment"]),
        Planted(task=OBJECTS, prompt="category", taken=(0,) * 6, steered=(0,) * 6, others=rest["objects"], seed=1),
        Planted(
            task=THREE, prompt="statement", taken=None, spread=0.2, steered=None, others=rest["snli-ve"], seed=2, bias=0
        ),
    ]
    twin = [
        Planted(model="m-untrained", answers=0, taken=(0,) * 6, steered=(0,) * 6, others=rest["entailment"], seed=3)
    ]
    return trained + twin


def made(folder: Path, cells: list[Planted], comparisons=COMPARED, options=OPTIONS) -> Given:
    """The cells on disk, with the comparisons that are computed from them."""
    for planted in cells:
        write_cell(folder, planted)
    tasks = {planted.task.task: planted.task for planted in cells}
    weights = {planted.model: "random" if planted.model.endswith("untrained") else "pretrained" for planted in cells}
    models = {model: Model(model, "hub", kind, BLOCKS, 8) for model, kind in weights.items()}
    named = [f"{planted.model}/{planted.name}" for planted in cells]
    options = options | {"used": named, "twins": {"m": ["m-untrained"]}}
    return given(folder, comparisons, options, sweeps=folder / "used", tasks=tasks, models=models)
