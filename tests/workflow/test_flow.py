"""Information flow from end to end, as a study of nothing else: questions, what a model needs for them, figures."""

import csv
import json
import shutil

import pandas as pd
import pytest
import yaml

from layerwise.gqa_types import TABLES
from layerwise.models.adapters import generic
from layerwise.models.greedy import greedy_answers
from layerwise.models.registration import describe_model
from layerwise.several_pictures import place
from layerwise.states.images import read_image
from tests.gqa import own_format
from tests.mirror import expected, serving, zipped
from tests.workflow.conftest import Project, copy_project

KINDS = ["LogicalObj", "QueryAttr"]
PLACED = "One: {image 1} Two: {image 2} {question} Answer yes or no."
PROMPT = "{text}\nAnswer the question using a single word or phrase."
STUDY = {
    "seed": 1,
    "datasets": {"mine": {"format": "gqa", "annotations": "tables", "images": "images"}},
    "models": {"mine": {"source": "model", "batch_size": 8}},
    "flow": {
        "questions": {"some": {"dataset": "mine", "types": KINDS, "per_type": 12, "prompt": "short"}},
        "models": {"mine": {"window": 2}},
        "heads": {"flows": ["image->last"], "groups": {"two": [[1, 2], [2, 1]]}},
        "resamples": 100,
    },
}


