"""The cost model against what is really run."""

import copy
import json
import subprocess
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from layerwise.cost.answering import estimate_writing, reading_cost
from layerwise.cost.estimate import estimate_states
from layerwise.cost.flows import estimate_flows
from layerwise.cost.inputs import count_inputs
from layerwise.cost.power import held_out_tests
from layerwise.cost.probing import kept_probes_bytes, probe_flop, training_rows
from layerwise.cost.shortcuts import pictures_flop, shortcut_probe_flop
from layerwise.cost.sizes import sizes_of
from layerwise.cost.tokens import tokens_cost
from layerwise.cost.used import concept_flop, estimate_used, runs_per_block, used_bytes
from layerwise.datasets.gqa_sources import QUESTION_SOURCE
from layerwise.errors import InputError
from layerwise.flow import measuring
from layerwise.flow.asking import Asking
from layerwise.flow.head_runs import HeadRuns
from layerwise.flow.questions import choose_questions, describe, tabulate
from layerwise.models.adapters import generic
from layerwise.models.greedy import greedy_answers
from layerwise.models.registration import describe_model
from layerwise.probes.kinds.catalogue import PROBE_KINDS
from layerwise.probes.kinds.logistic import PAIRS_PER_FIT
from layerwise.probes.shortcut_names import MOST_COMPONENTS, MOST_WORDS
from layerwise.states.extract import extract_parts
from layerwise.states.images import read_image
from layerwise.states.plan import plan_parts, running_order
from layerwise.states.work import WorkFolder
from layerwise.stimuli.building import Sources
from layerwise.stimuli.items import items_digest
from layerwise.stimuli.making import build_stimuli, read_entry
from layerwise.stimuli.prompts import render_prompts, unique_inputs
from layerwise.study import Study
from layerwise.tasks.labels import build_task
from tests.conftest import REPOSITORY
from tests.families.deepseek import deepseek_vl_hybrid
from tests.families.fuyu import fuyu
from tests.families.llava_kin import video_llava
from tests.families.short_memory import lfm2_vl

KINDS = ["ChooseAttr", "QueryAttr"]
PROMPT = "{text}\nAnswer the question using a single word or phrase."
EXPECTED = {"layers": 32, "width": 4096, "parameters": 6.5, "image_tokens": 576}


def planned(config: dict, results) -> Study:
    """The study of a config, with its results under a folder."""
    return Study.from_config(copy.deepcopy(config) | {"pathvars": {"results": str(results)}})


@pytest.fixture
def own(tmp_path, tiny_llava) -> tuple[dict, pd.DataFrame]:
    """A study of a table: 4 images with 1 to 4 questions each, made as the workflow makes it; and its items."""
    rows = [(f"{i}.png", f"Is there a {'very ' * j}red circle?", j % 2) for i in range(4) for j in range(i + 1)]
    pd.DataFrame(rows, columns=["image", "question", "yes"]).to_csv(tmp_path / "own.csv", index=False)
    for i in range(4):
        Image.fromarray(np.full((40, 60, 3), 50 * i, dtype=np.uint8)).save(tmp_path / f"{i}.png")
    config = yaml.safe_load((REPOSITORY / "config/prompts.yaml").read_text())
    config |= {
        "stimuli": {
            "own": {
                "kind": "table",
                "file": str(tmp_path / "own.csv"),
                "text_column": "question",
                "labels": ["yes"],
                "prompts": ["plain"],
            }
        },
        "tasks": {"yes": {"stimuli": "own", "question": "local"}},
        "models": {"tiny": {"source": str(tiny_llava), "sharing": "always"}},
    }
    items = pd.DataFrame(rows, columns=["image", "text", "label"]).drop(columns="label")
    items["image"] = [str(tmp_path / image) for image in items["image"]]
    items = items.assign(item_id=[f"i{i}" for i in range(len(items))], image_sha256=items["image"], category=None)
    folder = Path(planned(config, tmp_path / "results").stimuli_folder("own"))
    folder.mkdir(parents=True)
    items.to_parquet(folder / "items.parquet")
    description = {"digest": items_digest(items, []), "categories": []}
    (folder / "stimuli.json").write_text(json.dumps(description))
    return config, items


