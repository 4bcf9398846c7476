"""Print what a study will cost: forward tokens, bytes of hidden states, hours."""

import argparse

import pandas as pd

from layerwise.cost.answering import estimate_writing, reading_cost
from layerwise.cost.estimate import estimate_states
from layerwise.cost.flows import estimate_flows
from layerwise.cost.lens import lens_cost
from layerwise.cost.likeness import likeness_cost
from layerwise.cost.power import held_out_tests
from layerwise.cost.probing import CARRIED_PER_SECOND, carried_bytes, kept_probes_bytes, probe_flop
from layerwise.cost.shortcuts import pictures_flop, shortcut_probe_flop
from layerwise.cost.specifications import specification_flop
from layerwise.cost.tokens import tokens_cost
from layerwise.cost.tower import tower_cost, tower_probe_flop
from layerwise.cost.used import concept_flop, estimate_used, used_bytes
from layerwise.planning.leaving_out import said_of
from layerwise.probes.power import ACCURACY, DISAGREE, IMAGE_ALIKE
from layerwise.study import Study


def add_rates(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what the study runs on."""
    parser.add_argument("--teraflops", type=float, default=125, help="sustained by a card: 40 %% of an A100's bfloat16")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="what the models run on")
    parser.add_argument("--core-gigaflops", type=float, default=30, help="sustained by a core, float32, for the probes")


def print_cost(study: Study, rates: argparse.Namespace) -> None:
    """Print a row for each cell, then what else takes time or space, then what each task's test can show.

    Args:
        study: whose cells are counted.
        rates: the options of :func:`add_rates`.
    """
    estimates = (estimate_states, estimate_flows, estimate_writing, estimate_used)
    parts = [estimate(study, rates.device) for estimate in estimates]
    states, flows, written, _ = parts
    cells = pd.concat([part for part in parts if len(part)])

    row = "{:<24} {:<16} {:<20} {:>9} {:>10} {:>9} {:>8} {:>9}"
    print(row.format("model", "stimuli", "prompt", "images", "inputs", "Mtokens", "GB", "hours"))
    for cell in cells.itertuples():
        mark = "" if cell.exact else "~"
        print(
            row.format(
                *(cell.model, cell.stimuli, cell.prompt, f"{cell.images:,}", f"{mark}{cell.inputs:,}"),
                *(f"{cell.tokens / 1e6:.2f}", f"{cell.bytes / 1e9:.2f}", f"{_hours(cell.flop, rates.teraflops):.3g}"),
            )
        )
    print(
        f"\n{len(cells)} cells: {cells['tokens'].sum() / 1e6:.1f} million forward tokens, "
        f"{cells['bytes'].sum() / 1e9:.1f} GB of states before compression, "
        f"{_hours(cells['flop'].sum(), rates.teraflops):.3g} hours at {rates.teraflops:g} TFLOP/s, "
        f"{_hours(probe_flop(study, states), rates.core_gigaflops / 1e3):.3g} core hours of probes "
        f"at {rates.core_gigaflops:g} GFLOP/s."
    )
    if again := carried_bytes(study, states):
        print(
            f"Carrying kept probes reads {again / 1e9:.1f} GB of states again: "
            f"{again / CARRIED_PER_SECOND / 3600:.3g} core hours."
        )
    if kept := kept_probes_bytes(study, states):
        print(f"The probes themselves take {kept / 1e9:.3g} GB (none with probes.keep: false).")
    if study.grid.shortcut_cells():
        towers = _hours(pictures_flop(study, rates.device), rates.teraflops)
        fits = _hours(shortcut_probe_flop(study, states), rates.core_gigaflops / 1e3)
        print(f"Shortcuts: {towers:.3g} hours of vision towers, and at most {fits:.3g} core hours of probes.")
    if study.grid.tower_cells():
        flop, stored = tower_cost(study, rates.device)
        fits = _hours(tower_probe_flop(study, states, rates.device), rates.core_gigaflops / 1e3)
        print(
            f"Vision towers as layers: {_hours(flop, rates.teraflops):.3g} hours, about {stored / 1e9:.2g} GB of "
            f"states, and {fits:.3g} core hours of probes."
        )
    if study.grid.lens_cells():
        lens = lens_cost(study, rates.device)
        print(
            f"Patch lens: {_hours(lens.passes, rates.teraflops):.3g} hours of forward passes and "
            f"{_hours(lens.head, rates.teraflops):.3g} hours of output heads, into {lens.stored / 1e9:.2g} GB of maps."
        )
    if study.grid.tokens_cells():
        tokens = tokens_cost(study, rates.device)
        print(
            f"Image tokens: {_hours(tokens.passes, rates.teraflops):.3g} hours of forward passes over "
            f"{tokens.pictures:,.0f} pictures, into {tokens.stored / 1e9:.2g} GB, and as much again while a job runs "
            "(`pooled.share` and `pooled.layers` make it less)."
        )
    if flop := specification_flop(study, states):
        print(f"Specification curves: {_hours(flop, rates.core_gigaflops / 1e3):.3g} core hours more.")
    if study.left_out:
        print(said_of(study.left_out))
    if study.grid.answers_cells():
        flop, stored = reading_cost(study, states)
        print(
            f"Answers are read in {_hours(flop, rates.core_gigaflops / 1e3):.3g} core hours, into "
            f"{stored / 1e9:.2g} GB of tables."
        )
    if study.likeness_cells():
        flop, stored = likeness_cost(study, states)
        print(
            f"What layers are like takes {_hours(flop, rates.core_gigaflops / 1e3):.3g} core hours, and "
            f"{stored / 1e9:.2g} GB."
        )
    if study.grid.concept_cells():
        print(
            f"Concepts are fitted in {_hours(concept_flop(study, states), rates.core_gigaflops / 1e3):.3g} core hours. "
            f"They and the tables of sweeps take {used_bytes(study, states) / 1e9:.2g} GB."
        )
    if len(written):
        print("Of answers that are written, each input and its tokens are counted; hours are a lower bound.")
    if len(flows):
        print("Information flow is counted as if each question were answered rightly: others are not measured.")
    if not cells["exact"].all():
        print("~: worked out from the config; exact once the stimuli are made and the model's files are here.")
    if study.grid.class_tasks():
        print_power(study)


def print_power(study: Study) -> None:
    """Which differences between layers each task's test split can show."""
    row = "{:<24} {:>9} {:>9} {:>12} {:>12}"
    print(
        f"\nThe smallest difference of two layers' accuracy that a test finds in 80 % of studies, in points. Assumed: "
        f"accuracies of {100 * ACCURACY:.0f} %, layers that differ on {100 * DISAGREE:.0f} % of the items or as many "
        f"as the difference needs, and a correlation of {IMAGE_ALIKE:g} between items of one image."
    )
    print(row.format("task", "images", "items", "difference", "after Holm"))
    for test in held_out_tests(study):
        if test.size is None:
            print(row.format(test.task, *("?",) * 4))
            continue
        mark = "" if test.exact else "~"
        points = [f"{100 * each:.1f}" for each in (test.smallest, test.smallest_corrected)]
        print(row.format(test.task, f"{mark}{test.size.groups:,}", f"{mark}{test.size.items:,.0f}", *points))
    print("A ? is known when the data have been read. Images that share texts tell less.")


def _hours(flop: float, teraflops: float) -> float:
    return flop / (teraflops * 1e12) / 3600
