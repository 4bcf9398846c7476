"""Sample a stimulus set and list the images that its items show, relative to the folder of images."""

import argparse
from pathlib import Path

from layerwise.jobs.command import finished_file, run
from layerwise.several_pictures import each
from layerwise.stimuli.making import add_options, build_stimuli, read_options


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="text file, one image a line")
    args, entry, sources = read_options(parser)

    stimuli, _ = build_stimuli(entry, sources, args.seed)
    names = sorted(
        {str(Path(path).relative_to(args.images)) for image in stimuli.shown["image"] for path in each(image)}
    )
    with finished_file(args.out) as partial:
        partial.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


if __name__ == "__main__":
    run(main)