def test_tokens_and_bytes_are_those_of_the_run(own, tmp_path):
    config, items = own
    study = planned(config, tmp_path / "results")
    (cell,) = estimate_states(study, "cpu").itertuples()
    assert (cell.images, cell.inputs, cell.exact) == (4, 10, True)

    entry = study.config.models["tiny"].entry()
    model = generic.load(describe_model("tiny", entry, None, 0), "cpu")
    prompt = study.grid.prompt("own", "plain").entry()
    inputs, _ = unique_inputs(items, render_prompts(prompt, items, []))
    inputs = inputs.iloc[running_order(inputs, 2)].reset_index(drop=True)
    # One input a batch, so that no padding is run.
    parts = plan_parts(inputs, 2, 1)
    assert {unit.shared for units in parts for unit in units} == {True, False}
    run, seen = [], []
    model.blocks[0].register_forward_pre_hook(lambda _, args: run.append(args[0].shape[1]))
    tower = model.model.base_model.vision_tower
    tower.register_forward_pre_hook(lambda _, args, kwargs: seen.append(args or kwargs), with_kwargs=True)
    work = WorkFolder(tmp_path / "work")
    finished = extract_parts(model, inputs, parts, ["last"], work)
    assert sum(run) == cell.tokens
    assert cell.bytes == sum(states["last"].nbytes for _, states in work.assemble(finished, ["last"]))
    vision = sum(parameter.numel() for parameter in model.model.base_model.vision_tower.parameters())
    decoder = sum(parameter.numel() for parameter in model.blocks.parameters())
    # 4 images of 16 patches; norms and projector are the rest.
    assert len(seen) == 4
    assert 2 * (decoder * cell.tokens + vision * 4 * 16) == pytest.approx(cell.flop, rel=0.05)


def test_patches_are_counted_whatever_the_tensors_of_pictures_are_called(own, tmp_path):
    config, _ = own
    expected = {
        # A picture of 56 x 56 pixels, and for one model the same in 64 x 64, each in patches of 14.
        video_llava: 16,
        deepseek_vl_hybrid: 16 + (64 / 14) ** 2,
        # Patches that are laid out before, filled up to 16.
        lfm2_vl: 16,
        # In the picture's own shape, from a tensor of another name.
        fuyu: 12,
    }
    for build, patches in expected.items():
        folder = tmp_path / build.__name__
        for part in build():
            part.save_pretrained(folder)
        config["models"] = {"tiny": {"source": str(folder)}}
        study = planned(config, tmp_path / "results")
        _, _, counted = sizes_of(study, ["tiny"], "cpu")["tiny"].alone(count_inputs(study, "own", "plain"))
        assert counted == pytest.approx(patches)


def test_controls_without_the_image_are_counted(own, tmp_path):
    config, _ = own
    config["prompts"]["table"] |= {name: {"text": "{text}", "image": name} for name in ("none", "blank", "shuffled")}
    config["stimuli"]["own"]["prompts"] = ["plain", "none", "blank", "shuffled"]
    cells = estimate_states(planned(config, tmp_path / "results"), "cpu").set_index("prompt")
    # The questions are four, and each image has some of them.
    assert cells["inputs"].to_dict() == {"plain": 10, "none": 4, "blank": 4, "shuffled": 10}
    assert cells["images"]["blank"] == 1
    assert max(cells["tokens"][["none", "blank"]]) < cells["tokens"]["plain"] == cells["tokens"]["shuffled"]


