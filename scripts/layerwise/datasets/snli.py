"""Build SNLI-VE from SNLI 1.0, as Xie et al. 2019 (arXiv 1901.06706, section 3) did.

SNLI's premises are captions of Flickr30k images. SNLI-VE keeps SNLI's pairs with a gold label, puts the image in the
caption's place and divides by images anew. Pairs whose premise is no Flickr30k caption (``vg_...``, from Visual Genome)
fall away, and so do those of images that no list names.
"""

import json
from collections import Counter
from pathlib import Path

from layerwise.command import finished_file
from layerwise.datasets.snli_ve import annotation_file
from layerwise.datasets.text_files import is_text, read_lines, read_records, shown
from layerwise.errors import InputError

PARTS = ("train", "dev", "test")
SNLI_FILES = tuple(f"snli_1.0_{part}.jsonl" for part in PARTS)
# One list of images per part; or SNLI-VE's own two lists, whose dev part is the end of the first one.
LISTS = (
    ("train.txt", "dev.txt", "test.txt"),
    ("train.txt", "val.txt", "test.txt"),
    ("flickr30k_train_val.lst", "flickr30k_test.lst"),
)
DEV_IMAGES = 1000
KEPT = ("annotator_labels", "captionID", "gold_label", "pairID", "sentence1", "sentence2")


def build_snli_ve(snli: Path, lists: list[Path], out: Path) -> dict[str, int]:
    """Write ``snli_ve_{train,dev,test}.jsonl``; images in the order of their list, pairs in SNLI's.

    Args:
        snli: folder with ``snli_1.0_{train,dev,test}.jsonl``.
        lists: the files of one of :data:`LISTS`: Flickr30k ids, one a line, with or without ``.jpg``.
        out: folder to write.

    Returns:
        Numbers of pairs by part, and of those left out by reason.

    Raises:
        InputError: on a line that is no JSON or lacks a field, an image in two lists, or a part without pairs.
    """
    images = read_lists(lists)
    known = {image for part in images.values() for image in part}
    pairs: dict[str, list[str]] = {image: [] for image in known}
    counts: Counter[str] = Counter()
    for file in (snli / name for name in SNLI_FILES):
        for number, record in read_records(file, KEPT, "a part of SNLI 1.0"):
            if not is_text(record["captionID"]):
                raise InputError(f"{file}, line {number}: captionID is {shown(record['captionID'])}, which is no text")
            image = record["captionID"].split(".jpg")[0]
            if record["gold_label"] == "-":
                counts["without gold label"] += 1
            elif image not in known:
                counts["of no listed image"] += 1
            else:
                kept = {"Flickr30K_ID": image} | {key: record[key] for key in KEPT}
                pairs[image].append(json.dumps(kept) + "\n")
    for part, of_part in images.items():
        counts[part] = sum(len(pairs[image]) for image in of_part)
        if not counts[part]:
            raise InputError(f"{lists[0].parent}: no pair of SNLI is about an image of the part {part}; wrong lists?")
    for part, of_part in images.items():
        with finished_file(annotation_file(out, part)) as partial, open(partial, "w", encoding="utf-8") as lines:
            for image in of_part:
                lines.writelines(pairs[image])
    return dict(counts)


def read_lists(files: list[Path]) -> dict[str, list[str]]:
    """Flickr30k ids by part.

    Raises:
        InputError: when an image is in two parts, or SNLI-VE's own list is too short to end in a dev part.
    """
    read = [[line.removesuffix(".jpg") for _, line in read_lines(file, "a list of images")] for file in files]
    if len(files) == 2:
        if len(read[0]) <= DEV_IMAGES:
            raise InputError(f"{files[0]}: {len(read[0])} images; the last {DEV_IMAGES} are dev, and the others train")
        read = [read[0][:-DEV_IMAGES], read[0][-DEV_IMAGES:], read[1]]
    images = {part: list(dict.fromkeys(ids)) for part, ids in zip(PARTS, read, strict=True)}
    owner: dict[str, str] = {}
    for part, ids in images.items():
        for image in ids:
            if owner.setdefault(image, part) != part:
                raise InputError(f"{files[0].parent}: the image {image} is listed for {owner[image]} and for {part}")
    return images


def choose_lists(names: set[str]) -> tuple[str, ...] | None:
    """Which of :data:`LISTS` is complete among ``names``; None if none is."""
    return next((lists for lists in LISTS if names.issuperset(lists)), None)
