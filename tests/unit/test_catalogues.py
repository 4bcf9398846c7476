"""A new entry of a catalogue is one module and one line, and makes nothing stale that does not name it."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from layerwise import code_digest
from layerwise.catalogue import Catalogue
from layerwise.compare.catalogue import COMPARISONS
from layerwise.compare.code import comparison_code
from layerwise.counted_code import counted, is_catalogue
from layerwise.probes.code import kind_code, probe_code, site_probe_code
from layerwise.probes.kinds.catalogue import PROBE_KINDS
from layerwise.probes.logistic.engines.catalogue import ENGINES
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.probes.metrics.metric import TASK_KINDS
from layerwise.probes.metrics.scored import ALWAYS
from layerwise.probes.problems import Problem
from layerwise.probes.scoring import Scorer, majority_guess
from tests.conftest import REPOSITORY
from tests.golden.computed import drawn_cell

SCRIPTS = REPOSITORY / "scripts"
PROGRAMS = sorted(file.name for file in SCRIPTS.glob("*.py"))


def catalogues_in(module: str) -> dict[str, Catalogue]:
    """The catalogues that a module defines, by their names in it."""
    return {name: value for name, value in vars(import_module(module)).items() if isinstance(value, Catalogue)}


# By module, every catalogue of the library.
FOUND = {
    module: catalogues_in(module)
    for file in sorted(SCRIPTS.glob("layerwise/*/**/catalogue.py"))
    for module in [".".join(file.relative_to(SCRIPTS).with_suffix("").parts)]
}
ALL = [pytest.param(module, name, id=f"{module}.{name}") for module, found in FOUND.items() for name in found]


@pytest.fixture(scope="module")
def copied(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("copied")
    shutil.copytree(SCRIPTS, folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "scripts"


@pytest.fixture(scope="module")
def parsed() -> Callable:
    """Parses each text once for all tests here."""
    known, parse_file = {}, code_digest._parsed.__wrapped__

    def parse(file: Path) -> tuple:
        key = file, file.read_bytes()
        if key not in known:
            known[key] = parse_file(file)
        return known[key]

    return parse


@pytest.fixture
def digests(copied, parsed, monkeypatch) -> Callable:
    """The digest of every program and module asked for, as the copy is now."""
    monkeypatch.setattr(code_digest, "SCRIPTS", copied)
    monkeypatch.setattr(code_digest, "_parsed", parsed)
    return lambda files: {file: code_digest.own_digest(file) for file in files}


@pytest.fixture
def edit(copied) -> Callable:
    """Write files of the copy; afterwards they are what they were, or gone."""
    before = {}

    def write(file: str, text: str) -> None:
        path = copied / file
        before.setdefault(path, path.read_bytes() if path.exists() else None)
        path.write_text(text)

    yield write
    for path, content in before.items():
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)


def with_entry(text: str, catalogue: Catalogue, name: str, module: str) -> str:
    """The text of a catalogue with one line more."""
    modules = [
        node
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Catalogue"
        for node in ast.walk(call)
        if isinstance(node, ast.Dict) and {key.value for key in node.keys} == set(catalogue.modules)
    ]
    assert len(modules) == 1, "a catalogue's entries are written as one dict of names and modules, in its call"
    first = modules[0].keys[0]
    lines = text.splitlines(keepends=True)
    line, place = lines[first.lineno - 1], first.col_offset
    lines[first.lineno - 1] = f'{line[:place]}"{name}": "{module}",\n{line[place:]}'
    return "".join(lines)


def added_to(copied: Path, edit: Callable, module: str, name: str, entry: str, text: str) -> None:
    """Add an entry to a catalogue of the copy: its module and its line."""
    catalogue = FOUND[module][name]
    package = next(iter(catalogue.modules.values())).rpartition(".")[0]
    edit(f"{package.replace('.', '/')}/{entry.replace('-', '_')}.py", text)
    file = f"{module.replace('.', '/')}.py"
    edit(file, with_entry((copied / file).read_text(), catalogue, entry, f"{package}.{entry.replace('-', '_')}"))


def test_catalogues_are_found():
    assert {"layerwise.probes.metrics.catalogue", "layerwise.probes.kinds.catalogue"} <= set(FOUND)
    assert all(FOUND.values())


@pytest.mark.parametrize(("module", "name"), ALL)
def test_a_new_entry_changes_no_digest(copied, edit, digests, module, name):
    catalogue = FOUND[module][name]
    entries = [catalogue.file(entry) for entry in catalogue]
    before = digests([*PROGRAMS, *entries])
    added_to(copied, edit, module, name, "another", (copied / entries[0]).read_text() + "\nEDITED = 1\n")
    assert digests([*PROGRAMS, *entries]) == before


@pytest.mark.parametrize(("module", "name"), ALL)
def test_an_edited_entry_changes_the_digests_that_name_it(copied, edit, digests, module, name):
    catalogue = FOUND[module][name]
    entries = [catalogue.file(entry) for entry in catalogue]
    files = [*PROGRAMS, *entries]
    before = digests(files)
    edited = entries[-1]
    edit(edited, (copied / edited).read_text() + "\nEDITED = 1\n")
    after = digests(files)
    # A module may also be imported for other things than its entry.
    importing = {file for file in files if copied / edited in code_digest._closure([copied / file])}
    assert {file for file in files if before[file] != after[file]} == importing
    assert edited in importing


def test_programs_reach_metrics_and_kinds_of_probes_by_their_catalogues_alone(copied, digests):
    """Else an edit of one would make stale what another one scored or fitted."""
    entries = {copied / catalogue.file(name) for catalogue in (METRICS, PROBE_KINDS, ENGINES) for name in catalogue}
    for program in PROGRAMS:
        assert not entries & code_digest._closure([copied / program]), program


def imports_of_catalogues(file: Path) -> dict[str, object]:
    """What counted code reads of catalogues, by the names that it has in a file."""
    tree = ast.parse(file.read_text())
    read = {
        alias.asname or alias.name: getattr(import_module(node.module), alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("layerwise.")
        if is_catalogue(node.module or "")
        for alias in node.names
    }
    left = ast.walk(counted(file.read_text(), str(file), code_digest._LeftOut())) if read else ()
    used = {node.id for node in left if isinstance(node, ast.Name)}
    return {name: value for name, value in read.items() if name in used}


def test_nothing_but_catalogues_is_read_of_a_catalogue_s_module(copied, digests):
    """A function there would decide something that no digest covers."""
    files = set().union(*(code_digest._closure([copied / program]) for program in PROGRAMS))
    read = {(file.name, name): value for file in files for name, value in imports_of_catalogues(file).items()}
    assert ("options.py", "ENGINES") in read
    others = [place for place, value in read.items() if not isinstance(value, Catalogue) and value is not Catalogue]
    assert others == []


def test_probes_are_stale_by_what_scores_and_fits_them(copied, edit, digests, monkeypatch):
    monkeypatch.setattr("layerwise.probes.code.code_digest", code_digest.own_digest)

    def now() -> dict[tuple[str, str], str]:
        makers = {"probes": partial(probe_code, "torch"), "sites": partial(site_probe_code, "torch")}
        makers |= {kind: partial(kind_code, kind) for kind in ("mlp", "mean-difference")}
        return {(which, metric): make(metric) for which, make in makers.items() for metric in METRICS}

    def stale_by(file: str) -> set[tuple[str, str]]:
        before = now()
        edit(file, (copied / file).read_text() + "\nEDITED = 1\n")
        after = now()
        return {cell for cell in before if before[cell] != after[cell]}

    # Layers are scored by more metrics than the task's, sites by that alone.
    probes = {("probes", metric) for metric in METRICS}
    assert stale_by(METRICS.file("f1")) == probes | {(which, "f1") for which in ("sites", "mlp", "mean-difference")}
    assert stale_by(ENGINES.file("sklearn")) == set()
    logistic = {cell for cell in now() if cell[0] in ("probes", "sites")}
    assert stale_by("layerwise/probes/logistic/solver.py") == logistic
    # A kind of probe counts its own module alone, and what this imports where it starts.
    for file in ("kinds/mlp.py", "perceptron/engine.py"):
        assert stale_by(f"layerwise/probes/{file}") == {("mlp", metric) for metric in METRICS}


def test_comparisons_are_stale_by_the_metrics_that_they_compare_by(copied, edit, digests, monkeypatch):
    """The scores alone do not tell: what an item adds to a difference is in none of them."""
    monkeypatch.setattr("layerwise.compare.code.code_digest", code_digest.own_digest)

    def now() -> dict[str, str]:
        return {comparison: comparison_code(comparison, ["f1", "accuracy"]) for comparison in COMPARISONS}

    of_probes = {name for name, comparison in COMPARISONS.items() if not comparison.per_flow}
    assert {"best-layers", "interventions", "within-blocks"} < of_probes < set(COMPARISONS)
    for metric, stale in (("f1", of_probes), ("roc_auc", set())):
        before, file = now(), METRICS.file(metric)
        edit(file, (copied / file).read_text() + "\nEDITED = 1\n")
        after = now()
        assert {name for name in before if before[name] != after[name]} == stale


INFORMEDNESS = '''
"""Youden's J: the sum of both classes' recalls, less 1."""

from functools import partial

from layerwise.probes.bootstrap import difference_interval
from layerwise.probes.metrics import balanced_accuracy
from layerwise.probes.metrics.metric import Metric


def _compute(y, scores, weights, n_classes):
    return 2 * balanced_accuracy.METRIC.compute(y, scores, weights, n_classes) - 1


def _item_gains(y, first, second, n_classes):
    gains, shares = balanced_accuracy.METRIC.item_gains(y, first, second, n_classes)
    return 2 * gains, shares


METRIC = Metric(
    name="informedness",
    label="informedness",
    compute=_compute,
    item_gains=_item_gains,
    least_images=30,
    least_texts=60,
    interval=difference_interval,
    limits=(-1.0, 1.0),
    task_kinds=("binary",),
)
'''
MASS_MEAN = '''
"""The direction from one class's mean to the other's (Marks and Tegmark 2023, arXiv 2310.06824); for two classes."""

import numpy as np

from layerwise.probes.fits import Fit, check_classes
from layerwise.probes.kinds.kind import ProbeKind


class MassMean:
    def fit(self, states, problems, C):
        check_classes(problems)
        return [[self._fit(states[problem.rows["train"]], problem.y["train"], C[0])] for problem in problems]

    def _fit(self, states, y, strength):
        means = [states[y == k].mean(axis=0) for k in range(2)]
        direction = means[1] - means[0]
        return Fit(direction[None], np.array([-direction @ (means[0] + means[1]) / 2]), strength, True)


def _start(threads, budget_bytes, seed):
    return MassMean()


KIND = ProbeKind("mass-mean", _start, products=lambda layers, tried: layers, has_penalty=False)
'''


# Two layers are compared by the new metric, and it is refused for a task that it does not suit.
COMPARE = """
import numpy as np