def test_what_is_not_there_is_worked_out_from_the_config(study, tmp_path):
    del study["embedded_models"], study["flow"]
    study["models"] = {"seven-billion": {"source": "some/model", "expected": EXPECTED, "batch_size": 4}}
    cells = estimate_states(planned(study, tmp_path), "cuda").set_index(["stimuli", "prompt"])
    assert not cells["exact"].any()
    # Two items per image; 818 images with six pairs; eight shapes of 500 pairs.
    assert cells["inputs"].to_dict() == {
        ("captions", "agree"): 3200,
        ("captions", "caption"): 3200,
        # Each caption is once a match and once a mismatch, but the same text.
        ("captions", "agree-text-only"): 1600,
        ("hypotheses", "statement"): 820 * 6,
        ("hypotheses", "entail"): 820 * 6,
        ("hypotheses", "statement-text-only"): 820 * 6,
        ("objects", "no-cue"): 1600,
        ("objects", "category"): 4000,
        ("objects", "category-list"): 1600,
    }
    one = cells.loc["objects", "no-cue"]
    assert one["bytes"] == 34 * 1600 * 4096 * 4
    assert one["tokens"] == pytest.approx(1600 * 600, rel=0.05)
    # Six texts about an image cost little more than one.
    assert cells.loc["hypotheses", "entail"]["tokens"] < 820 * (576 + 6 * 40)
    alone = copy.deepcopy(study)
    alone["models"]["seven-billion"]["expected"]["shares_prefix"] = False
    alone = estimate_states(planned(alone, tmp_path), "cuda").set_index(["stimuli", "prompt"])
    assert alone.loc["hypotheses", "entail"]["tokens"] > 820 * 6 * 576
    plain = copy.deepcopy(study)
    plain["probes"] = {"controls": {"random_labels": 0, "description_length": False}}
    without = probe_flop(planned(plain, tmp_path), cells.reset_index())
    assert without > 0
    # Controls by default, and two further splits of every task.
    for task in study["tasks"].values():
        task["split"] = task.get("split", {}) | {"seeds": [1, 2]}
    assert probe_flop(planned(study, tmp_path), cells.reset_index()) == pytest.approx(4.5 * without)
    # 20 draws with one of the four C each.
    plain["probes"] |= {"training_draws": 20, "C": [0.1, 1.0, 10.0, 100.0]}
    with_draws = probe_flop(planned(plain, tmp_path), cells.reset_index())
    plain["probes"]["training_draws"] = 0
    assert with_draws == pytest.approx((1 + 20 / 4) * probe_flop(planned(plain, tmp_path), cells.reset_index()))


def test_kept_probes_take_four_bytes_a_weight(study, tmp_path):
    del study["embedded_models"], study["flow"]
    study["models"] = {"seven-billion": {"source": "some/model", "expected": EXPECTED, "batch_size": 4}}
    cells = estimate_states(planned(study, tmp_path), "cuda")
    # By task: prompts, labels and rows of the weights.
    weights = {"entailment": 3 * 1, "snli-ve": 3 * 3, "snli-ve-binary": 3 * 1, "objects": 3 * 8}
    assert set(weights) == set(study["tasks"])
    assert kept_probes_bytes(planned(study, tmp_path), cells) == 4 * 34 * 4096 * sum(weights.values())
    study["tasks"]["objects"]["labels"] = ["circle", "star"]
    weights["objects"] = 3 * 2
    assert kept_probes_bytes(planned(study, tmp_path), cells) == 4 * 34 * 4096 * sum(weights.values())
    study["probes"] = {"keep": False}
    assert kept_probes_bytes(planned(study, tmp_path), cells) == 0


def of_layer(study, results, task):
    """Operations of one probe layer of one label and C of a task's only prompt, by the rows that it learns from."""
    study = copy.deepcopy(study)
    study["tasks"] = {"one": task}
    study["stimuli"]["objects"]["prompts"] = ["no-cue"]
    study["probes"] = {"C": [1.0], "controls": {"random_labels": 0, "description_length": False}}
    cells = estimate_states(planned(study, results), "cuda")
    return probe_flop(planned(study, results), cells) / (4 * PAIRS_PER_FIT * 34 * 4096)


def test_shortcuts_run_the_vision_tower_over_each_picture_once(study, tmp_path):
    del study["embedded_models"], study["flow"]
    expected = EXPECTED | {"vision_parameters": 0.3, "patches": 577}
    study["models"] = {"seven-billion": {"source": "some/model", "expected": expected, "batch_size": 4}}
    planned_study = planned(study, tmp_path)
    # Pictures of two stimulus sets, whatever the number of texts, prompts and tasks.
    assert pictures_flop(planned_study, "cuda") == pytest.approx(2 * 0.3e9 * 577 * (1600 + 820))
    cells = estimate_states(planned_study, "cuda")
    probes = shortcut_probe_flop(planned_study, cells)
    # Each task has four fits of so many features; one task has three classes.
    width = 2 * (MOST_WORDS + 4096) + MOST_COMPONENTS**2 + 2 * MOST_COMPONENTS
    pairs = PROBE_KINDS["logistic"].products(1, len(planned_study.config.probes.C))
    assert probes == pytest.approx(4 * pairs * width * (3200 + 3 * 4920 + 4920))
    del study["tasks"]["snli-ve"], study["tasks"]["snli-ve-binary"]
    assert pictures_flop(planned(study, tmp_path), "cuda") == pytest.approx(2 * 0.3e9 * 577 * 1600)
    # The code of its authors runs the decoder too.
    study["models"]["seven-billion"] |= {"adapter": "emu", "conversation": "<image>{prompt}"}
    assert pictures_flop(planned(study, tmp_path), "cuda") > 2 * 6.5e9 * 576 * 1600


