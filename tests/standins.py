"""Small stand-ins for the public data sets that have a recipe: their files, columns and types, with drawn pictures.

docs/datasets.md says where each schema was looked up. Rows are ours.
"""

import io
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from tests.conftest import REPOSITORY
from tests.hub import Hub

# Pictures of most sets. A random split then has six of them or more in each part.
PICTURES = 32
# Two pictures for each relation of VSR's kinds, and for each of the classes of others.
RELATIONS = {
    "adjacency": "at the left side of",
    "direction": "away from",
    "orientation": "facing",
    "projection": "behind",
    "proximity": "near",
    "topology": "inside",
}
PLACES = {"photos": ("on", "under", "to the left of", "to the right of")}
PLACES["rendered"] = ("in front of", "behind", "to the left of", "to the right of")
FILES_OF_SUGARCREPE = (
    "swap_obj", "swap_att", "replace_obj", "replace_att", "replace_rel", "add_obj", "add_att",
)  # fmt: skip
# As `datasets` writes a column of pictures.
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@dataclass
class StandIn:
    """What a recipe needs.

    Attributes:
        repositories: files of the hub, by the id of their repository.
        files: files that the user has beside the study.
    """

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write the user's files."""
        for name, content in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)

    def hubs(self, recipe: str) -> list[Hub]:
        """Its repositories, at the commits that a recipe asks for."""
        commits = {entry["repository"]: entry["revision"] for entry in recipe_of(recipe).get("datasets", {}).values()}
        served = []
        for repository, files in self.repositories.items():
            hub = Hub(repository, {}, "dataset")
            hub.commits, hub.branches = {commits[repository]: files}, {"main": commits[repository]}
            served.append(hub)
        return served


def recipe_of(name: str) -> dict[str, Any]:
    """What a recipe says."""
    return yaml.safe_load((REPOSITORY / f"config/recipes/{name}.yaml").read_text())


@cache
def picture(name: str, form: str = "JPEG") -> bytes:
    """A picture of coloured blocks, like no other."""
    draw = random.Random(name)
    blocks = Image.new("RGB", (6, 5))
    blocks.putdata([(draw.randrange(256), draw.randrange(256), draw.randrange(256)) for _ in range(30)])
    file = io.BytesIO()
    blocks.resize((48, 40), Image.Resampling.NEAREST).save(file, form, quality=95)
    return file.getvalue()


def pope() -> StandIn:
    rows = []
    for kind in ("adversarial", "popular", "random"):
        for number in range(PICTURES):
            for there in (True, False):
                thing = f"thing {number % 5 if there else 5 + number % 3}"
                rows.append(
                    {
                        "id": str(len(rows)),
                        "question_id": str(2 * number + 1 + there),
                        "question": f"Is there a {thing} in the image?",
                        "answer": "yes" if there else "no",
                        "image_source": f"COCO_val2014_{number:012}",
                        "image": _cell(f"pope {number}"),
                        "category": kind,
                    }
                )
    card = "---\nconfigs:\n" + "".join(
        f"- config_name: {name}\n  data_files:\n"
        + "".join(f"  - split: {split}\n    path: {path}\n" for split, path in files.items())
        for name, files in {
            "Full": {kind: f"Full/{kind}-*" for kind in ("adversarial", "popular", "random")},
            "default": {"test": "data/test-*"},
        }.items()
    )
    files = {"README.md": f"{card}---\n# POPE\n".encode(), "Full/random-00000-of-00001.parquet": b"not read"}
    for part, some in enumerate(_parts(rows, 3)):
        files[f"data/test-0000{part}-of-00003.parquet"] = _parquet(some)
    return StandIn({"lmms-lab/POPE": files})


