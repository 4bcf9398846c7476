"""What an edit makes stale: as much as it must, and no GPU hour more."""

import copy
import json
import os
import shutil
from contextlib import contextmanager

import pandas as pd
import pytest
import yaml
from PIL import Image

from tests.golden import demos
from tests.workflow.conftest import TINY, Project, copy_project

FIGURES = {"plot_figure": 19, "show_figure": 19}
# The strips of "Which layer knows it?" have no facets.
# Figures of what layers are like have some, and follow from no probe.
FACETS = {"plot_figure": 18 + 4, "show_figure": 18 + 4}
TINY_SIZE = {"layers": 6, "width": 128, "parameters": 0.0013, "image_tokens": 16}
TABLES = {
    f"make_{table}": 1
    for table in ("table1", "table2", "table-which-layer", "table-known-said", "table-shortcuts", "table-consistency")
}
# It shows all figures and tables.
PAGE = {"make_page": 1}
AFTER_PROBES = FIGURES | TABLES | PAGE | {"gather_scores": 1, "compare": 11, "sample_items": 1}


def likeness_of(cells: int) -> dict[str, int]:
    """What is made again if the layers of so many cells are measured, with figures and comparisons of probes."""
    # Each of the four stimulus sets has a figure.
    shown = {rule: number + 4 for rule, number in FIGURES.items()}
    return {"measure_likeness": cells, "compare": AFTER_PROBES["compare"] + 2} | shown


# Of the trained model's two stimulus sets with texts.
PICTURES = {"embed_pictures": 2}


def shortcuts_of(tasks: int) -> dict[str, int]:
    """What is made again if the shortcuts of so many tasks are."""
    return {"fit_shortcuts": tasks, "gather_shortcuts": 1}


@contextmanager
def edited(project: Project, file: str, old: str, new: str):
    """A file of the project with one place replaced, and put back afterwards."""
    path = project.folder / file
    before, stamp = path.read_bytes(), path.stat()
    assert old.encode() in before, f"{file} has no {old!r}"
    path.write_bytes(before.replace(old.encode(), new.encode(), 1))
    try:
        yield
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


@contextmanager
def configured(project: Project, change):
    config = copy.deepcopy(TINY)
    change(config)
    project.configure(config)
    try:
        yield
    finally:
        project.configure(TINY)


def test_a_touched_file_makes_nothing_stale(finished):
    for file in ("scripts/extract_states.py", "scripts/layerwise/probes/fits.py", "Snakefile", "config/prompts.yaml"):
        (finished.folder / file).touch()
    (finished.folder / "own/colours.csv").touch()
    next(finished.folder.glob("results/models/llava/*/model.json")).touch()
    assert finished.planned() == {}


def test_what_is_said_of_the_work_makes_nothing_stale(finished):
    with (
        edited(finished, "scripts/layerwise/states/extract.py", "were finished by an earlier job", "are there already"),
        edited(finished, "scripts/layerwise/states/images.py", "the image cannot be decoded", "no image"),
        edited(finished, "scripts/layerwise/states/checks.py", "TOLERANCE = {", "EDITED = 1\nTOLERANCE = {"),
        edited(finished, "scripts/extract_states.py", 'help="folder of the stimulus set"', 'help="the stimuli"'),
        edited(finished, "scripts/layerwise/jobs/locks.py", "\nlog =", "\nEDITED = 1\nlog ="),
        edited(finished, "scripts/layerwise/jobs/cards.py", "waiting for %d of %d cards", "no card is free: %d of %d"),
        edited(
            finished, "scripts/layerwise/models/families.py", '    "aria":', '    "another": Family(),\n    "aria":'
        ),
        edited(finished, "scripts/layerwise/states/extract.py", '"""Run a frozen', '"""Take a frozen'),
        edited(
            finished, "scripts/layerwise/probes/metrics/accuracy.py", "def _compute", "# The plain one.\ndef _compute"
        ),
        edited(finished, "scripts/fit_probes.py", "import argparse", "import argparse  # options"),
        edited(
            finished,
            "scripts/layerwise/probes/metrics/catalogue.py",
            '        "accuracy": ',
            '        "another": "layerwise.probes.metrics.another",\n        "accuracy": ',
        ),
    ):
        assert finished.planned() == {}