def write_tables(world, folder, answer):
    """The world's tables of ``KINDS``, with the answers that ``answer`` gives to image and question."""
    for kind in KINDS:
        with open(world / "gqa" / TABLES[kind], newline="") as file:
            rows = list(csv.DictReader(file))
        images = [world / f"coco/val2017/{row['img_id'].rjust(12, '0')}.jpg" for row in rows]
        for row, text in zip(rows, answer(images, [row["question"] for row in rows]), strict=True):
            row["answer"] = text or row["answer"]
        with open(folder / TABLES[kind], "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


@pytest.fixture(scope="module")
def project(world, tiny_llava, tmp_path_factory, warm) -> Project:
    """Questions whose gold answers are what an untrained model says to them, so that it is right; run to the end."""
    project = copy_project(tmp_path_factory.mktemp("project"), warm)
    for folder in ("tables", "images"):
        (project.folder / folder).mkdir()
    shutil.copytree(tiny_llava, project.folder / "model")
    shutil.copytree(world / "coco/val2017", project.folder / "images", dirs_exist_ok=True)
    entry = {"source": str(tiny_llava), "weights": "pretrained", "dtype": "float32", "conversation": "auto"}
    model = generic.load(describe_model("mine", entry | {"adapter": "generic"}, None, seed=0), "cpu")

    def answer(images, questions):
        prompts = [PROMPT.replace("{text}", question) for question in questions]
        return [one.text for one in greedy_answers(model, [read_image(image) for image in images], prompts)]

    write_tables(world, project.folder / "tables", answer)
    project.configure(STUDY)
    project.snakemake()
    return project


def test_a_study_of_flows_alone_makes_all_its_figures_and_nothing_is_left_to_do(project):
    results = project.folder / "results"
    for figure in ("knockout", "objects", "tracing", "heads"):
        for suffix in ("png", "svg", "pdf"):
            assert (results / f"figures/flow/mine/some/{figure}.{suffix}").stat().st_size > 1000
    assert "two" in (results / "tables/flow-heads.md").read_text()
    table = pd.read_csv(results / "tables/flow.csv")
    assert set(table["type"]) == set(KINDS)
    assert len(table) == 6 * len(KINDS)
    description = json.loads((results / "flow/mine/some.json").read_text())
    assert [counts["kept"] for counts in description["types"].values()] == [12, 12]
    assert not (results / "probes").exists()
    assert not [file for file in (results / "work").iterdir() if file.is_dir()]
    assert project.planned() == {}


def test_what_an_edit_makes_stale(project):
    config = STUDY
    drawn = {"compare_flow": 5, "plot_flow_figure": 4, "show_flow_figure": 4, "make_flow": 1, "make_flow-heads": 1}
    drawn["make_page"] = 1

    def planned(**changed):
        project.configure(config | {"flow": config["flow"] | changed})
        try:
            return project.planned()
        finally:
            project.configure(config)

    # Another window is other numbers; other resamples are other bands; a batch size is nothing.
    assert planned(models={"mine": {"window": 3}}) == drawn | {"trace_flow": 1}
    assert planned(resamples=200) == drawn
    assert planned(heads={"flows": ["image->last"]}) == drawn | {"trace_flow": 1}
    project.configure(config | {"models": {"mine": {"source": "model", "batch_size": 4}}})
    assert project.planned() == {}
    project.configure(config)
    # Tables that were written anew are read again. The same content is the same questions, and none is asked again.
    (project.folder / "tables" / TABLES["QueryAttr"]).touch()
    assert project.planned() == drawn | {"make_questions": 1, "trace_flow": 1}
    project.snakemake("results/flow/mine/some.json")
    assert "its content exists already" in (project.folder / "logs/flow/mine/some.log").read_text()


def test_report(project):
    project.snakemake()
    project.snakemake("--report", "report.html")
    text = (project.folder / "report.html").read_text()
    for word in ("knockout.html", "tracing.html", "flow.html", "Information flow"):
        assert word in text


def test_a_model_that_knows_no_answer_is_reported_and_stops_nothing(project, world):
    config = STUDY
    (project.folder / "wrong").mkdir()
    write_tables(world, project.folder / "wrong", lambda images, questions: ["never said"] * len(images))
    wrong = {"datasets": {"mine": {"format": "gqa", "annotations": "wrong", "images": "images"}}}
    wrong["flow"] = config["flow"] | {"questions": {"wrong": config["flow"]["questions"]["some"]}}
    project.configure(config | wrong)
    try:
        project.snakemake("flow")
    finally:
        project.configure(config)
    results = project.folder / "results"
    assert "answers none of the 24 questions" in (project.folder / "logs/flow/mine/wrong.log").read_text()
    assert (results / "figures/flow/mine/wrong/tracing.png").exists()
    assert pd.read_parquet(results / "flow/mine/wrong.parquet").empty
    assert "12: answered wrongly" in (results / "tables/flow.md").read_text()


@pytest.mark.whole
def test_questions_of_a_table_about_two_pictures_go_from_rows_to_figures(project, tiny_llava, world):
    """The gold answers are what the model says. Some are letters, which can be compared with a distractor."""
    pictures = sorted((world / "coco/val2017").iterdir())
    rows = []
    for i in range(6):
        boxes = json.dumps([{"image": 2, "box": [5, 5, 20, 20]}])
        words = "red circle" if i % 2 else "green star"
        row = {"left": pictures[i].name, "right": pictures[i + 6].name, "question": f"Is a {words} left of a star?"}
        rows.append(row | {"words": words, "boxes": boxes, "wrong": "x", "kind": "even" if i % 2 else "odd"})
    entry = {"source": str(tiny_llava), "weights": "pretrained", "dtype": "float32", "conversation": "auto"}
    model = generic.load(describe_model("mine", entry | {"adapter": "generic"}, None, seed=0), "cpu")
    shown = [tuple(read_image(world / "coco/val2017" / row[side]) for side in ("left", "right")) for row in rows]
    asked = [PLACED.replace("{question}", row["question"]) for row in rows]
    asked = [text.replace("{image 1}", place(1)).replace("{image 2}", place(2)) for text in asked]
    for row, answer in zip(rows, greedy_answers(model, shown, asked), strict=True):
        row["answer"] = answer.text
    pd.DataFrame(rows).to_csv(project.folder / "own.csv", index=False)
    own = {"file": "own.csv", "image_root": "images", "image_column": ["left", "right"], "prompt": "placed"}
    own |= {"type_column": "kind", "distractor_column": "wrong", "boxes_column": "boxes", "spans": {"what": "words"}}
    flow = STUDY["flow"] | {"questions": {"own": own}}
    prompts = {"questions": {"placed": {"text": PLACED}}}
    project.configure({"seed": 1, "models": STUDY["models"], "flow": flow, "prompts": prompts})
    try:
        project.snakemake("flow")
        assert project.planned("flow") == {}
        # Another prompt asks the same questions otherwise.
        changed = {"questions": {"placed": {"text": f"Look: {PLACED}"}}}
        project.configure({"seed": 1, "models": STUDY["models"], "flow": flow, "prompts": changed})
        planned = project.planned("flow")
    finally:
        project.configure(STUDY)
    assert planned["trace_flow"] == 1
    assert "make_questions" not in planned
    results = project.folder / "results"
    for figure in ("knockout", "objects", "pictures", "spans", "logit-difference", "tracing"):
        assert (results / f"figures/flow/mine/own/{figure}.png").stat().st_size > 1000
    description = json.loads((results / "flow/mine/own.json").read_text())
    assert [counts["kept"] for counts in description["types"].values()] == [3, 3]
    changes = pd.read_parquet(results / "flow/mine/own.parquet")
    assert set(changes["flow"]) == set(description["flows"])
    assert {"image 1->image 2", "span:what->question", "object->span:what"} <= set(changes["flow"])
    heads = pd.read_parquet(results / "flow/mine/own.heads.parquet")
    assert set(heads["flow"]) == {"image->last"}
    # The same heads as windows: a difference of logits for each question that has one.
    compared = changes.loc[changes["logit_difference"].notna(), "question_id"].unique()
    assert set(heads.loc[heads["logit_difference_blocked"].notna(), "question_id"]) == set(compared)
    assert heads["p_blocked"].notna().all()
    table = pd.read_csv(results / "tables/flow.csv")
    assert set(table["measure"]) == {"probability (%)", "logit difference"}


def test_the_papers_study_is_planned(project):
    paper = yaml.safe_load((project.folder / "config/flow-paper.yaml").read_text())
    project.configure(paper)
    try:
        planned = project.planned()
    finally:
        project.configure(STUDY)
    assert planned == {
        "download_archive": 3,
        "unpack_annotations": 2,
        "list_question_images": 1,
        "unpack_question_images": 1,
        "make_questions": 1,
        "register_model": 4,
        "trace_flow": 4,
        "compare_flow": 12,
        "plot_flow_figure": 12,
        "show_flow_figure": 12,
        "make_flow": 1,
        "make_page": 1,
    }


def test_gqas_own_archives_are_downloaded_and_only_the_images_that_are_asked_about_unpacked(world, tmp_path, warm):
    project = copy_project(tmp_path, warm)
    questions, graphs = own_format(world / "gqa")
    images = {f"images/{int(file.stem)}.jpg": file for file in sorted((world / "coco/val2017").iterdir())}
    archives = {
        "questions1.2.zip": zipped({"val_balanced_questions.json": json.dumps(questions).encode()}),
        "sceneGraphs.zip": zipped({"val_sceneGraphs.json": json.dumps(graphs).encode()}),
        "images.zip": zipped(images, 0),
    }
    config = json.loads(json.dumps(STUDY)) | {"datasets": {"mine": {"format": "gqa", "download": "gqa"}}}
    config["models"]["mine"]["source"] = "lab/never-asked-for"
    config["flow"]["questions"]["some"] |= {"types": ["QueryAttr"], "per_type": 3}
    with serving() as mirror:
        mirror.files = {f"/gqa/{name}": content for name, content in archives.items()}
        files = {name: expected(content) for name, content in archives.items()}
        config["sources"] = {"gqa": {"base": f"{mirror.address}/gqa", "files": files}}
        project.configure(config)
        project.snakemake("--until", "make_questions")
    (folder,) = (project.folder / "results/questions/some").iterdir()
    asked = pd.read_parquet(folder / "questions.parquet")
    assert len(asked) == 3
    unpacked = {file.name for file in (project.folder / "data/gqa/images").glob("*.jpg")}
    assert unpacked == {f"{image}.jpg" for image in asked["image_id"]}
    assert json.loads((folder / "questions.json").read_text())["left_out"] == {"QueryAttr": {}}
