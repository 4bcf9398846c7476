"""Draw the embedded world: pictures of coloured shapes in the formats of COCO 2017, SNLI-VE and the GQA tables.

Also sequences of frames, in a format of their own (docs/formats.md).
"""

import argparse
import logging
from pathlib import Path

from layerwise.datasets.world.build import make_world
from layerwise.jobs.command import run


def main() -> None:
    """Parse the command line and write the world."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write; give a new one")
    parser.add_argument("--train-images", type=int, default=2000, help="pictures in coco/train2017 (default 2000)")
    parser.add_argument("--val-images", type=int, default=500, help="pictures in coco/val2017 and gqa (default 500)")
    parser.add_argument("--flickr-images", type=int, default=500, help="pictures in snli_ve (default 500)")
    parser.add_argument(
        "--frame-sequences", type=int, default=0, help="sequences of frames of each kind, in frames (default none)"
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same bytes (default 0)")
    options = parser.parse_args()
    images = options.train_images, options.val_images, options.flickr_images
    world = make_world(options.out, *images, options.seed, options.frame_sequences)
    for name, number in world["counts"].items():
        logging.info("%s: %d", name, number)


if __name__ == "__main__":
    run(main)