def test_an_edited_plot_redraws_figures_only(finished):
    with edited(finished, "scripts/layerwise/figures/drawing/facets.py", "\nimport", "\nEDITED = 1\nimport"):
        assert finished.planned() == FACETS | PAGE


def test_an_edited_figure_redraws_itself(finished):
    with edited(finished, "scripts/layerwise/figures/selectivity.py", "above random labels", "beyond random labels"):
        assert finished.planned() == {"plot_figure": 2, "show_figure": 2} | PAGE
    with edited(finished, "report/selectivity.rst", "How much better", "By how much better"):
        assert finished.planned() == {"show_figure": 2} | PAGE


def test_an_edited_comparison_is_made_again_with_what_shows_it(finished):
    with edited(finished, "scripts/layerwise/compare/statistics/swaps.py", "\nimport", "\nEDITED = 1\nimport"):
        planned = finished.planned()
    # Tests of carried probes and of what is known and said swap too.
    tables = TABLES.keys() - {"make_table1", "make_table-consistency"}
    jobs = {"compare": 7, "carry_probes": 6, "plot_figure": 9, "show_figure": 9}
    assert planned == dict.fromkeys(tables, 1) | jobs | PAGE


def test_a_new_figure_is_a_module_a_line_and_a_caption_and_redraws_no_other(finished):
    module = finished.folder / "scripts/layerwise/figures/tallest.py"
    module.write_text(TALLEST)
    caption = finished.folder / "report/tallest.rst"
    caption.write_text("**Tallest.** The highest score of each task.\n")
    line = '        "tallest": "layerwise.figures.tallest",\n        "entailment"'
    try:
        with edited(finished, "scripts/layerwise/figures/catalogue.py", '        "entailment"', line):
            assert finished.planned() == {"plot_figure": 1, "show_figure": 1} | PAGE
            finished.snakemake("results/figures/tallest.html")
            assert "The highest score of each task" in (finished.folder / "results/figures/tallest.html").read_text()
            assert finished.planned("results/figures/tallest.html") == {}
    finally:
        for file in (module, caption, *finished.folder.glob("results/figures/tallest.*")):
            file.unlink()
    assert finished.planned() == {}


TALLEST = """
from layerwise.figures.entry import Figure


def draw(given, variant):
    from matplotlib.figure import Figure as Drawing

    highest = given.comparison("headline").groupby("task")["value"].max()
    drawing = Drawing()
    drawing.subplots().bar(highest.index, highest)
    return drawing


FIGURE = Figure("Tallest", ("headline",), draw, lambda study: study.probes, place=10)
"""


def test_an_edited_prompt_reruns_its_own_cells(finished):
    with edited(finished, "config/prompts.yaml", "Does this text agree with the image?", "Do they agree?"):
        # Two models, one prompt; the prompt's check and the tables that list it.
        cells = {"check_prompts": 1, "extract_states": 2, "fit_probes": 2, "read_answers": 1, "carry_probes": 2}
        assert finished.planned() == AFTER_PROBES | cells | likeness_of(2)


def test_a_new_model_runs_its_own_cells(finished):
    with configured(finished, lambda c: c["models"].update(third={"source": "embedded", "dtype": "bfloat16"})):
        cells = {"register_model": 1, "extract_states": 6, "fit_probes": 6, "read_head": 1, "read_answers": 4}
        # It has five figures of its own.
        shown = {"plot_figure": 28, "show_figure": 28, "carry_probes": 4} | PICTURES | shortcuts_of(2)
        assert finished.planned() == AFTER_PROBES | cells | likeness_of(4) | shown


