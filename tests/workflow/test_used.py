"""What is erased and steered, from a finished study: trained models, their twins and folders of one's own."""

import copy
import shutil

import pytest

from tests.workflow.conftest import TINY, Project

USED = {
    "tasks": ["entailment", "objects"],
    "prompts": ["agree", "category"],
    "items": 12,
    "strengths": [-1, 1],
    "draws": 2,
}
# What shows the sweeps is made after them.
SHOWN = {"compare", "plot_figure", "show_figure", "make_table4"}


def with_used(change=lambda config: None) -> dict:
    """The tiny grid with what is erased and steered, changed in some way."""
    config = copy.deepcopy(TINY) | {"used": copy.deepcopy(USED)}
    change(config)
    return config


def planned(project: Project, config: dict, *targets: str) -> dict[str, int]:
    """The jobs that a config plans, but for those that only show results."""
    before = (project.folder / "tiny.yaml").read_text()
    project.configure(config)
    try:
        return {rule: jobs for rule, jobs in project.planned(*targets).items() if rule not in SHOWN}
    finally:
        (project.folder / "tiny.yaml").write_text(before)


def test_a_finished_study_that_asks_what_is_used_runs_nothing_else(finished):
    assert planned(finished, with_used(), "used") == {"fit_concept": 4, "sweep_used": 4}
    # All that a plain run makes, too.
    made = planned(finished, with_used())
    assert made.keys() <= {"fit_concept", "sweep_used"}
