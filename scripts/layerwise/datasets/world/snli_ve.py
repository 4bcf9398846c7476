"""The world in SNLI-VE's format: a picture as the premise, six hypotheses a picture, three labels.

Neither the picture nor the hypothesis tells the label by itself: each picture has as many hypotheses of each label, and
see :mod:`layerwise.datasets.world.hypotheses` for the words. No hypothesis is in two splits.
"""

import json
from pathlib import Path

import numpy as np

from layerwise.datasets.world import render
from layerwise.datasets.world.captions import draw_captions
from layerwise.datasets.world.hypotheses import chains, draw_dark_scene, draw_pair, draw_relation
from layerwise.datasets.world.scenes import Scene
from layerwise.datasets.world.statements import LABELS, label, sentence
from layerwise.jobs.command import finished_file

# One triplet of hypotheses that two things are there, and one that they stand in a relation.
TRIPLETS_PER_IMAGE = 2
# Ten digits, as Flickr's; so that nothing mistakes them for row numbers.
FIRST_ID = 1_000_000_007
ID_STEP = 61


def write(folder: Path, number: int, rng: np.random.Generator) -> dict[str, int]:
    """Write ``flickr30k_images/{Flickr30K_ID}.jpg`` and ``snli_ve_{train,dev,test}.jsonl``.

    ``number`` of pictures, at least 3: a tenth (rounded up) goes to dev, another to test, and none to two splits.
    Returns the number of pictures or lines, by path relative to ``folder``.
    """
    ids = [str(FIRST_ID + ID_STEP * i) for i in range(number)]
    held_out = -(-number // 10)
    splits = {"dev": ids[:held_out], "test": ids[held_out : 2 * held_out], "train": ids[2 * held_out :]}
    counts = {"flickr30k_images": number}
    for split in ("train", "dev", "test"):
        lines = []
        for flickr_id in splits[split]:
            scene = draw_dark_scene(split, rng)
            render.save_jpeg(render.render(scene), folder / "flickr30k_images" / f"{flickr_id}.jpg")
            lines.extend(pairs(flickr_id, scene, split, rng))
        with finished_file(folder / f"snli_ve_{split}.jsonl") as partial:
            partial.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        counts[f"snli_ve_{split}.jsonl"] = len(lines)
    return counts


def pairs(flickr_id: str, scene: Scene, split: str, rng: np.random.Generator) -> list[dict]:
    """Six lines of SNLI-VE about one picture: for each of two captions, a hypothesis of each label.

    The labels are decided from the picture, as SNLI-VE's are from the photograph; ``sentence1`` is the caption that a
    text-only reader would have had as its premise.
    """
    captions = draw_captions(scene, rng)
    chosen = np.sort(rng.permutation(len(captions))[:TRIPLETS_PER_IMAGE]).tolist()
    found = chains(scene, split)
    lines: list[dict] = []
    for number, which in enumerate(chosen):
        # One chain for all three labels, so that each step is as frequent under each.
        chain = found[int(rng.integers(len(found)))]
        for wanted in LABELS:
            statement = draw_pair(chain, wanted, rng) if number == 0 else draw_relation(scene, chain, wanted, rng)
            gold = label(scene, statement)
            caption_id = f"{flickr_id}.jpg#{which}"
            lines.append(
                {
                    "Flickr30K_ID": flickr_id,
                    "annotator_labels": [gold],
                    "captionID": caption_id,
                    "gold_label": gold,
                    "pairID": f"{caption_id}r1{gold[0]}",
                    "sentence1": captions[which].text,
                    "sentence2": sentence(statement, rng),
                }
            )
    return lines