@pytest.mark.slow
def test_unseen_texts_rerun_the_probes_of_their_task_and_show_its_parts(finished):
    jobs = {"make_task": 1, "fit_probes": 4, "carry_probes": 2, "make_table-test-parts": 1} | shortcuts_of(1)
    shown = {name: count + 1 for name, count in (FIGURES | {"compare": AFTER_PROBES["compare"]}).items()}
    with configured(finished, lambda c: c["tasks"]["entailment"]["split"].update(unseen_texts=0.3)):
        assert finished.planned() == AFTER_PROBES | jobs | shown


def test_a_new_task_over_old_stimuli_costs_no_forward_pass(finished):
    def add(config):
        config["tasks"]["binary"] = {**config["tasks"]["snli-ve"], "classes": ["contradiction", "entailment"]}

    with configured(finished, add):
        jobs = {"make_task": 1, "fit_probes": 2, "carry_probes": 1}
        assert finished.planned() == AFTER_PROBES | jobs | shortcuts_of(1)


@pytest.mark.parametrize(
    ("change", "jobs"),
    [
        (lambda c: c["probes"].update(C=[0.1, 1.0]), {"fit_probes": 12, "carry_probes": 6} | shortcuts_of(2)),
        (
            lambda c: c["tasks"]["objects"].update(split={"seed": 5}),
            {"make_task": 1, "fit_probes": 4, "carry_probes": 2},
        ),
        (
            lambda c: c["tasks"]["snli-ve"].update(classes=["neutral", "entailment"]),
            {"make_task": 1, "fit_probes": 2, "carry_probes": 1} | shortcuts_of(1),
        ),
        (
            lambda c: c["stimuli"]["own"].update(labels=["warm", "even"]),
            {"make_stimuli": 1, "check_prompts": 1, "make_task": 1, "fit_probes": 2, "carry_probes": 1},
        ),
    ],
    ids=["C grid", "split seed", "classes", "label columns"],
)
def test_probes_and_labels_rerun_no_states(finished, change, jobs):
    with configured(finished, change):
        assert finished.planned() == AFTER_PROBES | jobs


def test_each_label_of_a_table_is_a_task_without_a_forward_pass(finished):
    """Two classes, five classes and a number, over states that are there."""

    def add(config):
        config["stimuli"]["own"]["labels"] = {"warm": {}, "fifth": {}, "shade": {"as": "number", "unit": "steps"}}
        own = config["tasks"]["warm"]
        own["labels"] = ["warm"]
        config["tasks"] |= {"fifth": own | {"labels": ["fifth"]}}
        config["tasks"] |= {"shade": {"stimuli": "own", "question": "local", "metric": "r2"}}

    with configured(finished, add):
        planned = finished.planned()
    jobs = {"make_stimuli": 1, "check_prompts": 1, "make_task": 3, "fit_probes": 4, "fit_regressions": 2}
    assert {rule: planned.get(rule) for rule in jobs} == jobs
    assert not planned.keys() & {"register_model", "extract_states", "read_answers"}


def test_shortcuts_can_be_left_out(finished):
    with configured(finished, lambda c: c["probes"].update(shortcuts=False)):
        planned = finished.planned()
    # The figure without their lines, and its caption's page.
    assert planned["plot_figure"] == 2
    assert not {"embed_pictures", "fit_shortcuts", "gather_shortcuts", "compare", "fit_probes"} & set(planned)


def test_corrected_labels_in_a_table_rerun_no_states(finished):
    with edited(finished, "own/colours.csv", "\n0.png,no", "\n0.png,yes"):
        planned = finished.planned()
    cells = {"make_stimuli": 1, "check_prompts": 1, "make_task": 1, "fit_probes": 2, "carry_probes": 1}
    assert planned == AFTER_PROBES | cells


