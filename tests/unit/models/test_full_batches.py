"""Full batches against their inputs alone: a model whose states depend on its batch is stopped, whatever hides it."""

import pandas as pd
import pytest
import torch
from PIL import Image

from layerwise.errors import InputError
from layerwise.models.frozen import FrozenModel
from layerwise.models.picture_checks import prepared_together
from layerwise.several_pictures import joined
from layerwise.states.checks import (
    BATCH_TOLERANCE,
    check_batches,
    check_hooks,
    check_sharing,
    difference,
    relative_difference,
    varied,
)
from layerwise.states.named import prepare_rows
from layerwise.states.plan import plan_parts, running_order
from tests import families
from tests.families.alone import hunyuan_vl, perception_lm
from tests.families.comparing import unlike
from tests.families.measure import POSITIONS, one_at_a_time, pictures, relative
from tests.families.refused import shieldgemma2


def table(folder, count, sizes=((64, 48),), prompt="Is there a circle"):
    """So many inputs, each with a picture of its own; sizes in turn, prompts of rising length."""
    rows = []
    for i in range(count):
        Image.effect_noise(sizes[i % len(sizes)], 60 + i).convert("RGB").save(folder / f"{i}.png")
        rows.append((f"item-{i:02}", str(folder / f"{i}.png"), f"{prompt}{'?' * (i // 8)}"))
    rows = pd.DataFrame(rows, columns=["item_id", "image", "prompt"])
    return rows.iloc[running_order(rows, 0)].reset_index(drop=True)


def check(model, rows, size, positions=POSITIONS):
    check_batches(model, rows, plan_parts(rows, 0, size), positions)


@pytest.mark.parametrize(("dtype", "position"), [(torch.float32, "image-mean"), (torch.bfloat16, "last")])
def test_a_model_that_numbers_the_pictures_of_a_batch_is_stopped(tmp_path, dtype, position):
    """In a pair it is off by less than what batches are allowed."""
    model = families.frozen(hunyuan_vl, gain=1.0)
    # As a type that the table of families does not know.
    model.runs_alone = False
    model.model.to(dtype)
    model.dtype = dtype
    pair = one_at_a_time(model, pictures(), ["Is"] * 2), model.states(pictures(), ["Is"] * 2, POSITIONS)
    assert relative(*(states[position] for states in pair)) < BATCH_TOLERANCE[dtype]
    rows = table(tmp_path, 24)
    with pytest.raises(InputError, match=rf"position {position}, .*type hunyuan_vl .* place .* `batch_size` to 1"):
        check(model, rows, 24, [position])
    # One at a time every picture is the first.
    check(model, rows, 1)


def test_a_model_that_takes_no_batch_is_stopped(tmp_path):
    """Its processor would stack pictures of different numbers of tiles."""
    model = families.frozen(perception_lm)
    model.runs_alone = False
    sizes = [image.size for image in unlike()[0]]
    rows = table(tmp_path, 6, sizes)
    alone = r"type perception_lm can prepare the items .* one at a time but not together: .* `batch_size` to 1"
    with pytest.raises(InputError, match=alone):
        check(model, rows, 6)
    check(model, rows, 1)
    # A type that is known runs its inputs one by one.
    model.runs_alone = True
    check(model, rows, 6)


def test_pictures_that_a_processor_takes_alone_but_not_in_one_text_are_to_have_one_size(tmp_path):
    model = families.frozen(perception_lm)
    # Three tiles in a row, and four in a square.
    wide, square = (Image.effect_noise(size, 60).convert("RGB") for size in ((120, 40), (64, 64)))
    files = [str(tmp_path / f"{name}.png") for name in ("wide", "square", "other")]
    for picture, file in zip((wide, square, wide.rotate(180)), files, strict=True):
        picture.save(file)
    rows = pd.DataFrame({"item_id": ["same", "unlike"], "image": [joined(files[::2]), joined(files[:2])]})
    rows = rows.assign(prompt="Which is it?")
    # Of one size there are as many tiles.
    assert len(prepare_rows(model, rows[:1])["input_ids"]) == 1
    sizes = ", ".join(f"{width} x {height}" for width, height in (wide.size, square.size))
    said = (
        rf"item unlike: a model of type perception_lm takes each of its 2 pictures \({sizes} pixels\), but not all in "
    )
    with pytest.raises(InputError, match=rf"{said}one text: .*give the pictures of an item one size"):
        prepare_rows(model, rows)