def test_image_tokens_cost_a_pass_over_a_share_of_the_pictures_and_space_for_each(study, tmp_path):
    del study["embedded_models"], study["flow"]
    study["models"] = {"seven-billion": {"source": "some/model", "expected": EXPECTED, "batch_size": 4}}
    study["pooled"] = {"tasks": ["objects"], "share": 0.25}
    cost = tokens_cost(planned(study, tmp_path), "cuda")
    # 32 blocks of width 4096, and two more layers; the prompt adds a few tokens to the image's 576.
    assert cost.pictures == 0.25 * 1600
    assert cost.stored == pytest.approx(4 * 34 * 4096 * 400 * 576, rel=0.05)
    assert cost.passes == pytest.approx(2 * 6.5e9 * 576 * 400, rel=0.1)
    study["pooled"] = {"tasks": ["objects"], "share": 1, "layers": [0, 16]}
    study["states"] = {"dtype": "bfloat16"}
    fewer = tokens_cost(planned(study, tmp_path), "cuda")
    assert fewer.stored == pytest.approx(cost.stored * 4 * 2 / 34 / 2)
    assert fewer.passes == pytest.approx(cost.passes * 4)


def test_every_label_and_class_of_a_task_counts(study, tmp_path):
    del study["embedded_models"], study["flow"]
    study["models"] = {"seven-billion": {"source": "some/model", "expected": EXPECTED, "batch_size": 4}}
    about = {"stimuli": "objects", "question": "local", "split": {"by": "official"}}
    colours = about | {"knowledge": {"about": "attributes", "attribute": "colour"}}
    # 4000 pairs of image and category, each a row of its category's label; and of each of six colours.
    assert of_layer(study, tmp_path, about) == 4000
    assert of_layer(study, tmp_path, colours) == 6 * 4000
    # Three classes are three rows of weights.
    sizes = about | {"knowledge": {"about": "largest-size", "bins": 3}, "metric": "balanced_accuracy"}
    assert of_layer(study, tmp_path, sizes) == 3 * 4000
    hypotheses = {"stimuli": "hypotheses", "question": "global", "split": {"by": "official"}}
    study["stimuli"]["hypotheses"]["prompts"] = ["statement"]
    assert of_layer(study, tmp_path, hypotheses) == 3 * 820 * 6
    assert of_layer(study, tmp_path, hypotheses | {"classes": ["contradiction", "entailment"]}) == 820 * 6


def test_a_regression_costs_one_decomposition_a_layer(study, tmp_path):
    del study["embedded_models"], study["flow"]
    study["models"] = {"seven-billion": {"source": "some/model", "expected": EXPECTED, "batch_size": 4}}
    study["stimuli"]["objects"]["prompts"] = ["no-cue"]
    number = {"about": "largest-size", "as": "number"}
    study["tasks"] = {"area": {"stimuli": "objects", "question": "local", "knowledge": number, "metric": "r2"}}
    cells = estimate_states(planned(study, tmp_path), "cuda")
    # 1600 images, fewer than dimensions: the kernel of all pairs of images, and its eigenvectors.
    of_layer = 2 * 1600**2 * 4096 + 9 * 1600**3
    assert probe_flop(planned(study, tmp_path), cells) == pytest.approx(34 * of_layer)
    # A smallest difference in accuracy is for classes.
    assert held_out_tests(planned(study, tmp_path)) == []


