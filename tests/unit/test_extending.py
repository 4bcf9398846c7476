"""docs/extending.md says where its examples go, and each touches no more files than its table says."""

import ast
import re
from importlib.util import module_from_spec, spec_from_file_location

import numpy as np
import pytest
import yaml
from sklearn.metrics import recall_score

from layerwise.compare.intervened import in_words
from layerwise.probes.problems import Problem
from tests.conftest import REPOSITORY
from tests.extending_page import PAGE, STUDY, Block, add_code, added_to, blocks
from tests.workflow.conftest import TINY

TABLE = re.findall(r"^\| (\[.*?) \| (.*) \|$", PAGE.read_text(), flags=re.MULTILINE)
TOUCHED = {
    anchor: set(files.split(", ")) for things, files in TABLE for anchor in re.findall(r"\]\(#([a-z-]+)\)", things)
}
SECTIONS = list(dict.fromkeys(block.section for block in blocks()))


def role(block: Block) -> str:
    """What the table calls a block's file."""
    if block.file == STUDY or block.file.endswith(".yaml"):
        return "your study's file"
    if block.after is None:
        told = {".py": "a module", ".rst": "its caption"}[block.file[block.file.rindex(".") :]]
        return "a tiny model for the tests" if block.file.startswith("tests/") else told
    of_files = {
        "scripts/layerwise/models/families.py": "its row in the table of families",
        "tests/families/intervened.py": "an entry for the tests of all families",
        "tests/families/__init__.py": "its name in the tests' list",
    }
    assert block.file in of_files or block.file.endswith("/catalogue.py"), f"{block.section} edits {block.file}"
    return of_files.get(block.file, "its line in the catalogue")


def test_the_table_names_every_section():
    assert {section.lower().replace(" ", "-") for section in SECTIONS} == set(TOUCHED)
    assert len(TOUCHED) == 13


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_touches_what_the_table_says(section):
    of_section = [block for block in blocks() if block.section == section]
    roles = {block.file: role(block) for block in of_section}
    assert set(roles.values()) == TOUCHED[section.lower().replace(" ", "-")]
    # One file of each sort: one module, one catalogue.
    assert len(roles) == len(set(roles.values()))


def test_every_block_goes_somewhere_or_is_a_command():
    fences = re.findall(r"^```(\w+)$", PAGE.read_text(), flags=re.MULTILINE)
    assert len(blocks()) == len(fences) - fences.count("console")
    for block in blocks():
        if block.file.endswith(".py") and block.after is None:
            assert ast.get_docstring(ast.parse(block.text)), block.file
        elif block.file.endswith(".yaml"):
            assert isinstance(yaml.safe_load(block.text), dict)


def test_a_study_keeps_what_the_page_does_not_add():
    merged = added_to(TINY)
    assert merged["models"].items() > TINY["models"].items()
    assert merged["stimuli"]["captions"] == TINY["stimuli"]["captions"] | {"prompts": ["agree", "caption", "fits"]}


def test_a_place_that_is_gone_is_refused(tmp_path):
    section = next(block.section for block in blocks() if block.after is not None)
    (place,) = (block for block in blocks() if block.section == section and block.after is not None)
    (tmp_path / place.file).parent.mkdir(parents=True)
    (tmp_path / place.file).write_text("nothing\n")
    with pytest.raises(ValueError, match="has no line with"):
        add_code(tmp_path, section)


def test_links_lead_somewhere():
    page = PAGE.read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)?(?:#[^)]*)?\)", page):
        assert not target or (PAGE.parent / target).exists(), target
    for page in ("README.md", "docs/architecture.md"):
        assert "extending.md" in (REPOSITORY / page).read_text()


def module(file: str, folder):
    """A module of the page."""
    (text,) = (block.text for block in blocks() if block.file == file and block.after is None)
    (folder / "example.py").write_text(text)
    spec = spec_from_file_location("example", folder / "example.py")
    loaded = module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_the_metric_is_scikit_learn_s_and_its_gains_add_up(tmp_path):
    metric = module("scripts/layerwise/probes/metrics/sensitivity.py", tmp_path).METRIC
    rng = np.random.default_rng(0)
    y, (first, second) = rng.integers(0, 2, 50), rng.normal(size=(2, 50, 1))
    weights = np.stack([np.ones(50), rng.integers(0, 4, 50)])
    values = [metric.values(y, scores, weights, 2) for scores in (first, second)]
    for of_scores, scores in zip(values, (first, second), strict=True):
        found = [recall_score(y, scores[:, 0] > 0, sample_weight=weight) for weight in weights]
        assert of_scores == pytest.approx(found)
    gains, shares = metric.item_gains(y, first, second, 2)
    assert gains.sum() == pytest.approx(values[0][0] - values[1][0])
    assert shares.sum() == pytest.approx(1)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_probe_asks_the_nearest(tmp_path, n_classes):
    kind = module("scripts/layerwise/probes/kinds/nearest_neighbours.py", tmp_path).KIND
    rng = np.random.default_rng(n_classes)
    y = rng.choice(n_classes, 80, p=[0.7, 0.3] if n_classes == 2 else [0.6, 0.3, 0.1])
    states, train = rng.normal(size=(80, 5)) + y[:, None], np.arange(40)
    rows = {"train": train}
    problem = Problem("label", n_classes, items=rows, groups=rows, rows=rows, y={"train": y[:40]})
    ((fit,),) = kind.start(1, 2**20, 0).fit(states, [problem], kind.tried([0.1, 1.0]))
    scores = fit.scores(states)
    assert fit.scores(states[:0]).shape == (0, scores.shape[1])
    scores = np.hstack([np.zeros_like(scores), scores]) if n_classes == 2 else scores
    for of_item, state in zip(scores, states, strict=True):
        nearest = y[:40][np.square(states[:40] - state).sum(axis=1).argsort()[:10]]
        counts = np.bincount(nearest, minlength=n_classes) + 1
        assert np.exp(of_item) / np.exp(of_item).sum() == pytest.approx(counts / counts.sum())


def test_a_new_intervention_has_words():
    assert in_words({"skip-block": {"block": 2}}) == "skip-block: block 2"
