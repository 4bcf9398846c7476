"""Pictures that a model's own code does not take: each is named before the long run, and so is what goes alone only."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from layerwise.errors import InputError
from layerwise.flow.asking import Asking
from layerwise.flow.measuring import measure_parts
from layerwise.states.checks import check_batches
from layerwise.states.named import prepare_group, prepare_rows, run_rows
from layerwise.states.plan import plan_parts
from layerwise.states.shape_checks import check_pictures, extremes
from layerwise.states.work import WorkFolder
from tests import families
from tests.faults.reliability import fault


@pytest.fixture(scope="module")
def emu3():
    """Its own processor refuses sides that differ by 200 times, and takes a side of 3 pixels for three channels."""
    return families.frozen(families.emu3)


@pytest.fixture
def shown(tmp_path):
    """Inputs with pictures of the given sizes, after a few ordinary ones."""

    def shown(*sizes):
        rng, rows = np.random.default_rng(0), []
        for i, (width, height) in enumerate([(48, 64), (64, 48), *sizes]):
            file = tmp_path / f"{i}.png"
            Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(file)
            rows.append((f"item-{i}", str(file), "Is there a circle?"))
        return pd.DataFrame(rows, columns=["item_id", "image", "prompt"])

    return shown


@fault(
    "the model's processor refuses the shape of a picture (1000 x 1 pixels)",
    sees="one error that names item, file and the model's type, before the first input is run",
    kept="all finished work",
)
def test_a_shape_that_a_processor_does_not_take_is_named_at_once(emu3, shown):
    check_pictures(emu3, shown((60, 60)))
    with pytest.raises(InputError, match=r"item item-3 \(.*3.png\): .*type emu3 cannot prepare it: .* aspect ratio"):
        check_pictures(emu3, shown((60, 60), (1000, 1), (60, 60)))


@fault(
    "a model's processor mistakes the rows of a picture of 1 or 3 pixels a side for its colours",
    sees="one error that names item, file and the model's type, before the first input is run",
    kept="all finished work; no state comes from wrong colours",
)
@pytest.mark.parametrize("size", [(100, 3), (3, 3)])
def test_rows_that_are_taken_for_colours_are_named_at_once(emu3, shown, size):
    """Nothing fails there, but a picture of one colour has others at 3 pixels than at 6."""
    with pytest.raises(
        InputError, match=rf"item item-2 \(.*2.png\): .* mistakes the rows .* {size[0]} x {size[1]} pixels"
    ):
        check_pictures(emu3, shown(size))
    # Other processors keep its colours.
    check_pictures(families.frozen(families.llava), shown(size, (1, 1), (1, 60)))


def test_a_picture_in_the_middle_of_a_run_is_named_too(emu3, shown):
    rows = shown((1000, 1), (60, 60))
    one, last = rows.iloc[2:3], ["last"]
    for make in (
        lambda: prepare_rows(emu3, rows),
        lambda: run_rows(emu3, rows, last),
        lambda: prepare_group(emu3, one),
    ):
        with pytest.raises(InputError, match=r"item item-2 \(.*2.png\): .* cannot prepare it: .*replace the picture"):
            make()


def test_what_the_model_itself_fails_on_is_named(shown, monkeypatch):
    model = families.frozen(families.llava)
    with torch.no_grad():
        model.model.model.multi_modal_projector.linear_1.weight = torch.nn.Parameter(torch.zeros(3, 3))
    with pytest.raises(InputError, match=r"item item-1 \(.*\): .* cannot run it: RuntimeError: .* no picture is"):
        check_pictures(model, shown())


def test_inputs_that_go_alone_but_not_together_are_named(shown):
    """Pictures of unequal shapes, where the processor does not crop them to one."""
    model = families.frozen(families.llava)
    model.processor.image_processor.do_center_crop = False
    rows = shown((48, 64), (64, 48))
    with pytest.raises(InputError, match=r"llava can prepare the items item-0 .* and 1 more one at a time but not"):
        prepare_rows(model, rows)
    with pytest.raises(InputError, match=r"one at a time but not together: .* `batch_size` to 1$"):
        check_batches(model, rows, plan_parts(rows, 0, 4), ["last"])


def test_a_question_about_such_a_picture_is_named(emu3, shown, tmp_path):
    asked = shown((1000, 1)).rename(columns={"item_id": "question_id"}).assign(question="Is it red?", options="")
    with pytest.raises(InputError, match=r"item item-2 \(.*2.png\): .* type emu3 cannot prepare it"):
        measure_parts(emu3, asked, Asking("{question}", 3, "text"), 2, WorkFolder(tmp_path))


def test_the_shapes_that_are_run_first():
    sizes = pd.DataFrame([(50, 50), (300, 30), (10, 200), (2, 2), (900, 800), (60, 50)], columns=["width", "height"])
    assert sorted(extremes(sizes)) == [1, 2, 3, 4]
