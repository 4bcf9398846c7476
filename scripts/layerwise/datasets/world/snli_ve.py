"""The world in SNLI-VE's format: a picture as the premise, six hypotheses a picture, three labels."""

import json
from pathlib import Path

import numpy as np

from layerwise.command import finished_file
from layerwise.datasets.world import render
from layerwise.datasets.world.captions import draw_captions
from layerwise.datasets.world.scenes import Scene, draw_scene
from layerwise.datasets.world.statements import LABELS, draw_statement, label, sentence

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
            scene = draw_scene(rng)
            render.save_jpeg(render.render(scene), folder / "flickr30k_images" / f"{flickr_id}.jpg")
            lines.extend(pairs(flickr_id, scene, rng))
        with finished_file(folder / f"snli_ve_{split}.jsonl") as partial:
            partial.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        counts[f"snli_ve_{split}.jsonl"] = len(lines)
    return counts


def pairs(flickr_id: str, scene: Scene, rng: np.random.Generator) -> list[dict]:
    """Six lines of SNLI-VE about one picture: for each of two captions, a hypothesis of each label.

    No hypothesis appears twice. The labels are decided from the picture, as SNLI-VE's are from the photograph;
    ``sentence1`` is the caption that a text-only reader would have had as its premise.
    """
    captions = draw_captions(scene, rng)
    chosen = np.sort(rng.permutation(len(captions))[:TRIPLETS_PER_IMAGE]).tolist()
    lines: list[dict] = []
    told: set[str] = set()
    for which in chosen:
        for wanted in LABELS:
            text, gold = _new_hypothesis(scene, wanted, told, rng)
            told.add(text)
            caption_id = f"{flickr_id}.jpg#{which}"
            lines.append(
                {
                    "Flickr30K_ID": flickr_id,
                    "annotator_labels": [gold],
                    "captionID": caption_id,
                    "gold_label": gold,
                    "pairID": f"{caption_id}r1{gold[0]}",
                    "sentence1": captions[which].text,
                    "sentence2": text,
                }
            )
    return lines


def _new_hypothesis(scene: Scene, wanted: str, told: set[str], rng: np.random.Generator) -> tuple[str, str]:
    while True:
        statement = draw_statement(scene, wanted, rng)
        text = sentence(statement, rng)
        if text not in told:
            return text, label(scene, statement)
