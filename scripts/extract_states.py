"""Run one model over one stimulus set with one prompt, and keep its hidden states."""

import argparse
import hashlib
import importlib
import json
import logging
import os
from pathlib import Path

from layerwise.cards import take_cards
from layerwise.command import finished_file, run
from layerwise.descriptions import read_description
from layerwise.states.cells import content_of, holds, made_from
from layerwise.states.division import divide
from layerwise.states.kept import KeptFiles
from layerwise.stimuli.items import read_items
from layerwise.stimuli.modalities import with_images
from layerwise.stimuli.prompts import check_cue, render_prompts, unique_inputs

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model.json")
    parser.add_argument("--stimuli", type=Path, required=True, help="folder of the stimulus set")
    parser.add_argument("--cell", type=json.loads, required=True, help="what decides the states beside these, as JSON")
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--sharing", choices=["auto", "always", "never"], default="auto", help="of prefixes")
    parser.add_argument("--device-map", type=json.loads, help="how the model is spread over devices, as JSON")
    parser.add_argument(
        "--shard", type=int, nargs=2, default=[1, 1], metavar=("I", "N"), help="run the I-th of N shards"
    )
    parser.add_argument("--cards", type=int, default=1, help="how many GPUs to take where no scheduler gave any")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for work in progress")
    parser.add_argument("--kept", type=Path, help="folder of finished states by content")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    # Everything that can be wrong with the input comes before torch and the weights are loaded.
    description = read_description(args.model, "digest")
    items, stimuli = read_items(args.stimuli)
    cell, prompt = made_from(args.cell, description, stimuli), args.cell["prompt_entry"]
    check_cue(cell["prompt"], prompt, stimuli["categories"])
    number, n_shards = args.shard
    shard = {"shard": args.shard} if n_shards > 1 else {}
    content = content_of(cell) | shard
    kept = KeptFiles(args.kept, content, [args.out])
    if kept.take(lambda file: holds(file, content)):
        return
    # Shuffled by the items themselves, so that every model sees the same images in the wrong places.
    shown = with_images(items, prompt.get("image", "shown"), seed=int(stimuli["digest"][:8], 16))
    inputs, row_of_item = unique_inputs(shown, render_prompts(prompt, items, stimuli["categories"]))
    shard_of_input = divide(inputs, n_shards)

    # Kept until the process ends.
    take_cards(args.cards)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # Whatever a model needs was downloaded when it was registered. Nodes that compute may have no network.
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch

    from layerwise.models.frozen import layer_names
    from layerwise.models.versions import library_versions
    from layerwise.states.checks import check_batches, check_hooks, check_prompts, check_sharing
    from layerwise.states.extract import extract_shards
    from layerwise.states.image_checks import check_intervention, check_sight
    from layerwise.states.plan import path_of, plan_shards, running_order
    from layerwise.states.shape_checks import check_pictures
    from layerwise.states.sharing import least_texts
    from layerwise.states.work import work_folder
    from layerwise.states.writing import new_states, write_rows

    torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    positions = [*cell["positions"], *(f"last-{site}" for site in cell.get("sites", []))]
    # What decides which rows a shard has names the work folder, and so do the versions of the libraries: what another
    # environment began is not gone on with.
    versions = library_versions()
    rows_by = [args.batch_size, args.sharing, device, args.shard]
    fingerprint = hashlib.sha256(json.dumps([content, rows_by, versions], sort_keys=True).encode()).hexdigest()
    adapter = importlib.import_module(f"layerwise.models.adapters.{description['adapter']}")
    with work_folder(args.work, fingerprint) as work:
        if holds(args.out, content) or kept.take(lambda file: holds(file, content)):
            # Another job held the lock until now, and has finished what this one was to do.
            log.info("%s has been finished in the meantime", args.out)
            return
        model = adapter.load(description | {"device_map": args.device_map}, device)
        check_prompts(model, inputs)
        # Decided for all shards alike.
        share_from = least_texts(model, inputs, args.sharing, device)
        mine = [row for row, its in enumerate(shard_of_input) if its == number - 1]
        order = [mine[position] for position in running_order(inputs.iloc[mine].reset_index(drop=True), share_from)]
        rank = {row: position for position, row in enumerate(order)}
        places = [place for place, row in enumerate(row_of_item) if row in rank]
        inputs = inputs.iloc[order].reset_index(drop=True)
        shards = plan_shards(inputs, share_from, args.batch_size)
        check_pictures(model, inputs)
        check_hooks(model, inputs, cell["positions"])
        check_sight(model, description["model"], inputs, untrained=description["weights"] == "random")
        check_intervention(model, inputs)
        check_batches(model, inputs, shards, positions)
        check_sharing(model, inputs, shards, positions)
        finished = extract_shards(model, inputs, shards, positions, work)
        widths = work.widths(finished[0], positions)
        processor = description.get("image_processor")
        made_with = {
            "revision": description["revision"],
            "path": path_of(shards),
            "image_processor": processor["class"] if processor else None,
            **versions,
        }
        with (
            finished_file(args.out) as partial,
            new_states(
                partial,
                positions=cell["positions"],
                layers=layer_names(model.n_layers),
                rows=len(inputs),
                width=model.width,
                sites={position: width for position, width in widths.items() if position not in cell["positions"]},
                heads=model.n_heads if "last-heads" in positions else 0,
                dtype=cell["dtype"],
                item_ids=list(items["item_id"].iloc[places]),
                row_of_item=[rank[row_of_item[place]] for place in places],
                cell=cell | made_with | shard,
                places=places if shard else None,
            ) as datasets,
        ):
            for start, states in work.assemble(finished, positions):
                for position, values in states.items():
                    write_rows(datasets[position], start, values.numpy())
        kept.keep()


if __name__ == "__main__":
    run(main)
