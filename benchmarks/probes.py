"""How fast and how exactly the torch engine fits the probes of a layer, compared with scikit-learn.

All engines take turns within one run, and the numbers are medians of CPU seconds. On a shared machine, ratios within
one run mean more than seconds of two runs. Run it from the repository's root:

    python benchmarks/probes.py --quick
"""

import argparse
import sys
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from layerwise.probes.engine import Fit, choose, log_loss
from layerwise.probes.problems import Problem, standardise
from layerwise.probes.spectrum import sketched
from layerwise.probes.torch_engine import TorchEngine

C = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0]
# Pairs of matrix products per label and C, and speed-up: (tolerance, early end) -> at most; against -> at least.
MOST_PRODUCTS = {(1e-4, False): 30, (1e-6, False): 45, (1e-4, True): 20, (1e-6, True): 30}
LEAST_SPEED_UP = {"float64": 50, "float32": 25}


@dataclass
class Shape:
    """What is fitted, and how often it is measured."""

    n: int
    width: int
    labels: int
    rounds: int
    reference_labels: int
    checked_labels: int
    n_val: int = 2000


QUICK = Shape(5000, 4096, 80, rounds=2, reference_labels=1, checked_labels=5)
FULL = Shape(5000, 4096, 80, rounds=5, reference_labels=4, checked_labels=20)


@dataclass
class Contender:
    """One way to fit, and what was measured of it."""

    name: str
    seconds: list[float] = field(default_factory=list)
    products: float = float("nan")
    performed: int = 0
    unconverged: int = 0
    fits: dict[int, list[Fit]] = field(default_factory=dict)