def vsr() -> StandIn:
    def statements(numbers: Sequence[int], relations: Sequence[str], more: Sequence[str]) -> bytes:
        return _jsonl(
            {
                "image": f"{number:012}.jpg",
                "image_link": f"http://images.cocodataset.org/{_folder(number)}/{number:012}.jpg",
                "caption": f"The cat is {relation} the bed.",
                "label": label,
                "relation": relation,
                **dict.fromkeys(more, "cat"),
                "annotator_id": 1 + number % 3,
                "vote_true_validator_id": "[2, 6]",
                "vote_false_validator_id": "[]",
                **({} if more else {"reference_frame": None}),
            }
            for number in numbers
            for relation in relations
            for label in (0, 1)
        )

    numbers = range(PICTURES)
    # The random version's parts share pictures, and some of its relations are in no kind.
    random_parts = {"train": list(numbers), "dev": [0, 1], "test": list(numbers[8:16])}
    apart = {"train": list(numbers[:16]), "dev": list(numbers[16:22]), "test": [*numbers[22:], 0]}
    of_kinds = [*RELATIONS.values(), "next to"]
    repositories = {
        "cambridgeltl/vsr_random": {
            f"{part}.jsonl": statements(some, of_kinds if part == "train" else ["beyond"], [])
            for part, some in random_parts.items()
        },
        "cambridgeltl/vsr_zeroshot": {
            f"{part}.jsonl": statements(some, ["under"], ["subj", "obj"]) for part, some in apart.items()
        },
    }
    for files in repositories.values():
        files["README.md"] = b"---\nlicense: cc-by-4.0\n---\n# VSR\n"
    pictures = {f"coco/{_folder(number)}/{number:012}.jpg": picture(f"coco {number}") for number in numbers}
    return StandIn(repositories, pictures)


def whatsup() -> StandIn:
    files = {}
    for name, folder in {"photos": "controlled_images", "rendered": "controlled_clevr"}.items():
        records = []
        for number in range(PICTURES):
            thing, place = f"cup{number // 4}", PLACES[name][number % 4]
            path = f"data/{folder}/{thing}_{place.replace(' ', '-')}_table.jpeg"
            files[f"whatsup/{path}"] = picture(f"{name} {number}")
            others = [other for other in PLACES[name] if other != place]
            captions = [f"A {thing} {where} a table" for where in (place, *others)]
            records.append({"image_path": path, "caption_options": captions})
        table = {"photos": "controlled_images_dataset", "rendered": "controlled_clevr_dataset"}[name]
        files[f"whatsup/data/{table}.json"] = json.dumps(records).encode()
    for source, folder, width in (("coco", "val2017", 12), ("vg", "vg_images", 0)):
        for number in range(PICTURES):
            files[f"whatsup/data/{folder}/{2000 + number:0{width}}.jpg"] = picture(f"{source} {number}")
        for many, end in {"one": "", "two": " of a bed"}.items():
            sides = [["left", "right"], ["right", "left"]]
            records = [
                [2000 + number, *(f"A photo of a cat on the {side}{end}" for side in sides[number % 2])]
                for number in range(PICTURES)
            ]
            files[f"whatsup/data/{source}_qa_{many}_obj.json"] = json.dumps(records).encode()
    return StandIn({}, files)


def sugarcrepe() -> StandIn:
    files = {f"coco/val2017/{number:012}.jpg": picture(f"coco {number}") for number in range(PICTURES)}
    for name in FILES_OF_SUGARCREPE:
        records = {
            str(number): {
                "filename": f"{number:012}.jpg",
                "caption": f"A cat {number % 7} sits on a bed.",
                "negative_caption": f"A bed sits on a cat {number % 7}.",
            }
            for number in range(PICTURES)
        }
        files[f"sugar-crepe/data/{name}.json"] = json.dumps(records).encode()
    return StandIn({}, files)


