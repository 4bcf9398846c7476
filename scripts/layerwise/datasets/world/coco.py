"""The world in COCO 2017's format: pictures, instances and captions."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from layerwise.datasets.world import render
from layerwise.datasets.world.captions import CAPTIONS_PER_IMAGE, draw_captions
from layerwise.datasets.world.scenes import IMAGE_SIZE, SHAPES, Scene, draw_scene
from layerwise.jobs.command import finished_file

# As in COCO, category ids have gaps: a reader that takes them for positions fails here too.
CATEGORY_IDS = dict(zip(SHAPES, (1, 2, 4, 5, 7, 11, 12, 15), strict=True))
SUPERCATEGORIES = {
    "circle": "round",
    "ring": "round",
    "square": "angular",
    "triangle": "angular",
    "diamond": "angular",
    "cross": "crossed",
    "star": "crossed",
    "bar": "angular",
}
INFO = {
    "description": "Embedded world of drawn shapes, in the format of COCO 2017",
    "url": "",
    "version": "1.0",
    "year": 2017,
    "contributor": "layerwise",
    "date_created": "2017/09/01",
}
LICENSES = [{"url": "https://creativecommons.org/publicdomain/zero/1.0/", "id": 1, "name": "CC0 1.0"}]


@dataclass(frozen=True)
class CocoImage:
    """A picture's id, its scene, the annotation ids of its objects (in the scene's order) and its five captions."""

    image_id: int
    scene: Scene
    annotation_ids: tuple[int, ...]
    captions: tuple[str, ...]


def draw_images(
    number: int, first_image_id: int, first_annotation_id: int, rng: np.random.Generator
) -> list[CocoImage]:
    """Draw ``number`` pictures with consecutive image ids and annotation ids."""
    images = []
    for image_id in range(first_image_id, first_image_id + number):
        scene = draw_scene(rng)
        ids = tuple(range(first_annotation_id, first_annotation_id + len(scene.objects)))
        first_annotation_id += len(ids)
        images.append(CocoImage(image_id, scene, ids, tuple(c.text for c in draw_captions(scene, rng))))
    return images


def file_name(image_id: int) -> str:
    """COCO 2017's name of a picture: twelve digits."""
    return f"{image_id:012d}.jpg"


def write_split(folder: Path, split: str, images: list[CocoImage]) -> dict[str, int]:
    """Write ``{split}2017/*.jpg`` and ``annotations/{instances,captions}_{split}2017.json``.

    Returns the number of images, instances and captions, by their file's path relative to ``folder``.
    """
    for image in images:
        render.save_jpeg(render.render(image.scene), folder / f"{split}2017" / file_name(image.image_id))
    entries = [_image_entry(image, split) for image in images]
    instances = [entry for image in images for entry in _instances(image)]
    captions = [
        {"image_id": image.image_id, "id": (image.image_id - 1) * CAPTIONS_PER_IMAGE + i + 1, "caption": text}
        for image in images
        for i, text in enumerate(image.captions)
    ]
    shared = {"info": INFO, "licenses": LICENSES, "images": entries}
    _write_json(
        folder / "annotations" / f"instances_{split}2017.json",
        {**shared, "annotations": instances, "categories": categories()},
    )
    _write_json(folder / "annotations" / f"captions_{split}2017.json", {**shared, "annotations": captions})
    return {
        f"{split}2017": len(images),
        f"annotations/instances_{split}2017.json": len(instances),
        f"annotations/captions_{split}2017.json": len(captions),
    }


def categories() -> list[dict]:
    """COCO's ``categories``: one per shape."""
    return [{"supercategory": SUPERCATEGORIES[name], "id": CATEGORY_IDS[name], "name": name} for name in SHAPES]


def _image_entry(image: CocoImage, split: str) -> dict:
    name = file_name(image.image_id)
    return {
        "license": 1,
        "file_name": name,
        "coco_url": f"{split}2017/{name}",
        "height": IMAGE_SIZE,
        "width": IMAGE_SIZE,
        "date_captured": "2017-09-01 00:00:00",
        "flickr_url": "",
        "id": image.image_id,
    }


def _instances(image: CocoImage) -> list[dict]:
    return [
        {
            "segmentation": [render.outline(item)],
            "area": float(render.area(item)),
            "iscrowd": 0,
            "image_id": image.image_id,
            "bbox": [float(v) for v in render.box(item)],
            "category_id": CATEGORY_IDS[item.shape],
            "id": annotation_id,
            "attributes": {"colour": item.colour},
        }
        for item, annotation_id in zip(image.scene.objects, image.annotation_ids, strict=True)
    ]


def _write_json(path: Path, content: dict) -> None:
    with finished_file(path) as partial:
        partial.write_text(json.dumps(content), encoding="utf-8")