def test_a_table_s_labels_cost_what_the_config_tells_of_their_classes(study, tmp_path):
    (tmp_path / "own.csv").write_text("image,a,b,c,far\n" + "".join(f"{i}.png,x,y,z,{i}\n" for i in range(100)))
    for i in range(100):
        (tmp_path / f"{i}.png").touch()
    two, three = {"x": "p", "y": "q"}, {"x": "p", "y": "q", "z": "r"}
    labels = {"a": {"classes": two}, "b": {"classes": two}, "c": {"classes": three}, "far": {"as": "number"}}
    study["stimuli"] = {"own": {"kind": "table", "file": str(tmp_path / "own.csv"), "labels": labels}}
    study["stimuli"]["own"]["prompts"] = ["look"]
    study["prompts"]["table"]["look"] = {"text": "Look."}
    del study["embedded_models"], study["flow"]
    study["models"] = {"seven-billion": {"source": "some/model", "expected": EXPECTED, "batch_size": 4}}
    own = {"stimuli": "own", "question": "local"}
    study["tasks"] = {"one": own | {"labels": ["a"]}, "two": own | {"labels": ["a", "b"]}, "c": own | {"labels": ["c"]}}
    study["tasks"]["far"] = own | {"metric": "r2"}
    found = planned(study, tmp_path)
    assert {task: training_rows(found, task) for task in ("one", "two", "c")} == {"one": 100, "two": 200, "c": 300}
    assert [test.task for test in held_out_tests(found)] == ["one", "two", "c"]


def test_the_rows_of_a_task_that_was_made_are_counted(study, world, tmp_path):
    entry = {"kind": "coco-objects", "dataset": "shapes", "images": {"train2017": "all", "val2017": "all"}}
    sources = Sources("coco", str(world / "coco/annotations"), str(world / "coco"))
    stimuli, _ = build_stimuli(read_entry(entry), sources, 0)
    colours = {"stimuli": "objects", "question": "local", "knowledge": {"about": "attributes", "attribute": "colour"}}
    task = {
        "min_per_class": 1,
        "split": {"by": "official", "val": 0.2, "test": 0.25},
        "knowledge": colours["knowledge"],
    }
    made = build_task(stimuli.provenance, "coco-objects", task, 0, stimuli.categories, stimuli.objects)
    labels, description = made
    (tmp_path / "tasks/one").mkdir(parents=True)
    (tmp_path / "tasks/one/task.json").write_text(json.dumps(description))
    del study["embedded_models"], study["flow"]
    study["models"] = {"seven-billion": {"source": "some/model", "expected": EXPECTED, "batch_size": 4}}
    assert labels["label"].nunique() == 6
    assert of_layer(study, tmp_path, colours) == (labels["split"] == "train").sum()


def test_a_changed_model_has_no_controls(study, tmp_path):
    model = {"source": "some/model", "expected": EXPECTED, "batch_size": 4}
    del study["embedded_models"], study["flow"]
    study["models"] = {"plain": model, "changed": model | {"intervention": {"bypass": {"from": 1, "scale": 1}}}}
    cells = estimate_states(planned(study, tmp_path), "cuda")
    both = probe_flop(planned(study, tmp_path), cells)
    del study["models"]["changed"]
    # A control with random labels is half a path, and the portions of images are one.
    assert both == pytest.approx(probe_flop(planned(study, tmp_path), cells) * (1 + 1 / 2.5))


def test_further_kinds_of_probes_are_counted(study, tmp_path):
    del study["embedded_models"], study["flow"]
    study["models"] = {"plain": {"source": "some/model", "expected": EXPECTED, "batch_size": 4}}
    cells = estimate_states(planned(study, tmp_path), "cuda")
    costs = {}
    for kinds in ([], ["mean-difference"], ["mlp"], ["mix"], ["mlp", "mix"]):
        study["probes"] = {"kinds": ["logistic", *kinds]}
        costs[tuple(kinds)] = probe_flop(planned(study, tmp_path), cells)
    alone = {kinds: cost - costs[()] for kinds, cost in costs.items()}
    assert alone["mlp", "mix"] == pytest.approx(alone[("mlp",)] + alone[("mix",)])
    # One product per layer against twelve for each C; a mix takes a few fits instead of one per layer.
    assert 0 < alone[("mean-difference",)] < costs[()] / 12
    assert alone[("mean-difference",)] < alone[("mix",)] < costs[()] < alone[("mlp",)]