def test_how_it_runs_and_reordered_keys_make_nothing_stale(finished):
    def reorder(config):
        config["models"]["llava"] |= {"batch_size": 8, "sharing": "never", "mem_mb": 9000, "cards": 2}
        config["models"]["llava"] |= {"device_map": "auto", "expected": TINY_SIZE}
        config["stimuli"]["captions"] = dict(reversed(config["stimuli"]["captions"].items()))

    with configured(finished, reorder):
        assert finished.planned() == {}
    # Then the folder of kept states is no option of the jobs.
    with configured(finished, lambda config: config["states"].update(keep=False)):
        assert finished.planned() == {}
    result = finished.snakemake("--dry-run", "--set-threads", "extract_states=2")
    assert "Nothing to be done" in result.stdout + result.stderr


def test_a_new_adapter_makes_nothing_stale_and_an_edited_one_its_models(finished):
    adapters = finished.folder / "scripts/layerwise/models/adapters"
    shutil.copy(adapters / "generic.py", adapters / "other.py")
    try:
        assert finished.planned() == {}
    finally:
        (adapters / "other.py").unlink()
    with edited(finished, "scripts/layerwise/models/adapters/generic.py", "import torch", "import torch\n\nEDITED = 1"):
        cells = {"extract_states": 12, "fit_probes": 12, "read_head": 1, "read_answers": 4, "carry_probes": 6}
        assert finished.planned() == AFTER_PROBES | cells | likeness_of(8) | PICTURES | shortcuts_of(2)


def test_a_second_study_in_the_root_is_refused_when_planned(finished):
    (finished.folder / "other.yaml").write_text((finished.folder / "tiny.yaml").read_text())
    refused = finished.snakemake("--dry-run", configfile="other.yaml", check=False)
    assert refused.returncode
    said = refused.stdout + refused.stderr
    assert "results holds the results of another study, tiny.yaml; other.yaml would replace" in said


def test_a_changed_config_needs_no_second_run(finished):
    """What is shown and what shows it are remade, and so is all that follows, in the same plan."""
    with configured(finished, lambda c: c["worlds"]["shapes"].update(val_images=61)):
        planned = finished.planned()
    # All but the two cells over the user's own table.
    assert (planned["make_world"], planned["make_stimuli"], planned["extract_states"]) == (1, 3, 10)
    assert "train_embedded_model" not in planned
    with configured(finished, lambda c: c["embedded_models"]["shapes"].update(steps_scale=0.03)):
        planned = finished.planned()
    assert (planned["train_embedded_model"], planned["register_model"], planned["extract_states"]) == (1, 2, 12)
    assert "make_stimuli" not in planned
    with configured(finished, lambda c: c["models"]["twin"].update(dtype="bfloat16")):
        planned = finished.planned()
    assert (planned["register_model"], planned["extract_states"], planned["fit_probes"]) == (1, 6, 6)


@pytest.fixture(scope="module")
def small(tmp_path_factory, tiny_llava, warm) -> Project:
    """One model from a folder over the user's own table, finished."""
    project = copy_project(tmp_path_factory.mktemp("small"), warm)
    shutil.copytree(tiny_llava, project.folder / "models/first")
    project.configure(SMALL)
    project.snakemake("probes")
    assert project.planned("probes") == {}
    return project


SMALL = TINY | {
    "embedded_models": {},
    "tasks": {"warm": TINY["tasks"]["warm"]},
    "stimuli": {"own": TINY["stimuli"]["own"] | {"text_column": "warm", "prompts": ["plain"]}},
    "models": {"mine": {"source": "models/first"}},
    "probes": TINY["probes"] | {"controls": {"random_labels": 0, "description_length": False}},
}
CELL = {"extract_states": 1, "fit_probes": 1, "gather_scores": 1}
OTHER_MODEL = CELL | {"register_model": 1}
OTHER_STIMULI = CELL | {"make_stimuli": 1, "make_task": 1}


def other_weights(project: Project) -> None:
    weights = project.folder / "models/first/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-100_000:-50_000] = content[-50_000:]
    weights.write_bytes(content)


