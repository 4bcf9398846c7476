"""Probes of a layer as wide as a 7B model's states: all labels and all C on the card, one label on the host."""

import time
import warnings

import numpy as np
import torch
from probes import C, Shape, hidden_states, make_problems
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from gpu.breakdown import profiled
from gpu.card import DATASHEET, Card, matmul_peak
from gpu.results import Results
from gpu.timing import timed, with_memory
from layerwise.probes.logistic.design_matrices import Rows, mean_of
from layerwise.probes.logistic.torch_engine import TorchEngine
from layerwise.probes.problems import standardise

# No further C of scikit-learn is begun after so many seconds.
REFERENCE_SECONDS = 10
# The C that are tried, the most usual first.
ORDER = [1e-2, 1e-5, 10.0, 1e-4, 1.0, 1e-3, 1e-1]


def run(card: Card, results: Results) -> None:
    """One layer on the card, then scikit-learn."""
    n, width, labels = (500, 64, 4) if card.small else (50_000, 4096, 80)
    layers = card.shape.layers + 1
    n_val = n // 5
    shape = Shape(n - n_val, width, labels, 1, 1, 1, n_val=n_val)
    began = time.perf_counter()
    states, y = hidden_states(shape, np.random.default_rng(0))
    problems = make_problems(shape, y)
    states = standardise(states, problems[0].rows["train"])
    results.line(f"Drawing the states took {time.perf_counter() - began:.0f} s, which counts nowhere.")
    # The first fit loads libraries and chooses kernels.
    TorchEngine(device=card.device).fit(states, problems[:2], C[:1])
    engines = [TorchEngine(device=card.device) for _ in range(2)]
    runs = [with_memory(lambda engine=engine: engine.fit(states, problems, C)) for engine in engines]
    engine, (seconds, memory, _) = engines[0], min(runs)
    found = profiled(lambda: TorchEngine(device=card.device).fit(states, problems, C), times=1)
    device, index = torch.device(card.device), np.arange(n - n_val)
    loading = timed(lambda: Rows(states, index, mean_of(states, index, device), device, 2**36))
    rate = engine.products * 2 * 2 * (n - n_val) * width / seconds / 1e12
    peak = matmul_peak(card.device, torch.float32, 256 if card.small else 8192)
    results.line(
        f"\n{labels} labels, {len(C)} C, n = {n:,} ({n_val:,} of them for validation), width {width}. Paths end early, "
        "so that fewer fits are made under the largest C."
    )
    results.table(
        *(
            "engine",
            "s per layer",
            f"min for {layers} layers",
            "of it centred rows to the card, s",
            "products per label and C",
        ),
        *("TFLOP/s", "of measured float32 peak", "of datasheet", "GiB", "card busy"),
    )
    results.row(
        [
            *("torch on the card", f"{seconds:.2f}", f"{layers * seconds / 60:.1f}", f"{loading:.2f}"),
            *(f"{engine.products / labels / len(C):.1f}", f"{rate:.1f}", f"{rate / peak:.2f}"),
            *(f"{rate / DATASHEET['float32']:.2f}", f"{memory:.1f}"),
            f"{found.busy / seconds:.2f}",
        ],
        what="torch",
        n=n,
        width=width,
        labels=labels,
        seconds=[of_run[0] for of_run in runs],
        loading=loading,
        products=engine.products,
        busy=found.busy,
        kernels=found.kernels,
        share=found.share,
        tflops=rate,
    )
    _reference(results, states[: n - n_val], problems[0].y["train"], (labels, layers), seconds)


def _reference(results: Results, rows: np.ndarray, y: np.ndarray, sizes: tuple[int, int], of_card: float) -> None:
    """scikit-learn's defaults for the first label, in float32 on all cores."""
    labels, layers = sizes
    taken: dict[float, float] = {}
    began = time.perf_counter()
    for strength in ORDER:
        if taken and time.perf_counter() - began > REFERENCE_SECONDS:
            break
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            LogisticRegression(C=strength).fit(rows, y)
        taken[strength] = time.perf_counter() - start
    each = sum(taken.values()) / len(taken)
    whole = each * labels * len(C)
    results.row(
        [
            *(
                "scikit-learn on the host, scaled",
                f"{whole:.0f}",
                f"{layers * whole / 60:.0f}",
                "",
                "",
                "",
                "",
                "",
                "",
                "",
            ),
        ],
        what="scikit-learn",
        seconds_by_C={str(strength): seconds for strength, seconds in taken.items()},
        whole=whole,
    )
    results.line(
        f"\nscikit-learn: one label, C = {', '.join(f'{c:g}' for c in taken)}, {each:.1f} s each on average, times "
        f"{labels} labels and {len(C)} C. The card is {whole / of_card:,.0f} times as fast."
    )