@pytest.fixture
def asked(tmp_path, world, tiny_llava) -> tuple[Study, pd.DataFrame, generic.GenericModel]:
    """A study of flows alone: questions as the workflow makes them, which the model answers as they want it."""
    config = yaml.safe_load((REPOSITORY / "config/prompts.yaml").read_text())
    config |= {
        "datasets": {"mine": {"format": "gqa", "annotations": str(world / "gqa"), "images": str(world)}},
        "models": {"tiny": {"source": str(tiny_llava)}},
        "flow": {
            "questions": {"some": {"dataset": "mine", "types": KINDS, "per_type": 5, "prompt": "short"}},
            "models": {"tiny": {"window": 2}},
            "heads": HEADS,
        },
    }
    study = planned(config, tmp_path)
    found = choose_questions(QUESTION_SOURCE, world / "gqa", KINDS, 5, seed=0)
    table = tabulate(QUESTION_SOURCE, found, world / "coco/val2017")
    table = table.sort_values("image_sha256", kind="stable", ignore_index=True)
    # Two questions are about one image.
    table.loc[1, ["image", "image_sha256", "image_id"]] = table.loc[0, ["image", "image_sha256", "image_id"]]
    model = generic.load(describe_model("tiny", study.config.models["tiny"].entry(), None, 0), "cpu")
    prompts = [PROMPT.replace("{text}", question) for question in table["question"]]
    answers = greedy_answers(model, [read_image(image) for image in table["image"]], prompts, 1)
    table["answer"] = [answer.text for answer in answers]
    folder = Path(study.questions_folder("some"))
    folder.mkdir(parents=True)
    table.to_parquet(folder / "questions.parquet")
    (folder / "questions.json").write_text(json.dumps(describe("some", table, found)))
    return study, table, model


HEADS = {"flows": ["image->last", "object->question"], "groups": {"two": [[3, 1], [2, 4]]}}


def test_tokens_of_flows_are_those_of_the_run(asked, tmp_path, monkeypatch):
    study, table, model = asked
    (cell,) = estimate_flows(study, "cpu").itertuples()
    assert (cell.model, cell.stimuli, cell.inputs, cell.exact) == ("tiny", "some", 10, True)
    assert cell.images == table["image"].nunique() < 10

    # Without the answers' own tokens, and one question at a time, so that no padding is run.
    monkeypatch.setattr(measuring, "greedy_answers", partial(greedy_answers, most_tokens=1))
    run, seen = [], []
    for block in model.blocks:
        block.register_forward_pre_hook(lambda _, args: run.append(args[0].shape[0] * args[0].shape[1]))
    model.model.base_model.vision_tower.register_forward_hook(lambda *_: seen.append(1))
    rows = list(table.itertuples(index=False))
    asking = Asking(PROMPT, 2, "text", heads=HEADS["flows"], groups=HEADS["groups"])
    found = measuring._measure(model, rows, asking, 1, HeadRuns(model, asking))
    assert (found["outcome"] == measuring.KEPT).all()
    assert cell.tokens == round(sum(run) / model.n_layers)
    # An image has 16 patches.
    size = sizes_of(study, ["tiny"], "cpu")["tiny"]
    assert cell.flop == pytest.approx(size.flop(sum(run) / model.n_layers, 16 * len(seen)))


def test_flows_of_what_is_not_there_are_worked_out_from_the_config(tmp_path):
    config = yaml.safe_load((REPOSITORY / "config/prompts.yaml").read_text())
    config |= yaml.safe_load((REPOSITORY / "config/flow-paper.yaml").read_text())
    config["sources"] = yaml.safe_load((REPOSITORY / "config/sources.yaml").read_text())["sources"]
    study = planned(config, tmp_path)
    cells = estimate_flows(study, "cuda").set_index("model")
    assert not cells["exact"].any()
    assert (cells["inputs"] == 6000).all()
    # Two runs of 576 + 40 tokens; then three flows to some 35 tokens and three to one, in 32 windows of 19 blocks.
    assert cells.loc["llava-1.5-7b", "tokens"] == pytest.approx(6000 * (2 * 616 + 108 * 19.3), rel=0.05)
    assert list(estimate_states(study, "cuda").columns) == list(cells.reset_index().columns)


def test_a_study_of_few_pairs_costs_few(study, tmp_path):
    del study["embedded_models"], study["flow"]
    study["models"] = {"seven-billion": {"source": "some/model", "expected": EXPECTED, "batch_size": 4}}
    study["stimuli"]["hypotheses"]["pairs_per_label"] = 1
    cells = estimate_states(planned(study, tmp_path), "cuda").set_index(["stimuli", "prompt"])
    assert cells.loc[("hypotheses", "statement"), "inputs"] == 820 * 3