def winoground() -> StandIn:
    rows = [
        {
            "id": number,
            "image_0": f"ex_{number}_img_0",
            "image_1": f"ex_{number}_img_1",
            "caption_0": f"an old cat {number} kisses a young dog",
            "caption_1": f"a young cat {number} kisses an old dog",
            "tag": "Noun",
            "secondary_tag": "",
            "num_main_preds": 1 + number % 2,
            "collapsed_tag": ("Object", "Relation", "Both")[number % 3],
        }
        for number in range(PICTURES)
    ]
    files = {"README.md": b"# Winoground\n", "winoground.py": b"raise SystemExit\n"}
    names = [f"ex_{number}_img_{side}" for number in range(PICTURES) for side in (0, 1)]
    return StandIn(
        {"facebook/winoground": files | {"data/examples.jsonl": _jsonl(rows), "data/images.zip": b"not read"}},
        {f"winoground/{name}.png": picture(name, "PNG") for name in names},
    )


def cv_bench() -> StandIn:
    def rows(type_: str, tasks: Mapping[str, tuple[int, str]]) -> Iterator[dict[str, Any]]:
        for task, (many, question) in tasks.items():
            # Four classes need more pictures than two.
            for number in range(2 * PICTURES if many > 2 else PICTURES):
                choices = [str((number + place) % 9) if task == "Count" else f"cup {place}" for place in range(many)]
                listed = "\n".join(f"({letter}) {choice}" for letter, choice in zip("ABCDEF", choices, strict=False))
                yield {
                    "idx": number,
                    "type": type_,
                    "task": task,
                    "image": _cell(f"{task} {number}"),
                    "question": question,
                    "choices": choices,
                    "answer": f"({'ABCDEF'[number % min(many, 4)]})",
                    "prompt": f"{question} Select from the following choices.\n{listed}",
                    "filename": f"img/{type_}/{task.lower()}/{number}.png",
                    "source": "COCO" if type_ == "2D" else "Omni3D",
                    "source_dataset": "COCO 2017 Validation Set",
                    "source_filename": f"{number:012}.jpg",
                    "target_class": "cup" if type_ == "2D" else None,
                    "target_size": 1732.0 if type_ == "2D" else None,
                    "bbox": None if type_ == "2D" else [[0.5, 1.5, 20.0, 30.0]],
                }

    flat = rows("2D", {"Count": (5, "How many cups are in the image?"), "Relation": (2, "Where is the cup?")})
    deep = rows("3D", {"Depth": (2, "Which cup is closer to the camera?"), "Distance": (2, "Which cup is closer?")})
    card = b"---\nlicense: apache-2.0\nconfigs:\n- config_name: default\n  data_files:\n  - split: test\n"
    card += b'    path: "test*.parquet"\n---\n'
    files = {"README.md": card, "test_2d.parquet": _parquet(list(flat)), "test_3d.parquet": _parquet(list(deep))}
    return StandIn({"nyu-visionx/CV-Bench": files | {"test_2d.jsonl": b"{}\n", "build_img.py": b"raise SystemExit\n"}})


def mmvp() -> StandIn:
    lines = ["Index,Question,Options,Correct Answer"]
    files = {"README.md": b"---\nlicense: mit\n---\n"}
    for number in range(1, 2 * PICTURES + 1):
        question = f'"Is the cup {(number - 1) // 2}, on the table, open or closed?"'
        lines.append(f"{number},{question},(a) Open (b) Closed,({'ab'[number % 2]})")
        files[f"MMVP Images/{number}.jpg"] = picture(f"mmvp {number}")
    # With a byte order mark, which the readers of others allow for.
    return StandIn({"MMVP/MMVP": files | {"Questions.csv": "\n".join([*lines, ""]).encode("utf-8-sig")}})


