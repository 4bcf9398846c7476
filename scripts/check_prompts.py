"""Check the prompts of a stimulus set against its items, and write what a model will read for its first item."""

import argparse
import json
from pathlib import Path

from layerwise.errors import InputError
from layerwise.jobs.command import finished_file, run
from layerwise.several_pictures import PLACE
from layerwise.stimuli.items import pictures_of, read_items
from layerwise.stimuli.modalities import what_is_shown, with_images
from layerwise.stimuli.prompts import check_cue, render_prompts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stimuli", type=Path, required=True, help="folder of the stimulus set")
    parser.add_argument("--prompts", type=json.loads, required=True, help="its prompts by name, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="JSON file of examples")
    args = parser.parse_args()

    items, description = read_items(args.stimuli)
    examples = []
    for name, prompt in args.prompts.items():
        check_cue(name, prompt, description["categories"])
        try:
            with_images(items, prompt, seed=0)
        except InputError as error:
            raise InputError(f"prompt {name}: {error}") from error
        example = PLACE.sub(r"{image \1}", render_prompts(prompt, items.head(1), description["categories"])[0])
        about = {"stimuli": description["stimuli"], "prompt": name, "image": what_is_shown(prompt)}
        chosen = {"images": prompt["images"]} if "images" in prompt else {}
        chosen |= {"pictures": pictures} if (pictures := pictures_of(description)) > 1 else {}
        examples.append(about | chosen | {"text": prompt["text"], "example": example})
    with finished_file(args.out) as file:
        file.write_text(json.dumps(examples, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
