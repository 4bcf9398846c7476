"""Further positions that tasks name, in the grid: which prompts have them, which states they take, what is refused."""

import pytest

from layerwise.errors import InputError
from layerwise.planning.position_grid import PositionStates
from layerwise.study import Study


@pytest.fixture
def coloured(study):
    """The demo's study with a task about the colour of the object that an item asks about."""
    study["stimuli"]["objects"]["prompts"] = ["no-cue", "category", "category-text-only"]
    knowledge = {"about": "asked-attribute", "attribute": "colour"}
    study["tasks"] = {"colour": {"stimuli": "objects", "question": "local", "knowledge": knowledge}}
    study["models"] = {
        "one": {"source": "embedded"},
        "twin": {"source": "embedded", "weights": "random", "prompts": ["category"]},
        "cut": {"source": "embedded", "prompts": ["category"], "intervention": {"cut-image": {"blocks": "upper"}}},
    }
    study.pop("flow")
    return study


def at(config, *positions):
    config["tasks"]["colour"]["positions"] = list(positions)
    return Study.from_config(config)


def test_a_prompt_is_probed_at_the_positions_that_it_has(coloured):
    grid = at(coloured, "word-category", "image-mean", "object-mean", "question-last").grid
    found = {}
    for cell in grid.position_probes():
        found.setdefault((cell.model, cell.prompt), []).append(cell.position)
    every = ["image-mean", "object-mean", "question-last", "word-category"]
    assert found == {
        ("one", "no-cue"): ["image-mean", "object-mean", "question-last"],
        ("one", "category"): every,
        ("one", "category-text-only"): ["question-last", "word-category"],
        # Models with an intervention have none.
        ("twin", "category"): every,
    }


def test_the_order_of_positions_means_nothing(coloured):
    first = at(coloured, "question-last", "image-mean").grid.position_probes()
    assert at(coloured, "image-mean", "question-last").grid.position_probes() == first


def test_a_further_position_leaves_what_is_planned_as_it_is(coloured):
    before = Study.from_config(coloured)
    planned = [before.grid.planned(*cell) for cell in before.grid.states_cells()]
    entry = before.config.tasks["colour"].entry()
    one = at(coloured, "question-last")
    assert [one.grid.planned(*cell) for cell in one.grid.states_cells()] == planned
    assert one.config.tasks["colour"].entry() == entry
    two = at(coloured, "question-last", "image-mean").grid
    new = set(two.position_states()) - set(one.grid.position_states())
    assert {cell.position for cell in new} == {"image-mean"}
    (same,) = [cell for cell in one.grid.position_states() if cell[:3] == ("one", "objects", "no-cue")]
    assert two.planned_position(same) == one.grid.planned_position(same)
    assert two.planned_position(same)["positions"] == ["question-last"]


def test_what_the_main_file_keeps_is_read_from_it(coloured):
    coloured["states"] = {"positions": ["last", "image-mean"]}
    study = at(coloured, "image-mean", "question-last")
    assert {cell.position for cell in study.grid.position_states()} == {"question-last"}
    here = PositionStates("one", "objects", "category", "image-mean")
    assert study.position_states_files(here) == study.states_files("one", "objects", "category")
    there = here._replace(position="question-last")
    assert study.position_states_files(there) == ["results/states/one/objects/category.at-question-last.h5"]


def test_several_tasks_share_the_states_of_a_position(coloured):
    coloured["tasks"]["objects"] = {"stimuli": "objects", "question": "local", "positions": ["question-last"]}
    grid = at(coloured, "question-last").grid
    assert len(grid.position_probes()) == 2 * len(grid.position_states()) == 8


def test_a_word_is_looked_for_where_the_wording_may_have_it(coloured):
    found = {cell.prompt for cell in at(coloured, "word-image").grid.position_probes()}
    assert found == {"no-cue", "category", "category-text-only"}
    # "Describe the image." has no place for it.
    assert "no-cue" not in {cell.prompt for cell in at(coloured, "word-ring").grid.position_probes()}


@pytest.mark.parametrize(
    ("positions", "said"),
    [
        (["last"], "tasks.colour.positions: last is the first of `states.positions`"),
        (["word-first"], "no prompt of stimuli.objects .* has the placeholder {first}; leave word-first out"),
        (["object-first-mean"], "object-first-mean is about the object that items name as {first}"),
        (["elsewhere"], "tasks.colour.positions.*: must be last, question-last"),
        (["image-mean", "image-mean"], "'image-mean' is there twice"),
    ],
)
def test_positions_that_a_task_cannot_have_are_refused(coloured, positions, said):
    with pytest.raises(InputError, match=said):
        at(coloured, *positions)


def test_captions_name_no_object_and_numbers_have_no_positions(study):
    study.pop("flow")
    study["tasks"]["entailment"]["positions"] = ["object-mean"]
    with pytest.raises(InputError, match=r"tasks.entailment.positions: object-mean is about the object .* {category}"):
        Study.from_config(study)
    study["tasks"]["entailment"].pop("positions")
    centre = {"stimuli": "objects", "question": "local", "knowledge": {"about": "asked-centre"}, "metric": "r2"}
    study["tasks"]["centre"] = centre | {"positions": ["image-mean"]}
    with pytest.raises(InputError, match=r"tasks.centre.positions: numbers are read at the first"):
        Study.from_config(study)


def test_models_on_their_authors_code_are_refused(coloured):
    pinned = {"revision": "0" * 40, "trust_remote_code": True}
    coloured["models"]["twin"] = {"source": "org/name", "adapter": "molmo"} | pinned
    with pytest.raises(InputError, match=r"the adapter molmo of models.twin runs its authors' code"):
        at(coloured, "question-last")