def scienceqa() -> StandIn:
    def rows(part: str) -> list[dict[str, Any]]:
        found = []
        for subject in ("natural science", "social science", "language science"):
            for number in range(2 * PICTURES):
                shown = subject != "language science" and number % 2 == 0
                many = 2 + number // 2 % 4
                # A few pictures are in two parts, as the same map or diagram may be.
                name = f"science {subject} {number if number < 4 else (part, number)}"
                found.append(
                    {
                        "image": {"bytes": picture(name), "path": "image.png"} if shown else None,
                        "question": f"Which of these states is farthest north, in {part} {number}?",
                        "choices": [f"state {place}" for place in range(many)],
                        "answer": number // 8 % many,
                        "hint": "" if number % 3 else "Look at the map.",
                        "task": "closed choice",
                        "grade": "grade2",
                        "subject": subject,
                        "topic": "geography",
                        "category": "Geography",
                        "skill": "Read a map",
                        "lecture": "Maps have four directions.",
                        "solution": "Look at the compass rose.",
                    }
                )
        return found

    names = {
        "train": "1028f23e353fbe3e",
        "validation": "6c7328ff6c84284c",
        "test": "f0e719df791966ff",
    }
    files = {
        f"data/{part}-00000-of-00001-{digits}.parquet": _parquet(rows(part), answer=pa.int8())
        for part, digits in names.items()
    }
    card = b"---\nlicense: cc-by-sa-4.0\n---\n# ScienceQA\n"
    more = {"README.md": card, "tutorial/ScienceQA.py": b"raise SystemExit\n"}
    return StandIn({"derek-thomas/ScienceQA": files | more})


def a_okvqa() -> StandIn:
    def rows(part: str, many: int) -> list[dict[str, Any]]:
        return [
            {
                "image": {"bytes": picture(f"okvqa {part} {number}"), "path": None},
                "question_id": f"{part}{number}",
                "question": f"What is the man {number % 5} by the bags awaiting?",
                "choices": ["skateboarder", "train", "2", "cab"],
                "correct_choice_idx": None if part == "test" else number % 4,
                "direct_answers": "['ride', 'ride', 'bus']",
                "difficult_direct_answer": False,
                "rationales": ["A cab is the only answer."],
            }
            for number in range(many)
        ]

    many = {"train": 2 * PICTURES, "validation": 8, "test": 4}
    files = {
        f"data/{part}-00000-of-00001-d306bf3ad53b6618.parquet": _parquet(rows(part, of), correct_choice_idx=pa.int8())
        for part, of in many.items()
    }
    return StandIn({"HuggingFaceM4/A-OKVQA": files | {"README.md": b"# A-OKVQA\n"}})


def nlvr2() -> StandIn:
    def rows(part: str, sets: Sequence[int]) -> list[dict[str, Any]]:
        """Of each set, two pairs of pictures and two sentences, each true of one pair: as in the balanced subsets."""
        return [
            {
                "question_id": f"{part}-{number}-{pair}-{sentence}",
                "question": f"One image {number} shows {sentence + 1} dogs.",
                "answer": str(pair == sentence),
                "left_image": _cell(f"nlvr2 {number} {pair} left"),
                "right_image": _cell(f"nlvr2 {number} {pair} right"),
                "writer": "61",
                "synset": "dog",
                "query": f"dogs{number}",
            }
            for number in sets
            for pair in (0, 1)
            for sentence in (0, 1)
        ]

    dev, public, unseen = (range(12), range(12, 24), range(24, PICTURES))
    half = len(public) // 2
    files = {
        "README.md": b'---\nconfigs:\n- config_name: default\n---\n# Dataset Card for "nlvr2"\n',
        "balanced/balanced_dev.json": b"not read",
        "data/balanced_dev-00000-of-00001-54ed883ce96f619e.parquet": _parquet(rows("dev", dev)),
        "data/balanced_test_public-00000-of-00002-c989ad9eb1dd7008.parquet": _parquet(rows("test1", public[:half])),
        "data/balanced_test_public-00001-of-00002-f9a6d537d4449440.parquet": _parquet(rows("test1", public[half:])),
        "data/balanced_test_unseen-00000-of-00001-0db545679e2f1081.parquet": _parquet(rows("test2", unseen)),
        "data/unbalanced_dev-00000-of-00002-ceb4efea303c6475.parquet": b"not read",
    }
    return StandIn({"lmms-lab/NLVR2": files})