def test_other_errors_about_several_pictures_come_through():
    sizes = [(8, 8), (8, 16)]
    pictures = [Image.new("RGB", size) for size in sizes]

    def refuses(*_):
        raise ValueError("whatever it is shown")

    # Each picture by itself is refused, too; one size; two texts, of which each may be taken.
    for images in ([pictures], [pictures[:1] * 2], [pictures, pictures]):
        with pytest.raises(ValueError, match="first"), prepared_together("m", images, refuses, ["text"], False):
            raise ValueError("first")


def test_a_family_that_writes_inputs_of_its_own_is_refused_by_name(tmp_path):
    model, rows = families.frozen(shieldgemma2), table(tmp_path, 2)
    with pytest.raises(InputError, match=r"item item-00: .*type shieldgemma2 makes 3 inputs from 1, .* not supported"):
        check_hooks(model, rows, POSITIONS)


class Constant(FrozenModel):
    """Stands in for a model where only the comparison is under test: states of ones behind one large entry."""

    model_type, n_layers, width, dtype, shares_prefix = "constant", 1, 100, torch.bfloat16, True

    def __init__(self, error=0.0, more=0):
        self.error, self.more = error, more

    def render(self, prompt, pictures=1):
        return prompt

    def prepare(self, images, prompts):
        return len(prompts)

    prepare_shared = prepare

    def run(self, prepared, positions):
        states = torch.ones(prepared + self.more, 3, self.width)
        states[1:, 2, 1:] += self.error
        states[:, :, 0] = 1000.0
        return {"last": states}

    def run_shared(self, prepared, positions):
        states = self.run(prepared, positions)["last"]
        states[:1, 2, 1:] += self.error
        return {"last": states}


@pytest.mark.parametrize("run", [check_batches, check_sharing])
def test_a_large_entry_hides_no_error_in_all_others(tmp_path, run):
    rows = table(tmp_path, 4).assign(image=str(tmp_path / "0.png"))
    parts = plan_parts(rows, 2 if run is check_sharing else 0, 4)
    run(Constant(), rows, parts, ["last"])
    with pytest.raises(InputError, match=r"the state at final norm, position last, differs by 5\.0e-01"):
        run(Constant(error=0.5), rows, parts, ["last"])


def test_the_difference_is_that_without_the_largest_entries():
    states = torch.tensor([[[1000.0, 3.0, 4.0]]])
    moved = states + torch.tensor([0.0, 3.0, 4.0])
    assert relative_difference(moved, states).item() == pytest.approx(5 / (1000**2 + 5**2) ** 0.5)
    assert difference(moved, states).item() == pytest.approx(1.0)
    # And no less than that with them.
    assert difference(states * torch.tensor([2.0, 1.0, 1.0]), states).item() == pytest.approx(1.0, rel=1e-4)


def test_as_many_states_as_inputs(tmp_path):
    rows = table(tmp_path, 4)
    with pytest.raises(InputError, match=r"constant gives 5 states for 4 inputs \(item-00 .*0.png\), .* and 1 more"):
        check(Constant(more=1), rows, 4, ["last"])


def test_the_places_that_are_compared(tmp_path):
    rows = table(tmp_path, 60, sizes=[(64, 48)] * 20 + [(20, 60)] + [(90, 30)])
    rows.loc[30, "prompt"] = "the longest of all prompts, far longer than the rest"
    places = varied(rows, 8)
    assert len(places) == 8
    assert places == sorted(set(places))
    assert {0, 30, 59} <= set(places)
    sizes = {Image.open(rows["image"].iat[place]).size for place in places}
    assert sizes == {(64, 48), (20, 60), (90, 30)}
    assert varied(rows[:5], 8) == [0, 1, 2, 3, 4]
    assert len(varied(rows.assign(image=None), 8)) == 8
