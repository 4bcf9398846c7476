"""Golden numbers: hidden states of a tiny model, as it is and intervened on, scores of probes on random states, and
information flow in the tiny model with the questions about GQA's images that it is asked.

The model is a LLaVA with random weights. Its states are read with and without a shared prefix, at both positions and
all sites, with each kind of image, in float32 and bfloat16. Few numbers of each are kept, and the norms of all.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from benchmarks.stimuli import write_stimuli
from PIL import Image, ImageDraw

import extract_states
import fit_probes
import make_questions
import make_world
import trace_flow
from layerwise.flow.questions import questions_digest, read_questions
from layerwise.models.greedy import greedy_answers
from layerwise.models.opening import open_model
from layerwise.models.registration import describe_model
from layerwise.states.images import read_images
from layerwise.states.store import StatesFile
from layerwise.states.writing import new_states, write_rows
from tests.cells import extraction, write_items
from tests.concepts import random_concept

FILE = Path(__file__).parent / "numbers.npz"
ENTRY = {"weights": "pretrained", "adapter": "generic", "conversation": "auto"}
# What the states of each run are called here: the model's precision, whether prefixes are shared, and the image shown.
RUNS = [("float32", "always", "shown"), ("float32", "never", "shuffled"), ("bfloat16", "never", "blank")]
# An entry of each kind of intervention; each is run with a shared prefix and without.
INTERVENTIONS = [
    {"bypass": {"from": 1, "into": 2, "scale": 0.7}},
    {"ablate-image": {"from": 2, "with": "mean"}},
    {"cut-image": {"blocks": [1, 1]}},
]
# And of those that need a concept, at each kind of tokens.
CONCEPT = {"task": "any", "prompt": "any", "block": 1}
FITTED = [
    {"erase": CONCEPT | {"at": "last"}},
    {"erase": CONCEPT | {"at": "text"}},
    {"steer": CONCEPT | {"at": "image", "along": "means", "strength": 2}},
    {"steer": CONCEPT | {"at": "last", "along": "probe", "strength": -1}},
]


def of_states(folder: Path, model: Path) -> dict[str, np.ndarray]:
    """Golden hidden states by name.

    Args:
        folder: for files on the way.
        model: folder of the tiny model.
    """
    _write_inputs(folder)
    found = {}
    for dtype, sharing, image in RUNS:
        read = _read(folder, ENTRY | {"source": str(model), "dtype": dtype}, sharing, image)
        found |= {f"{dtype} {sharing} {image} {name}": numbers for name, numbers in read.items()}
    return found


def of_interventions(folder: Path, model: Path) -> dict[str, np.ndarray]:
    """Golden hidden states of a model with each kind of intervention by name; see :func:`of_states`."""
    _write_inputs(folder)
    found = {}
    for intervention in INTERVENTIONS:
        entry = ENTRY | {"source": str(model), "dtype": "float32", "intervention": intervention}
        for sharing in ("always", "never"):
            read = _read(folder, entry, sharing, "shown")
            found |= {f"float32 {min(intervention)} {sharing} {name}": numbers for name, numbers in read.items()}
    return found


def of_fitted(folder: Path, model: Path) -> dict[str, np.ndarray]:
    """Golden hidden states of a model from which a random concept is erased, or that is steered along it; see
    :func:`of_states`."""
    _write_inputs(folder)
    found = {}
    for intervention in FITTED:
        entry = ENTRY | {"source": str(model), "dtype": "float32", "intervention": intervention}
        ((kind, how),) = intervention.items()
        width = describe_model("tiny", entry, None, 0)["width"]
        concept = random_concept(folder / f"{how['at']}.safetensors", width, how["at"], how["block"])
        for sharing in ("always", "never"):
            read = _read(folder, entry, sharing, "shown", fitted=str(concept))
            found |= {f"float32 {kind} {how['at']} {sharing} {name}": numbers for name, numbers in read.items()}
    return found


def _write_inputs(folder: Path) -> None:
    shown = []
    for i in range(4):
        picture = Image.new("RGB", (60 + 9 * i, 50), (40 * i, 90, 200 - 40 * i))
        ImageDraw.Draw(picture).rectangle((5 * i, 8, 20 + 5 * i, 30), fill=(250, 50 * i, 10))
        picture.save(folder / f"{i}.png")
        texts = [f"Is there a red circle {'or a star ' * times}in it?" for times in range(3)]
        shown += [(f"{i}-{k}", folder / f"{i}.png", text) for k, text in enumerate(texts)]
    write_items(folder, shown)


def _read(folder: Path, entry: dict[str, Any], sharing: str, image: str, **options: str) -> dict[str, np.ndarray]:
    """Some states, and the norms of all, by position."""
    description = describe_model("tiny", entry, None, 0)
    out = folder / f"{entry['dtype']}-{'-'.join(entry.get('intervention', []))}-{sharing}.h5"
    command = extraction(folder, description, ["last", "image-mean"], out, {"image": image}, sharing=sharing, **options)
    place = command.index("--cell") + 1
    command[place] = json.dumps(json.loads(command[place]) | {"sites": ["attention", "mlp", "heads"]})
    _run(extract_states.main, command[1:])
    found = {}
    with StatesFile(out) as states:
        for position in [*states.positions, *(f"last-{site}" for site in states.sites)]:
            whole = np.stack([states.layer(position, i) for i in range(len(states.layers_at(position)))])
            # By item: the order of rows is how a run went.
            whole = whole[:, states.row_of_item]
            found[f"{position} norms"] = np.linalg.norm(whole, axis=2)
            found[position] = whole[:, ::5, ::9]
    return found


def of_probes(folder: Path) -> dict[str, np.ndarray]:
    """Golden scores of probes by label, layer, metric and split, for a label of two classes and one of three."""
    rng, found = np.random.default_rng(0), {}
    for n_classes in (2, 3):
        command = drawn_cell(folder, n_classes, rng)
        _run(fit_probes.main, ["fit_probes.py", *command, "--engine", "torch"])
        for table in ("scores", "curve"):
            rows = pd.read_parquet(folder / f"of-{n_classes}/{table}.parquet")
            numbers = rows.select_dtypes("number").drop(columns=["n_layers"])
            found[f"{n_classes} classes {table}"] = numbers[sorted(numbers)].to_numpy(np.float64)
    return found


def of_questions(folder: Path) -> dict[str, np.ndarray]:
    """The questions that are chosen of a drawn world, as the bytes of their digest.

    Args:
        folder: for the world, and for the questions: ``questions``.
    """
    world = folder / "world"
    few = ["--train-images", "1", "--val-images", "20", "--flickr-images", "3"]
    _run(make_world.main, ["make_world.py", "--out", str(world), "--seed", "3", *few])
    entry = json.dumps({"types": ["ChooseAttr", "LogicalObj"], "per_type": 5})
    command = ["make_questions.py", "--name", "drawn", "--entry", entry, "--annotations", str(world / "gqa")]
    command += ["--images", str(world / "coco/val2017"), "--seed", "3", "--out", str(folder / "questions")]
    _run(make_questions.main, command)
    digest = json.loads((folder / "questions/questions.json").read_text())["digest"]
    return {"digest": np.frombuffer(bytes.fromhex(digest), np.uint8)}


def of_flow(folder: Path, model: Path) -> dict[str, np.ndarray]:
    """Golden information flow: probabilities by flow and window, and by layer.

    Args:
        folder: that of :func:`of_questions`, which comes first.
        model: folder of the tiny model.
    """
    described = describe_model("tiny", ENTRY | {"source": str(model), "dtype": "float32"}, None, 0)
    table, questions = read_questions(folder / "questions")
    # The model is right.
    template, frozen = "{text} Answer with a word.", open_model(described, "cpu")
    prompts = [template.replace("{text}", question) for question in table["question"]]
    shown = [read_images(image) for image in table["image"]]
    table["answer"] = [answer.text for answer in greedy_answers(frozen, shown, prompts)]
    asked = folder / "asked"
    asked.mkdir()
    table.to_parquet(asked / "questions.parquet")
    questions["digest"] = questions_digest(table)
    (asked / "questions.json").write_text(json.dumps(questions))
    (asked / "model.json").write_text(json.dumps(described))
    cell = {"model": "tiny", "model_digest": described["digest"], "questions": "drawn", "window": 2}
    cell |= {"questions_digest": questions["digest"], "prompt_entry": {"text": template}, "question_tokens": "text"}
    command = ["trace_flow.py", "--model", asked / "model.json", "--questions", asked, "--cell", json.dumps(cell)]
    command += ["--batch-size", "4", "--threads", "1", "--work", folder / "work"]
    for name, end in (("changes", "parquet"), ("tracing", "parquet"), ("answers", "parquet"), ("description", "json")):
        command += [f"--{name}", asked / f"{name}.{end}"]
    _run(trace_flow.main, list(map(str, command)))
    changes, tracing = (pd.read_parquet(asked / f"{name}.parquet") for name in ("changes", "tracing"))
    return {
        "changes": changes[["p", "p_blocked"]].to_numpy(np.float64)[::3],
        "tracing": tracing["p"].to_numpy(np.float64)[::7],
    }


def drawn_cell(folder: Path, n_classes: int, rng: np.random.Generator, metric: str = "accuracy") -> list[str]:
    """Write a task and states that are drawn; gives the options of ``fit_probes.py``, all but ``--engine``.

    Args:
        folder: for all files; those of the task and the tables go to ``of-N`` for N classes.
        n_classes: of its only label.
        rng: source of labels and states.
        metric: the task's.
    """
    task = folder / f"of-{n_classes}"
    task.mkdir()
    labels = pd.DataFrame({"y": rng.integers(0, n_classes, 240)})
    labels["group"] = [f"g{i // 2}" for i in range(240)]
    labels["split"] = np.repeat(["train", "val", "test"], [120, 48, 72])
    labels["item_id"] = [f"i{i}" for i in range(240)]
    labels = labels.assign(label="l", image_id=labels["group"])
    labels.to_parquet(task / "labels.parquet")
    classes = [f"c{i}" for i in range(n_classes)]
    described = {"task": "drawn", "stimuli": "drawn", "question": "global", "labels": ["l"], "classes": classes}
    described |= {"kind": "binary" if n_classes == 2 else "multiclass", "metric": metric}
    (task / "task.json").write_text(json.dumps(described))
    layers = ["embeddings", "block 1", "block 2", "final norm"]
    states = rng.standard_normal((240, 4, 12)).astype(np.float32)
    states[:, :, 0] += labels["y"].to_numpy()[:, None] * np.array([0, 0.5, 1, 2])
    with new_states(
        task / "states.h5",
        positions=["last"],
        layers=layers,
        rows=240,
        width=12,
        dtype="float32",
        item_ids=labels["item_id"],
        row_of_item=range(240),
        cell={"prompt": "drawn"} | write_stimuli(folder / "stimuli", labels["item_id"], labels["item_id"]),
    ) as datasets:
        write_rows(datasets["last"], 0, states)
    command = ["--states", task / "states.h5", "--cell", "{}"]
    command += ["--stimuli", folder / "stimuli", "--task", task, "--position", "last"]
    command += ["--C", "0.01", "1.0", "--resamples", "200", "--random-labels", "1"]
    command += ["--description-length", "--seed", "0", "--threads", "1", "--memory-mb", "4000"]
    command += ["--work", folder / "work", "--scores", task / "scores.parquet"]
    command += ["--predictions", task / "predictions.parquet", "--curve", task / "curve.parquet"]
    return list(map(str, command))


def _run(main: Callable[[], None], command: list[str]) -> None:
    """A program in this process: a new one would load torch each time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", command)
        main()


def differences(found: dict[str, np.ndarray], program: str) -> list[str]:
    """What is not as in the golden file, in words; nothing where all agrees but for rounding.

    Args:
        found: what the present code gives.
        program: ``states``, ``interventions``, ``fitted``, ``probes``, ``questions`` or ``flow``.
    """
    with np.load(FILE) as golden:
        expected = {name.partition("/")[2]: golden[name] for name in golden if name.startswith(f"{program}/")}
    said = [f"{name} is new or gone" for name in sorted(set(found) ^ set(expected))]
    for name in sorted(set(found) & set(expected)):
        ours, theirs = found[name].astype(np.float64), expected[name].astype(np.float64)
        if ours.shape != theirs.shape:
            said.append(f"{name} has the shape {ours.shape}, not {theirs.shape}")
            continue
        # Processors round in other orders; bfloat16 shows it in its third digit.
        tolerance = 2e-2 if name.startswith("bfloat16") else 1e-4
        scale = np.nanmax(np.abs(theirs))
        if not np.allclose(ours, theirs, rtol=tolerance, atol=tolerance * scale, equal_nan=True):
            said.append(f"{name} differs by {np.nanmax(np.abs(ours - theirs)) / scale:.1e} of its greatest number")
    return said
