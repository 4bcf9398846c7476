"""Sample a stimulus set and list the images that its items show, relative to the folder of images."""

import argparse
import json
from pathlib import Path

from layerwise.jobs.command import finished_file, run
from layerwise.stimuli.kinds import build_stimuli


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entry", type=json.loads, required=True, help="the config entry, as JSON")
    parser.add_argument("--annotations", required=True, help="folder of annotation files")
    parser.add_argument("--images", required=True, help="folder of images, which need not be there yet")
    parser.add_argument("--corrected-labels", type=json.loads, default={}, help="files by SNLI-VE part, as JSON")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="text file, one image a line")
    args = parser.parse_args()

    stimuli, _ = build_stimuli(args.entry, args.annotations, args.images, args.corrected_labels, args.seed)
    names = sorted({str(Path(image).relative_to(args.images)) for image in stimuli.shown["image"]})
    with finished_file(args.out) as partial:
        partial.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


if __name__ == "__main__":
    run(main)
