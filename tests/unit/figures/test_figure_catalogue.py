"""The catalogues of comparisons, figures and tables: what a study has of them, and what they say of themselves."""

import re
from importlib import import_module

import pytest

from layerwise import code_digest
from layerwise.compare.catalogue import COMPARISONS
from layerwise.compare.inputs import Given
from layerwise.errors import InputError
from layerwise.figures.catalogue import FIGURES, TABLES
from layerwise.figures.entry import Contents
from layerwise.figures.planning import flow_figures, pictures, tables

GIVEN = {"scores", "curves", "kinds", "sites", "predictions", "tasks", "models", "prompts"}
GIVEN |= {"changes", "tracing", "description", "training", "answers", "generated"}
GIVEN |= {"labels", "set-labels", "positions", "task-positions", "heads"}
GIVEN |= {"number-scores", "number-tasks", "estimates"}
GIVEN |= {"transfers", "route-controls"}
GIVEN |= {"specification-effects", "specification-units"}
GIVEN |= {"likeness", "sweeps", "shortcut-scores", "shortcut-predictions", "lens-scores", "lens-maps"}
GIVEN |= {"tower-scores", "tower-predictions", "pooled-scores", "pooled-predictions", "pooled-place-scores"}


@pytest.mark.parametrize("name", COMPARISONS)
def test_the_columns_of_a_comparison_are_documented(name):
    documented = re.findall(r"^- ``(\w+)``:", import_module(COMPARISONS.modules[name]).__doc__, flags=re.MULTILINE)
    assert documented == list(COMPARISONS[name].columns)


def test_entries_read_what_there_is():
    for comparison in COMPARISONS.values():
        assert set(comparison.reads) <= GIVEN | set(COMPARISONS)
        known = {"resamples", "permutations", "seed", "margin", "twins", "draws", "made_from", "said", "generated"}
        known |= {"used", "shortcuts", "position", "likeness", "tower"}
        assert set(comparison.options) <= known
    for entry in (*FIGURES.values(), *TABLES.values()):
        too = entry.reads_too(Contents(shortcuts=True, question_sets={"own": frozenset({"distractors"})}))
        assert {*entry.reads, *too} <= GIVEN | set(COMPARISONS)
        # What is not a comparison is a description, or the curve of a training: nothing is computed from scores here.
        # One figure shows scores of single draws of random weights as they are, which comparisons merge.
        shown = {"scores"} if entry is FIGURES["carried-matrix"] else set()
        measured = {
            "scores",
            "heads",
            "curves",
            "kinds",
            "sites",
            "positions",
            "task-positions",
            "predictions",
            "changes",
            "tracing",
            "answers",
            "sweeps",
        }
        assert not ({*entry.reads, *too} - shown) & measured


BY_LAYER = ["entailment", "recognition-by-model", "recognition-by-prompt"]
# The entries that this test is about, so that a new one needs no line here.
ABOUT = {*BY_LAYER, "selectivity", "code-length", "learning-curve", "sites-by-layer", "head-map", "image-ablation"}
ABOUT |= {"bypass", "training-curve", "knockout", "objects", "tracing", "table1", "table2", "table3", "flow"}


@pytest.mark.parametrize(
    ("study", "shown", "of_flow", "written"),
    [
        (Contents(), [], [], []),
        (Contents(questions=frozenset({"global"})), ["entailment-by-layer", "entailment-by-depth"], [], ["1", "2"]),
        (
            Contents(questions=frozenset({"global", "local"})),
            [f"{name}-by-{axis}" for name in BY_LAYER for axis in ("layer", "depth")],
            [],
            ["1", "2"],
        ),
        # Controls are of probes; without any, none is shown.
        (Contents(random_labels=True, description_length=True), [], [], []),
        (Contents(flow=True), [], ["knockout", "objects", "tracing"], ["flow"]),
        (Contents(embedded=("a", "b")), ["training-curve-a", "training-curve-b"], [], []),
        (Contents(sites=frozenset({"mlp"})), ["sites-by-layer"], [], []),
        (Contents(sites=frozenset({"heads"})), ["sites-by-layer", "head-map"], [], []),
        (Contents(interventions=frozenset({"bypass"})), [], [], []),
    ],
)
def test_what_a_study_has(study, shown, of_flow, written):
    assert [name for name, picture in pictures(study).items() if picture.figure in ABOUT] == shown
    assert [name for name in flow_figures(study) if name in ABOUT] == of_flow
    tables_of_study = [name for name in tables(study) if name in ABOUT]
    assert tables_of_study == [name if name == "flow" else f"table{name}" for name in written]


