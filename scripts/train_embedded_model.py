"""Train the embedded model - a small LLaVA - on the embedded world, and write it as any other Hugging Face model."""

import argparse
import csv
import logging
import os
from pathlib import Path

import torch

from layerwise.errors import InputError
from layerwise.jobs.command import finished_file, run
from layerwise.models.embedded.evaluation import evaluate, evaluate_frames
from layerwise.models.embedded.objectives import FRAMES, MIXTURES
from layerwise.models.embedded.plans import plan_for
from layerwise.models.embedded.saving import save_model
from layerwise.models.embedded.training import Stopwatch, log_measurements, train

COLUMNS = ("seconds", "step", "phase", "lesson", "metric", "value")


def main() -> None:
    """Parse the command line, train, evaluate and write the folder and the curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model; replaced if it is there")
    parser.add_argument("--curve", type=Path, required=True, help="CSV of losses and held-out accuracies by step")
    parser.add_argument("--seed", type=int, default=0, help="decides the weights and the scenes (default 0)")
    parser.add_argument(
        "--objective", choices=sorted(MIXTURES), default="both", help="which lessons it is taught (default both)"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (default 2)")
    parser.add_argument("--steps-scale", type=float, default=1.0, help="multiplies the numbers of steps (default 1)")
    parser.add_argument("--questions", type=int, default=500, help="held-out questions of each lesson (default 500)")
    options = parser.parse_args()
    for name, value in (
        ("threads", options.threads),
        ("steps-scale", options.steps_scale),
        ("questions", options.questions),
    ):
        if value <= 0:
            raise InputError(f"--{name} {value}: give more than 0")
    if options.seed < 0:
        raise InputError(f"--seed {options.seed}: give 0 or more")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # it would take cores that the job was not given
    torch.set_num_threads(options.threads)
    rows: list[dict[str, object]] = []
    watch = Stopwatch()
    plan = plan_for(options.objective).scaled(options.steps_scale)
    model, processor = train(options.seed, plan, log_measurements(rows, watch))
    training = {"wall_seconds": round(watch.wall(), 1), "cpu_seconds": round(watch.cpu(), 1)}
    accuracies = evaluate(model, processor, options.seed, options.questions)
    by_frames = {}
    if options.objective in FRAMES:
        by_frames = evaluate_frames(model, processor, options.seed, options.questions)
        accuracies |= by_frames.pop("in order")
    for lesson, accuracy in accuracies.items():
        logging.info("held-out accuracy, %s: %.3f", lesson, accuracy)
    for shown, by_kind in by_frames.items():
        for kind, accuracy in by_kind.items():
            logging.info("held-out accuracy, %s, %s: %.3f", kind, shown, accuracy)
    save_model(
        options.out,
        model,
        processor,
        {
            "held_out_accuracy": accuracies,
            **({"accuracy_by_frames": by_frames} if by_frames else {}),
            "questions": options.questions,
            "training": {
                **training,
                "threads": options.threads,
                "objective": options.objective,
                "seed": options.seed,
                "steps_scale": options.steps_scale,
            },
        },
    )
    with finished_file(options.curve) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    run(main)