def test_official_parts_are_counted_whole(study, tmp_path):
    del study["embedded_models"], study["flow"]
    study["models"] = {"seven-billion": {"source": "some/model", "expected": EXPECTED}}
    study["datasets"] = {"ve": {"format": "snli-ve", "images": str(tmp_path), "annotations": str(tmp_path)}}
    study["stimuli"] = {
        "all": {"kind": "snli-ve", "dataset": "ve", "images": {"train": "all", "test": 500}, "prompts": ["statement"]}
    }
    study["tasks"] = {"all": {"stimuli": "all", "question": "global"}}
    for part in ("train", "test"):
        (tmp_path / f"snli_ve_{part}.jsonl").touch()
    inputs = count_inputs(planned(study, tmp_path), "all", "statement")
    assert inputs.images == 30_283
    assert inputs.count == pytest.approx(529_527 + 17_901 / 2, rel=0.01)


def test_an_unknown_model_is_named(study, tmp_path):
    del study["embedded_models"], study["flow"]
    study["models"] = {"mystery": {"source": "some/model"}}
    with pytest.raises(InputError, match=r"models\.mystery: its files are not here"):
        estimate_states(planned(study, tmp_path), "cuda")


def test_the_program_prints_totals(warm):
    command = [warm, "scripts/estimate_cost.py", "--teraflops", "1"]
    printed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert "15 cells: " in printed
    assert "hours at 1 TFLOP/s" in printed
    assert "as if each question were answered rightly" in printed
    assert "hours of vision towers, and at most" in printed
    assert "hours of forward passes over 1,600 pictures, into" in printed


def test_models_that_are_left_out_cost_nothing(tmp_path, warm):
    """Of the demo's two models the first is left out, and with it the only flow."""
    study = tmp_path / "study.yaml"
    demo = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())
    study.write_text(yaml.safe_dump(demo | {"leave_out": ["shapes-llava"]}))
    command = [warm, "scripts/estimate_cost.py", "--configfile", study]
    printed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    cells = [line.split()[0] for line in printed.splitlines() if line.startswith("shapes-llava")]
    assert cells == ["shapes-llava-untrained"] * 5
    assert "Partial: without shapes-llava." in printed


def test_the_program_takes_a_study_of_flows_alone(warm):
    command = [warm, "scripts/estimate_cost.py", "--configfile", "config/flow-paper.yaml"]
    printed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert "4 cells: " in printed
    assert " 0 core hours of probes" in printed


def test_relations_are_asked_in_both_orders_for_both_relations(study, tmp_path):
    del study["embedded_models"], study["flow"]
    study["models"] = {"seven-billion": {"source": "some/model", "expected": EXPECTED, "batch_size": 4}}
    study["stimuli"]["captions"] = {
        **{"kind": "coco-relations", "dataset": "shapes-coco", "images": {"train2017": "all"}},
        **{"categories": ["circle", "bar", "star"], "images_per_pair": 50, "prompts": ["where", "where-text-only"]},
    }
    study["tasks"]["entailment"]["labels"] = ["left-right"]
    cells = estimate_states(planned(study, tmp_path), "cuda").set_index(["stimuli", "prompt"])
    # Three pairs of categories of 50 images; of the text alone, six ordered pairs.
    assert cells.loc[("captions", "where"), "inputs"] == 3 * 50 * 2 * 2
    assert cells.loc[("captions", "where-text-only"), "inputs"] == 6


def test_answers_that_are_written_and_read_are_counted(own, tmp_path):
    config, items = own
    answers = {"0": ["no"], "1": ["yes"]}
    config["prompts"]["table"]["plain"] |= {"answers": answers, "generate": 7}
    study = planned(config, tmp_path / "results")
    model = generic.load(describe_model("tiny", study.config.models["tiny"].entry(), None, 0), "cpu")
    (cell,) = estimate_writing(study, "cpu").itertuples()
    read = [model.prepare([Image.open(row.image)], [row.text])["input_ids"].shape[1] for row in items.itertuples()]
    assert (cell.inputs, cell.tokens, cell.bytes) == (10, sum(read) + 7 * 10, 0)
    flop, stored = reading_cost(study, estimate_states(study, "cpu"))
    # Two per weight of the head, state and layer, where so few items all have a mass.
    layers = model.n_layers + 2
    assert flop == 2 * 10 * layers * model.model.get_output_embeddings().weight.numel()
    assert stored == 16 * 10 * layers