from layerwise.compare.statistics.gains import LabelItems, image_gains
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.probes.metrics.checks import check_suits
from layerwise.compare.statistics.swaps import enough_images, swap_test

rng, y = np.random.default_rng(0), np.arange(80) % 2
first, second = (strength * (2 * y[:, None] - 1) + rng.normal(size=(80, 1)) for strength in (2, 0.2))
gains = image_gains("informedness", [LabelItems(y, first, second, np.arange(80))], 80, 2)
values = [METRICS["informedness"].values(y, margins, np.ones((1, 80)), 2)[0] for margins in (first, second)]
assert np.isclose(gains.by_part.sum(), values[0] - values[1])
assert enough_images(gains, "informedness") and swap_test(gains, 999, rng).value < 0.01
check_suits("informedness", "multiclass", "tasks.mine.metric")
"""


def test_a_new_metric_and_a_new_kind_of_probe_are_a_module_and_a_line_each(copied, edit, tmp_path):
    added_to(copied, edit, "layerwise.probes.metrics.catalogue", "METRICS", "informedness", INFORMEDNESS)
    added_to(copied, edit, "layerwise.probes.kinds.catalogue", "PROBE_KINDS", "mass-mean", MASS_MEAN)
    options = drawn_cell(tmp_path, 2, np.random.default_rng(0), metric="informedness")
    command = [sys.executable, str(copied / "fit_probes.py"), *options, "--engine", "torch"]
    subprocess.run(command, check=True, capture_output=True)
    options = options[: options.index("--scores")]
    command = [sys.executable, str(copied / "fit_probe_kind.py"), *options, "--kind", "mass-mean"]
    subprocess.run([*command, "--out", tmp_path / "of-2/kind.parquet"], check=True, capture_output=True)

    kind = pd.read_parquet(tmp_path / "of-2/kind.parquet")
    assert set(kind["metric"]) == {"accuracy", "informedness", "code_bits", "compression"}
    assert set(kind["probe"]) == {"task", "control", "selectivity"}
    # The label grows from layer to layer; there is no C.
    found = kind.query("probe == 'task' and split == 'test' and metric == 'informedness'").set_index("layer")["value"]
    assert found[0] < 0.3 < found[3]
    assert kind["C"].isna().all()
    assert not kind["at_boundary"].any()

    scores = pd.read_parquet(tmp_path / "of-2/scores.parquet")
    assert set(scores["metric"]) == {*ALWAYS, "informedness", "code_bits", "compression"}
    test = scores.query("probe == 'logistic' and split == 'test'").pivot(index="layer", columns="metric")
    found = test["value"]["informedness"]
    assert found.to_numpy() == pytest.approx(2 * test["value"]["balanced_accuracy"].to_numpy() - 1)
    assert found[0] < 0.3 < found[3]
    assert (test["low"]["informedness"][0] < 0) & (test["high"]["informedness"][3] <= 1)
    # Selectivity is a difference of two values from -1 to 1.
    selectivity = scores.query("probe == 'selectivity' and metric == 'informedness' and layer == 3")
    assert (selectivity["high"] > 1).any()
    assert set(pd.read_parquet(tmp_path / "of-2/curve.parquet")["metric"]) == {"informedness"}

    environment = {"PYTHONPATH": str(copied)}
    done = subprocess.run([sys.executable, "-c", COMPARE], capture_output=True, text=True, env=environment)
    assert "tasks.mine.metric: informedness is for tasks that are binary, and this one is multiclass" in done.stderr
    assert "take accuracy, balanced_accuracy, f1, roc_auc, average_precision" in done.stderr


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_chance_is_what_the_majority_baseline_scores(name, n_classes):
    """Always the most frequent class of the training split, also where another one is most frequent in the test."""
    train, test = [30, 50, 20][:n_classes], [45, 10, 45][:n_classes]
    y = {split: np.repeat(np.arange(n_classes), counts) for split, counts in (("train", train), ("test", test))}
    y["val"] = y["train"]
    parts = {split: np.arange(len(of_split)) for split, of_split in y.items()}
    problem = Problem("l", n_classes, parts, parts, parts, y)
    measured = Scorer([problem], 2, 0).measure([majority_guess(problem)], metrics=[name])
    assert METRICS[name].chance(train, test) == pytest.approx(measured["test", name][0, 0])
    if name == "accuracy":
        assert METRICS[name].chance(train, test) == pytest.approx(10 / sum(test))
    low, high = METRICS[name].limits
    assert low <= METRICS[name].chance([1] * n_classes, [1] * n_classes) <= high


def test_entries_are_called_what_their_catalogue_calls_them():
    for catalogue in (METRICS, PROBE_KINDS, ENGINES):
        assert [catalogue[name].name for name in catalogue] == list(catalogue)
    assert set(ALWAYS) <= set(METRICS)
    assert all(set(METRICS[name].task_kinds) <= set(TASK_KINDS) for name in METRICS)