def hidden_states(shape: Shape, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """States like those of a language model, shape (n, width), and labels, shape (labels, n).

    Eigenvalues fall as 1/i, rows vary in length, the mean is off zero, four dimensions are 100 times larger than the
    rest, and values have 16 bits. Labels are noisy linear functions of the leading 200 directions, true for half of
    the rows (the first label) down to 2 % (the last).
    """
    n = shape.n + shape.n_val
    scale = np.arange(1, shape.width + 1) ** -0.5
    scale /= np.sqrt((scale**2).mean())
    latent = rng.standard_normal((n, shape.width), dtype=np.float32)
    latent *= np.exp(0.15 * rng.standard_normal((n, 1), dtype=np.float32))
    leading = latent[:, :200]
    score = leading @ rng.standard_normal((leading.shape[1], shape.labels)) / np.sqrt(leading.shape[1])
    score += 0.5 * rng.standard_normal(score.shape)
    share = np.geomspace(0.5, 0.02, shape.labels)
    y = score > [np.quantile(score[:, label], 1 - share[label]) for label in range(shape.labels)]
    axes = np.linalg.qr(rng.standard_normal((shape.width, shape.width), dtype=np.float32))[0]
    states = (latent * scale.astype(np.float32)) @ axes.T + 0.5 * rng.standard_normal(shape.width, dtype=np.float32)
    large = rng.choice(shape.width, 4, replace=False)
    states[:, large] = states[:, large] * 100 + 300
    return states.astype(np.float16).astype(np.float32), y.T.astype(np.int64)


def make_problems(shape: Shape, y: np.ndarray) -> list[Problem]:
    """All labels on the same rows."""
    rows = {"train": np.arange(shape.n), "val": np.arange(shape.n, y.shape[1])}
    return [
        Problem(f"label {i}", 2, rows, rows, rows, {split: of_label[index] for split, index in rows.items()})
        for i, of_label in enumerate(y)
    ]


def fit_torch(contender: Contender, engine: TorchEngine, states: np.ndarray, problems: list[Problem]) -> None:
    """One timed run of the engine on all labels."""
    engine.products = 0.0
    start = time.process_time()
    paths = engine.fit(states, problems, C)
    contender.seconds.append(time.process_time() - start)
    contender.products = engine.products
    contender.fits = dict(enumerate(paths))
    contender.performed = sum(map(len, paths))
    contender.unconverged = sum(not fit.converged for path in paths for fit in path)


def fit_scikit_learn(
    contender: Contender, dtype: str, states: np.ndarray, problems: list[Problem], labels: np.ndarray
) -> None:
    """scikit-learn's defaults on some labels; seconds are scaled to all labels."""
    rows = states[problems[0].rows["train"]].astype(dtype)
    seconds = 0.0
    for label in labels:
        path = []
        for strength in C:
            model = LogisticRegression(C=strength)
            start = time.process_time()
            model.fit(rows, problems[label].y["train"])
            seconds += time.process_time() - start
            path.append(Fit(model.coef_, model.intercept_, strength, bool(model.n_iter_[0] < model.max_iter)))
        contender.fits[int(label)] = path
        contender.performed += len(path)
        contender.unconverged += sum(not fit.converged for fit in path)
    contender.seconds.append(seconds * len(problems) / len(labels))


def objective(rows: np.ndarray, y: np.ndarray, fit: Fit) -> float:
    """scikit-learn's objective in float64."""
    weights = fit.coefficients.astype(np.float64)
    return len(y) * log_loss(rows @ weights.T + fit.intercepts, y) + float((weights**2).sum()) / (2 * fit.C)


def least_objectives(rows: np.ndarray, problems: list[Problem], fits: list[tuple[int, Fit]]) -> np.ndarray:
    """The minimum of each fit's objective, from a fit close to it.

    Close to it, the excess is gᵀ H^-1 g / 2 with the exact gradient and Hessian. Conjugate gradients solve for it in
    float64, all fits at once, until a further iteration changes no excess by more than a thousandth. None of this
    uses the solver's own estimates.

    Args:
        rows: training rows, shape (n, width), float64.
        problems: the labels.
        fits: pairs of label and fit, m of them.

    Returns:
        Shape (m,).
    """
    n = len(rows)
    mean = rows.mean(axis=0)
    x = torch.from_numpy(rows - mean)
    y = torch.from_numpy(np.stack([problems[label].y["train"] for label, _ in fits], axis=1)).double()
    weights = torch.from_numpy(np.stack([fit.coefficients[0].astype(np.float64) for _, fit in fits], axis=1))
    intercepts = torch.tensor([float(fit.intercepts[0] + fit.coefficients[0] @ mean) for _, fit in fits])
    penalty = torch.tensor([1 / fit.C for _, fit in fits], dtype=torch.float64)
    chances = torch.sigmoid(x @ weights + intercepts.double())
    bend = chances * (1 - chances)

    def hessian(v: torch.Tensor, v0: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        step = bend * (x @ v + v0)
        return x.T @ step + penalty * v, step.sum(0)

    single = x.float()
    spectrum = sketched(lambda: iter([(slice(0, n), single)]), n, x.shape[1], x.device)
    axes, values = spectrum.axes.double(), spectrum.values.double()[:, None] * bend.sum(0)
    rest = spectrum.rest * bend.sum(0)

    def precondition(v: torch.Tensor, v0: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        outside = 1 / (rest + penalty)
        return v * outside + axes @ ((1 / (values + penalty) - outside) * (axes.T @ v)), v0 / bend.sum(0)

    r, r0 = x.T @ (chances - y) + penalty * weights, (chances - y).sum(0)
    z, z0 = precondition(r, r0)
    p, p0 = z, z0
    product = (r * z).sum(0) + r0 * z0
    decrement = torch.zeros_like(product)
    for _ in range(300):
        h, h0 = hessian(p, p0)
        length = product / ((p * h).sum(0) + p0 * h0).clamp_min(1e-300)
        gain = length * product / 2
        decrement += gain
        if (gain <= 1e-3 * decrement).all():
            break
        r, r0 = r - length * h, r0 - length * h0
        z, z0 = precondition(r, r0)
        product, before = (r * z).sum(0) + r0 * z0, product
        p, p0 = z + product / before * p, z0 + product / before * p0
    values_now = [objective(rows, problems[label].y["train"], fit) for label, fit in fits]
    return np.array(values_now) - decrement.numpy()


def measure(
    shape: Shape, states: np.ndarray, problems: list[Problem], threads: int, rounds: int, rng: np.random.Generator
) -> list[str]:
    """Markdown rows of all contenders on one kind of states, and one line per goal."""
    engines = {
        (tolerance, early): TorchEngine(threads, tolerance, early)
        for early in (True, False)
        for tolerance in (1e-4, 1e-6)
    }
    ours = {key: Contender(f"torch, excess {key[0]:g}, {'early end' if key[1] else 'whole path'}") for key in engines}
    theirs = {dtype: Contender(f"scikit-learn {dtype}, defaults") for dtype in LEAST_SPEED_UP}
    checked = rng.choice(shape.labels, shape.checked_labels, replace=False)
    for turn in range(rounds):
        for key, engine in engines.items():
            if key[1] or turn == 0:
                fit_torch(ours[key], engine, states, problems)
        few = checked[np.arange(turn, turn + shape.reference_labels) % len(checked)]
        for dtype, contender in theirs.items():
            fit_scikit_learn(contender, dtype, states, problems, few)

    rows = states[problems[0].rows["train"]].astype(np.float64)
    closest = [(int(label), fit) for label in checked for fit in ours[1e-6, False].fits[int(label)]]
    least = dict(
        zip(((label, fit.C) for label, fit in closest), least_objectives(rows, problems, closest), strict=True)
    )

    def worst(contender: Contender) -> float:
        return max(
            objective(rows, problems[label].y["train"], fit) / best - 1
            for (label, strength), best in least.items()
            for fit in contender.fits.get(label, [])
            if strength == fit.C
        )

    chosen = {
        key: [
            choose(contender.fits[label], states, problem.rows["val"], problem.y["val"]).C
            for label, problem in enumerate(problems)
        ]
        for key, contender in ours.items()
    }
    nominal = shape.labels * len(C)
    floor = seconds_of_a_pair(states[problems[0].rows["train"]], nominal)
    seconds = {dtype: float(np.median(contender.seconds)) for dtype, contender in theirs.items()}
    lines = []
    for contender in [*ours.values(), *theirs.values()]:
        median = float(np.median(contender.seconds))
        per_fit = contender.products / nominal, contender.products / max(contender.performed, 1)
        lines.append(
            f"| {contender.name} | {median:.1f} | {seconds['float64'] / median:.3g} x | "
            f"{seconds['float32'] / median:.3g} x | "
            + (f"{per_fit[0]:.1f} | {per_fit[1]:.1f} | " if np.isfinite(per_fit[0]) else "- | - | ")
            + f"{worst(contender):.1e} | {contender.unconverged} of {contender.performed} |"
        )
    goals = []
    for key, most in MOST_PRODUCTS.items():
        found = ours[key].products / nominal
        goals.append(f"- {'met' if found <= most else 'MISSED'}: {ours[key].name}: {found:.1f} pairs, goal {most}")
        if key[1]:
            for dtype, least_ratio in LEAST_SPEED_UP.items():
                ratio = seconds[dtype] / float(np.median(ours[key].seconds))
                verdict = "met" if ratio >= least_ratio else "MISSED"
                goals.append(f"- {verdict}: {ours[key].name}: {ratio:.0f} x {dtype}, goal {least_ratio} x")
            same = sum(a == b for a, b in zip(chosen[key], chosen[key[0], False], strict=True))
            goals.append(f"- {ours[key].name}: same C as the whole path for {same} of {shape.labels} labels")
    fastest = ours[1e-4, True]
    median = float(np.median(fastest.seconds))
    share = fastest.products / nominal * floor / median
    goals.append(
        f"- Here a pair of matrix products for all {nominal} columns takes {floor:.2f} s, and such products are "
        f"{100 * share:.0f} % of the time of {fastest.name}. The ratio also depends on scikit-learn's speed, which "
        f"differs between processors: for {LEAST_SPEED_UP['float64']} x it would have to take "
        f"{LEAST_SPEED_UP['float64'] * median:.0f} s."
    )
    return [*lines, "", *goals]


def seconds_of_a_pair(rows: np.ndarray, columns: int) -> float:
    """CPU seconds of rows times weights and transposed rows times residuals, for all columns: the lower bound."""
    x, weights = torch.from_numpy(rows), torch.randn(rows.shape[1], columns)
    taken = []
    for _ in range(3):
        start = time.process_time()
        x.T @ (x @ weights)
        taken.append(time.process_time() - start)
    return float(np.median(taken))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="about 2 minutes on 2 cores (default)")
    size.add_argument("--full", action="store_true", help="more rounds and more labels for scikit-learn")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    shape, rng = FULL if args.full else QUICK, np.random.default_rng(args.seed)
    warnings.simplefilter("ignore", ConvergenceWarning)
    torch.set_num_threads(args.threads)
    with threadpool_limits(args.threads):
        raw, y = hidden_states(shape, rng)
        problems = make_problems(shape, y)
        print(f"{shape.labels} labels x {len(C)} C, {shape.n} rows x {shape.width}, {args.threads} thread(s).\n")
        print(
            f"scikit-learn runs on {shape.reference_labels} random label(s) per round, and its time is scaled to "
            f"{shape.labels}. The worst relative excess is over {shape.checked_labels} random labels (for "
            "scikit-learn, over the labels that it ran on). *pairs* are pairs of matrix products per label and C; "
            "*pairs performed* are those per fit that was performed."
        )
        for kind in ("standardised", "raw, with outlier dimensions"):
            states = standardise(raw, problems[0].rows["train"]) if kind == "standardised" else raw
            rounds = shape.rounds if args.full or kind == "standardised" else 1
            print(f"\n**{kind}**, median of {rounds} round(s)\n")
            print("| engine | CPU s | vs float64 | vs float32 | pairs | pairs performed | worst excess | unconverged |")
            print("|---|---|---|---|---|---|---|---|")
            print("\n".join(measure(shape, states, problems, args.threads, rounds, rng)), flush=True)


if __name__ == "__main__":
    main()