@pytest.fixture
def used(study) -> dict:
    """The demo's tasks, each under one prompt, in a model of 32 blocks of width 4096."""
    del study["embedded_models"], study["flow"]
    study["models"] = {"seven-billion": {"source": "some/model", "expected": EXPECTED, "batch_size": 4}}
    study["used"] = {"tasks": ["entailment", "snli-ve", "objects"], "prompts": ["agree", "statement", "category"]}
    return study


def test_a_sweep_runs_one_token_through_the_blocks_above_each_change(used, tmp_path):
    study = planned(used, tmp_path)
    runs = {cell.task: runs_per_block(study, cell) for cell in study.grid.used_cells()}
    # Erased: the own concept, ten random ones, two of other tasks. Steered, at four strengths: the own, ten random.
    assert runs == {"entailment": 13 + 4 * 11, "snli-ve": 13, "objects": 13 + 4 * 11}
    cells = estimate_used(study, "cuda").set_index("prompt")
    assert not cells["exact"].any()
    # Of the test items, two are about an image of captions, six of hypotheses, and 2.5 of objects.
    assert cells["inputs"].to_dict() == {"agree": 200, "statement": 200, "category": 200}
    assert cells["images"].to_dict() == {"agree": 100, "statement": 33, "category": 80}
    text = count_inputs(study, "captions", "agree")
    behind = (40 + text.before + text.after) / 4
    tokens = 100 * (576 + 40 / 4 + 1) + 200 * (behind + 57 * sum(32 - block for block in range(1, 33)) / 32)
    assert cells.loc["agree", "tokens"] == round(tokens)
    assert cells.loc["agree", "flop"] == pytest.approx(2 * (6.5e9 * tokens + 0.3e9 * 100 * 576))
    # Without a picture there is none to share.
    used["used"] = {"tasks": ["entailment"], "prompts": ["agree-text-only"], "items": 60}
    (cell,) = estimate_used(planned(used, tmp_path), "cuda").itertuples()
    read, _ = sizes_of(study, ["seven-billion"], "cuda")["seven-billion"].per_input(
        count_inputs(study, "captions", "agree-text-only")
    )
    assert cell.tokens == pytest.approx(60 * (read + (1 + 10 + 44) * 31 / 2), abs=1)


def test_no_more_items_are_swept_than_a_test_split_has(used, tmp_path):
    used["used"]["items"] = 10_000
    cells = estimate_used(planned(used, tmp_path), "cuda").set_index("prompt")
    # 400 images of the official validation part with two captions each, and 160 of snli-ve with six statements.
    assert cells["inputs"].to_dict() == {"agree": 800, "statement": 960, "category": 1000}


def test_concepts_and_tables_of_sweeps_take_space(used, tmp_path):
    study = planned(used, tmp_path)
    cells = estimate_states(study, "cuda")
    erased = {"entailment": 1, "snli-ve": 2, "objects": 1}
    directions = {"entailment": 1, "snli-ve": 3, "objects": 1}
    concepts = tables = 0
    for task, rank in erased.items():
        vectors = 1 + 2 * rank * (10 + 1) + 10 + 2 * directions[task]
        concepts += 4 * 32 * (4096 * vectors + 2 * directions[task])
        runs = 13 if task == "snli-ve" else 57
        # Log probabilities and mass, and a byte for all else.
        tables += 200 * (1 + 32 * runs) * (4 * (rank + 1) + 4 + 1)
        # The free run's probes, and those from each changed block up.
        tables += 200 * (32 + 11 * 32 * 33 / 2) * (4 * directions[task] + 1)
    assert used_bytes(study, cells) == concepts + tables
    # A covariance and its eigenvectors in each block; each item has one label.
    rows = [3200, 820 * 6, 4000]
    assert concept_flop(study, cells) == pytest.approx(sum(32 * (2 * n * 4096**2 + 9 * 4096**3) for n in rows))
    del used["used"]
    assert used_bytes(planned(used, tmp_path), cells) == concept_flop(planned(used, tmp_path), cells) == 0