def test_what_controls_and_interventions_add():
    plain = Contents(questions=frozenset({"local"}))
    added = {
        "random_labels": {"selectivity-by-layer", "selectivity-by-depth"},
        "description_length": {"code-length-by-layer", "code-length-by-depth", "learning-curve"},
    }
    for control, figures in added.items():
        study = Contents(questions=plain.questions, **{control: True})
        assert set(pictures(study)) - set(pictures(plain)) == figures
    of_kinds = {"cut-image": "image-ablation", "ablate-image": "image-ablation", "bypass": "bypass"}
    for kind, figure in (of_kinds | {"erase": "erased", "steer": "erased"}).items():
        study = Contents(questions=plain.questions, interventions=frozenset({kind}))
        assert set(pictures(study)) - set(pictures(plain)) == {figure}
        assert set(tables(study)) - set(tables(plain)) == {"table3"}


def test_numbers_and_premises_have_figures_of_their_own():
    plain = Contents(questions=frozenset({"global"}))
    for what in ("numbers", "premise"):
        study = Contents(questions=plain.questions, **{what: True})
        assert set(pictures(study)) - set(pictures(plain)) == {f"{what}-by-layer", f"{what}-by-depth"}
    # Tasks about numbers have none of the figures and tables of classes.
    alone = Contents(numbers=True)
    assert (list(pictures(alone)), tables(alone)) == (["numbers-by-layer", "numbers-by-depth"], ["number-layers"])


def test_the_report_lists_figures_by_place_and_axis():
    found = pictures(Contents(questions=frozenset({"global"}), embedded=("shapes",)))
    said = {name: (picture.title, picture.axis) for name, picture in found.items()}
    assert (
        said.items()
        >= {
            "entailment-by-layer": ("01 Agreement", "by layer"),
            "entailment-by-depth": ("01 Agreement", "by relative depth"),
            "training-curve-shapes": ("19 Training of shapes", "by seconds"),
        }.items()
    )
    # The report sorts titles as texts: no two figures may have one place, and all numbers have two digits.
    places = sorted(figure.place for figure in FIGURES.values() if not figure.per_flow)
    assert places == list(range(len(places)))
    assert FIGURES["which-layer"].place == 0


def test_only_models_with_further_kinds_of_probes_have_a_figure_of_them():
    plain = Contents(questions=frozenset({"global"}))
    study = Contents(questions=plain.questions, kinds=("a", "b"))
    assert set(pictures(study)) - set(pictures(plain)) == {"complexity-a", "complexity-b"}


def test_a_language_model_that_a_model_was_made_from_has_a_table():
    plain = Contents(questions=frozenset({"global"}))
    study = Contents(questions=plain.questions, made_from=True)
    assert set(tables(study)) - set(tables(plain)) == {"table-language-models"}
    assert pictures(study) == pictures(plain)
    assert tables(Contents(made_from=True)) == []


def test_an_input_that_is_not_given_is_named():
    with pytest.raises(InputError, match=r"--inputs has no models; add models=PATH"):
        Given.of(["tasks=a.json", "tasks=b=c.json"]).path("models")
    assert [str(path) for path in Given.of(["tasks=a.json", "tasks=b=c.json"]).paths("tasks")] == ["a.json", "b=c.json"]


def behind(program: str, module: str) -> set[str]:
    """The files of the library whose code a job depends on."""
    files = code_digest._closure([code_digest.SCRIPTS / file for file in (program, module)])
    return {str(file.relative_to(code_digest.SCRIPTS)) for file in files}


def test_figures_compute_nothing_and_comparisons_draw_nothing():
    for name in FIGURES:
        files = behind("plot_figure.py", FIGURES.file(name))
        assert not {file for file in files if file.startswith(("layerwise/compare/statistics", "layerwise/probes"))}
        others = {FIGURES.file(other) for other in FIGURES if other != name}
        assert not files & others, f"an edit of another figure would redraw {name}"
    for name in COMPARISONS:
        files = behind("compare.py", COMPARISONS.file(name))
        assert not {file for file in files if file.startswith("layerwise/figures")}


def test_a_study_with_shortcuts_has_a_table_of_them_and_lines_in_figure_1():
    plain = Contents(questions=frozenset({"global"}))
    study = Contents(questions=plain.questions, shortcuts=True)
    assert set(tables(study)) - set(tables(plain)) == {"table-shortcuts"}
    assert pictures(study) == pictures(plain)
    assert [FIGURES["entailment"].reads_too(contents) for contents in (plain, study)] == [(), ("shortcuts",)]
