"""Ask one model one set of questions, and measure what attention its right answers need and where they appear."""

import argparse
import hashlib
import json
import logging
import os
from collections import Counter
from pathlib import Path

import numpy as np

from layerwise.descriptions import read_description
from layerwise.flow.questions import read_questions
from layerwise.flow.results import ASKED, changes_table, describe, holds, tracing_table
from layerwise.jobs.cards import take_cards
from layerwise.jobs.command import finished_file, run
from layerwise.jobs.kept import KeptFiles

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model.json")
    parser.add_argument("--questions", type=Path, required=True, help="folder of the questions")
    parser.add_argument("--cell", type=json.loads, required=True, help="what decides the results beside these, as JSON")
    parser.add_argument("--batch-size", type=int, required=True, help="questions that are answered together")
    parser.add_argument("--device-map", type=json.loads, help="how the model is spread over devices, as JSON")
    parser.add_argument("--cards", type=int, default=1, help="how many GPUs to take where no scheduler gave any")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for work in progress")
    parser.add_argument("--kept", type=Path, help="folder of finished results by content")
    parser.add_argument("--changes", type=Path, required=True, help="Parquet file to write: blocked runs")
    parser.add_argument("--tracing", type=Path, required=True, help="Parquet file to write: what each layer says")
    parser.add_argument("--answers", type=Path, required=True, help="Parquet file to write: the model's answers")
    parser.add_argument("--description", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()

    # Everything that can be wrong with the input comes before torch and the weights are loaded.
    model_json = read_description(args.model, "digest")
    asked, questions = read_questions(args.questions)
    # What is known only when both have been described; see layerwise.states.cells.
    cell = args.cell | {"model_digest": model_json["digest"], "questions_digest": questions["digest"]}
    finished = KeptFiles(args.kept, cell, [args.changes, args.tracing, args.answers, args.description])
    if finished.take(lambda file: holds(file, cell)):
        return

    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # Nodes that compute may have no network.
    os.environ["HF_HUB_OFFLINE"] = "1"
    # Kept until the process ends.
    take_cards(args.cards)
    import torch

    from layerwise.flow.flows import FLOWS
    from layerwise.flow.free import check_served
    from layerwise.flow.measuring import CASINGS, NORMS, OUTCOMES, measure_parts, rows_of
    from layerwise.models.opening import open_model
    from layerwise.models.versions import library_versions
    from layerwise.states.image_checks import check_sight
    from layerwise.states.work import work_folder

    torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # What another environment began is not gone on with.
    versions = library_versions()
    fingerprint = hashlib.sha256(json.dumps([cell, device, versions], sort_keys=True).encode()).hexdigest()
    # Questions about one image together, so that it is run once.
    order = np.argsort(asked["image_sha256"].to_numpy(), kind="stable")
    with work_folder(args.work, fingerprint) as work:
        if holds(args.description, cell):
            # An orphan of a killed run held the lock until now, and has finished what this job was to do.
            log.info("%s has been finished in the meantime", args.description)
            work.remove()
            return
        model = open_model(model_json, device, device_map=args.device_map)
        check_served(model)
        running, template = asked.iloc[order], cell["prompt_entry"]["text"]
        first = running.head(1)
        shown = first.assign(item_id=first["question_id"], prompt=template.replace("{text}", first["question"].iat[0]))
        check_sight(model, model_json["model"], shown, untrained=model_json["weights"] == "random")
        shards = measure_parts(model, running, template, cell["window"], cell["question_tokens"], args.batch_size, work)
        measured = [row for _, row in sorted(rows_of(work, shards), key=lambda found: order[found[0]])]
        outcomes = [OUTCOMES[row["outcome"]] for row in measured]
        answers = asked[[*ASKED, "answer"]].assign(given=[row["given"] for row in measured], outcome=outcomes)
        for name in ("image_tokens", "object_tokens"):
            answers[name] = [int(row[name]) for row in measured]
        kept = [i for i, outcome in enumerate(outcomes) if outcome == "kept"]
        if not kept:
            log.warning(
                "%s answers none of the %d questions of %s rightly; it says %s: is the prompt one that it knows?",
                cell["model"],
                len(asked),
                cell["questions"],
                ", ".join(map(repr, answers["given"].unique()[:5])),
            )
        rows, right = [measured[i] for i in kept], asked.iloc[kept].reset_index(drop=True)
        changes = changes_table(
            right,
            np.array([row["p"] for row in rows]),
            np.array([row["blocked"] for row in rows]).reshape(len(rows), len(FLOWS), model.n_layers),
            [flow.name for flow in FLOWS],
        )
        traced = np.array([row["traced"] for row in rows])
        traced = traced.reshape(len(rows), len(NORMS), len(CASINGS), model.n_layers + 1)
        tracing = tracing_table(right, traced, NORMS, CASINGS)
        unmapped = Counter(row["unmapped"] for row in rows if row["unmapped"])
        description = describe(cell | versions, questions, answers, unmapped)
        for path, table in ((args.changes, changes), (args.tracing, tracing), (args.answers, answers)):
            with finished_file(path) as partial:
                table.to_parquet(partial, index=False)
        with finished_file(args.description) as partial:
            partial.write_text(json.dumps(description, indent=2) + "\n")
        finished.keep()
        work.remove()


if __name__ == "__main__":
    run(main)
