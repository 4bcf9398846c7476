"""The options that programs which fit probes share."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from layerwise.jobs.cards import take_cards
from layerwise.probes.engine import ProbeEngine
from layerwise.probes.logistic.engines.catalogue import ENGINES

if TYPE_CHECKING:
    from layerwise.probes.kinds.kind import ProbeKind


def add_probe_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for what is probed, and how."""
    parser.add_argument("--states", type=Path, required=True, nargs="+", help="states file, or all its shards")
    parser.add_argument("--cell", type=json.loads, required=True, help="what the states must be made from, as JSON")
    parser.add_argument("--model", type=Path, help="model.json; default: states of any model")
    parser.add_argument("--stimuli", type=Path, required=True, help="folder of the stimulus set")
    parser.add_argument("--task", type=Path, required=True, help="folder of the task")
    parser.add_argument("--C", type=float, nargs="+", required=True, help="inverse strengths of the penalty")
    parser.add_argument("--resamples", type=int, required=True, help="of the bootstrap")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--memory-mb", type=int, required=True, help="memory of the job")


def add_engine_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the solver of logistic regression."""
    parser.add_argument("--engine", choices=ENGINES, required=True, help="solver of logistic regression")


def start_engine(args: argparse.Namespace, budget_bytes: int) -> tuple[ProbeEngine, list[float]]:
    """Start the solver that the options ask for.

    Args:
        args: with the options of :func:`add_probe_options` and :func:`add_engine_option`.
        budget_bytes: the memory that it may take.

    Returns:
        The solver, and the C to fit for, ascending.
    """
    engine = ENGINES[args.engine]
    if engine.uses_card:
        # Use a GPU only if one is free: fits on the CPU are fast.
        take_cards(1, wait=False)
    return engine.start(args.threads, budget_bytes), sorted(args.C)


def start_kind(kind: "ProbeKind", args: argparse.Namespace, budget_bytes: int) -> tuple[ProbeEngine, list[float]]:
    """Start what fits a kind of probe; see :func:`start_engine`."""
    if kind.uses_card:
        take_cards(1, wait=False)
    return kind.start(args.threads, budget_bytes, args.seed), kind.tried(args.C)