def blink() -> StandIn:
    def rows(part: str, many: int, choices: Sequence[str], question: str) -> list[dict[str, Any]]:
        listed = "\n".join(f"({letter}) {choice}" for letter, choice in zip("ABCD", choices, strict=False))
        return [
            {
                "idx": f"val_{part}_{number + 1}",
                "sub_task": part,
                "question": question,
                # Two questions may share a frame.
                "image_1": _cell(f"blink {part} {number // 2} {number % 2}"),
                "image_2": _cell(f"blink {part} {number // 2} {number % 2 + 1}"),
                "image_3": None,
                "image_4": None,
                "choices": list(choices),
                "answer": f"({'ABCD'[number % len(choices)]})",
                "prompt": f"The images are frames. {question}\nSelect from the following choices.\n{listed}",
            }
            for number in range(many)
        ]

    points = [f"Point {letter}" for letter in "ABCD"]
    parts = {
        "Multi-view_Reasoning": rows("Multi-view_Reasoning", PICTURES, ["left", "right"], "Is the camera moving left?"),
        **{
            f"{kind}_Correspondence": rows(f"{kind}_Correspondence", 3 * PICTURES, points, "Which point is it?")
            for kind in ("Visual", "Semantic", "Functional")
        },
    }
    files = {"README.md": b"---\nlicense: apache-2.0\n---\n# BLINK\n"}
    for part, some in parts.items():
        files[f"{part}/val-00000-of-00001.parquet"] = _parquet(some, image_3=IMAGE, image_4=IMAGE)
        files[f"{part}/test-00000-of-00001.parquet"] = b"not read: answers are hidden"
    return StandIn({"BLINK-Benchmark/BLINK": files})


def temporal_vqa() -> StandIn:
    rows = []
    for number in range(PICTURES):
        earlier, later = (_cell(f"temporal {number} {when}") for when in ("earlier", "later"))
        first = number % 2 == 0
        one, other = (earlier, later) if first else (later, earlier)
        rows.append({"image_1": one, "image_2": other, "label": "First" if first else "Second"})
    configs = {name: f"{name}/test-*" for name in ("temporal_order", "timelapse_estimation")}
    card = "---\nlicense: apache-2.0\nconfigs:\n" + "".join(
        f"- config_name: {name}\n  data_files:\n  - split: test\n    path: {path}\n" for name, path in configs.items()
    )
    files = {
        "README.md": f"{card}---\n# Temporal-VQA\n".encode(),
        "temporal_order/test-00000-of-00001.parquet": _parquet(rows),
        "timelapse_estimation/test-00000-of-00001.parquet": b"not read",
    }
    return StandIn({"fazliimam/temporal-vqa": files})


# By the name of the recipe.
STAND_INS: dict[str, Callable[[], StandIn]] = {
    "pope": pope,
    "vsr": vsr,
    "whatsup": whatsup,
    "sugarcrepe": sugarcrepe,
    "winoground": winoground,
    "cv-bench": cv_bench,
    "mmvp": mmvp,
    "scienceqa": scienceqa,
    "a-okvqa": a_okvqa,
    "nlvr2": nlvr2,
    "blink": blink,
    "temporal-vqa": temporal_vqa,
}


def _folder(number: int) -> str:
    return "val2017" if number % 2 else "train2017"


def _cell(name: str) -> dict[str, Any]:
    return {"bytes": picture(name), "path": f"{name.replace(' ', '_')}.jpg"}


def _parts(rows: Sequence[dict], many: int) -> list[list[dict]]:
    size = -(-len(rows) // many)
    return [list(rows[start : start + size]) for start in range(0, len(rows), size)]


def _parquet(rows: Sequence[dict[str, Any]], **types: pa.DataType) -> bytes:
    """Rows as `datasets` writes them: pictures as {bytes, path}, and what each column is in the metadata."""
    for name in rows[0]:
        if any(isinstance(row[name], dict) and row[name].keys() == {"bytes", "path"} for row in rows):
            types[name] = IMAGE
    arrays = {name: pa.array([row[name] for row in rows], types.get(name)) for name in rows[0]}
    features = {name: {"_type": "Image" if types.get(name) == IMAGE else "Value"} for name in arrays}
    table = pa.table(arrays).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def _jsonl(rows: Iterator[dict] | Sequence[dict]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