def other_dtype(project: Project) -> None:
    project.configure(SMALL | {"models": {"mine": {"source": "models/first", "dtype": "bfloat16"}}})


def other_words(project: Project) -> None:
    table = project.folder / "own/colours.csv"
    table.write_text(table.read_text().replace("yes", "really"))


def other_picture(project: Project) -> None:
    Image.new("RGB", (80, 60), (1, 2, 3)).save(project.folder / "own/3.png")


def other_text_column(project: Project) -> None:
    own = SMALL["stimuli"]["own"] | {"text_column": "even"}
    project.configure(SMALL | {"stimuli": {"own": own}})


@pytest.mark.parametrize(
    "changes",
    [
        [(other_weights, OTHER_MODEL)],
        pytest.param([(other_dtype, OTHER_MODEL), (other_words, OTHER_MODEL | OTHER_STIMULI)], marks=pytest.mark.slow),
        # The model is again what it was.
        pytest.param([(other_text_column, OTHER_STIMULI), (other_picture, OTHER_STIMULI)], marks=pytest.mark.slow),
    ],
)
def test_one_run_makes_exactly_what_is_stale(small, changes):
    """And the next one has nothing to do. One core, so that nothing is put right by luck in the order of jobs."""
    for change, jobs in changes:
        change(small)
        assert small.planned("probes") == jobs
    small.snakemake("probes", "--cores", "1")
    assert "hooks, position last" in (small.folder / "logs/states/mine/own/plain.log").read_text()
    assert small.planned("probes") == {}


def test_what_turns_out_to_be_the_same_is_not_run_again(small):
    """Stimuli that another reader makes just so, under a new name of their own, of the model and of the prompt."""
    sampling = small.folder / "scripts/layerwise/stimuli/kinds/table.py"
    sampling.write_text(sampling.read_text() + "\n\nEDITED = 1\n")
    config = yaml.safe_load((small.folder / "tiny.yaml").read_text())
    renamed = {
        "prompts": {"table": {"asked": {"text": "{text}"}}},
        "stimuli": {"colours": config["stimuli"]["own"] | {"prompts": ["asked"]}},
        "tasks": {"warm": config["tasks"]["warm"] | {"stimuli": "colours"}},
        "models": {"ours": config["models"]["mine"]},
    }
    small.configure(config | renamed)
    assert small.planned("probes") == OTHER_MODEL | OTHER_STIMULI
    small.snakemake("probes")
    log = (small.folder / "logs/states/ours/colours/asked.log").read_text()
    assert "its content exists already" in log
    assert "hooks" not in log
    assert small.planned("probes") == {}


def test_code_is_listed_only_where_two_runs_agree(finished, tmp_path, monkeypatch, capsys):
    """Of a run and its copy every rule is listed; of a copy whose labels differ, all but the one that made them."""
    copy = Project(tmp_path / "copy", finished.python)
    shutil.copytree(finished.folder / "results", copy.folder / "results")
    shutil.copytree(finished.folder / ".snakemake/metadata", copy.folder / ".snakemake/metadata")
    monkeypatch.setattr(demos, "SAME_CODE", tmp_path / "same.json")
    monkeypatch.setattr("sys.argv", ["demos", str(finished.folder), str(copy.folder)])

    def listed() -> set[str]:
        return {name.partition(" ")[0] for name in json.loads(demos.SAME_CODE.read_text())}

    demos.SAME_CODE.write_text("{}")
    demos.main()
    ran = {"make_world", "train_embedded_model", "register_model", "make_stimuli", "make_task"}
    assert listed() == ran
    labels = copy.folder / "results/tasks/objects/labels.parquet"
    table = pd.read_parquet(labels)
    table.iloc[::-1].reset_index(drop=True).to_parquet(labels)
    demos.SAME_CODE.write_text("{}")
    with pytest.raises(SystemExit, match=r"make_task: results/tasks/objects/labels\.parquet differ"):
        demos.main()
    assert listed() == ran - {"make_task"}
