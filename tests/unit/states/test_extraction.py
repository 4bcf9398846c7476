"""Extraction: what is run together, parts, and going on where a run stopped."""

import errno
import fcntl
import hashlib
import json
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from layerwise.errors import InputError
from layerwise.jobs.kept import KeptFiles
from layerwise.jobs.locks import Taken
from layerwise.models.frozen import FrozenModel
from layerwise.models.memory import Room
from layerwise.states.checks import check_prompts, check_sharing
from layerwise.states.extract import ahead, check_finite, extract_parts
from layerwise.states.images import read_image
from layerwise.states.plan import PLAIN, SHARED, Unit, path_of, plan_parts, running_order
from layerwise.states.sharing import PASS_FLOP, least_texts
from layerwise.states.work import WorkFolder, make_once, work_folder
from tests.faults.reliability import fault


@fault(
    "a model gives NaN or infinity",
    sees="one error that names layer, position and item, and a dtype to try",
    kept="all finished parts and cells; such a state is never stored",
)
def test_not_a_number_is_named():
    states = torch.zeros(2, 3, 4)
    check_finite({"last": states}, ["embeddings", "block 1", "final norm"], ["a", "b"])
    states[1, 1, 2] = float("inf")
    with pytest.raises(FloatingPointError, match="at block 1, position last, item b"):
        check_finite({"last": states}, ["embeddings", "block 1", "final norm"], ["a", "b"])


class CountingModel(FrozenModel):
    """Stands in for a model where only the bookkeeping is under test: its states are the prompt's length."""

    model_type, n_layers, width, dtype = "counting", 1, 2, torch.float32

    def __init__(self, fail_at=None, shares_prefix=False, holds=None, error=0.0):
        self.seen, self.fail_at, self.shares_prefix, self.holds, self.error = [], fail_at, shares_prefix, holds, error
        self.groups, self.batches, self.threads, self.several, self.most_images = [], [], set(), [], 1

    def run_out(self):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate much")

    def render(self, prompt, pictures=1):
        if "bad" in prompt:
            raise InputError("no such prompt")
        return prompt

    def prepare(self, images, prompts):
        assert len(images) == len(prompts)
        self.threads.add(threading.get_ident())
        return prompts

    def run(self, prepared, positions):
        if self.fail_at is not None and len(self.seen) >= self.fail_at:
            raise KeyboardInterrupt
        if self.holds is not None and len(prepared) > self.holds:
            self.run_out()
        self.seen += prepared
        self.batches.append(len(prepared))
        lengths = torch.tensor([float(len(prompt)) for prompt in prepared])
        return {"last": lengths.view(-1, 1, 1).expand(-1, 3, 2)}

    def prepare_shared(self, image, prompts):
        return self.prepare([image] * len(prompts), prompts)

    def run_shared(self, prepared, positions):
        self.groups.append(len(prepared))
        return {position: values + self.error for position, values in self.run(prepared, positions).items()}

    def run_several(self, prepared, positions):
        self.several.append([len(one) for one in prepared])
        return super().run_several(prepared, positions)

    @property
    def images_at_once(self):
        return self.most_images


def extract(model, inputs, work, batch_size=1):
    return extract_parts(model, inputs, plan_parts(inputs, 2 * model.shares_prefix, batch_size), ["last"], work)


@pytest.fixture
def table(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    prompts = ["x" * (1 + i * 7 % 50) for i in range(50)]
    return pd.DataFrame({"image": str(tmp_path / "a.png"), "prompt": prompts, "item_id": [f"i{i}" for i in range(50)]})


@pytest.fixture
def inputs(table):
    return table.iloc[running_order(table, least_texts=0)].reset_index(drop=True)


def images_of(tmp_path, counts):
    """Inputs with so many prompts about each of several images, the images' rows mixed."""
    rows = []
    for i, count in enumerate(counts):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{i}.png")
        rows += [(str(tmp_path / f"{i}.png"), "x" * (5 + j * 3 % 7), f"{i}-{j}") for j in range(count)]
    mixed = sorted(rows, key=lambda row: row[2].split("-")[::-1])
    return pd.DataFrame(mixed, columns=["image", "prompt", "item_id"])


def test_running_order_puts_equal_lengths_together(inputs):
    assert inputs["prompt"].str.len().is_monotonic_increasing


def test_running_order_of_groups(tmp_path):
    table = images_of(tmp_path, [3, 1, 2, 1])
    order = running_order(table, least_texts=2)
    assert sorted(order) == list(range(7))
    ordered = table.iloc[order]
    assert [item.split("-")[0] for item in ordered["item_id"]] == ["1", "3", "0", "0", "0", "2", "2"]
    for _, rows in ordered.groupby("image"):
        assert rows["prompt"].str.len().is_monotonic_increasing
    plain = table.iloc[running_order(table, least_texts=0)]
    assert plain["prompt"].str.len().is_monotonic_increasing


def test_parts_are_runs_of_whole_images(tmp_path):
    table = images_of(tmp_path, [1, 9, 1, 9, 8, 1, 30, 2])
    table = table.iloc[running_order(table, least_texts=2)].reset_index(drop=True)
    parts = plan_parts(table, least_texts=2, batch_size=1)
    units = [unit for units in parts for unit in units]
    assert [(u.start, u.stop, u.shared) for u in units] == [
        (0, 1, False),
        (1, 2, False),
        (2, 3, False),
        (3, 12, True),
        (12, 21, True),
        (21, 29, True),
        (29, 59, True),
        (59, 61, True),
    ]
    assert all(table["image"][u.start : u.stop].nunique() == 1 for u in units if u.shared)
    assert [(units[0].start, units[-1].stop) for units in parts] == [(0, 21), (21, 59), (59, 61)]
    assert path_of(parts) == SHARED
    assert path_of(plan_parts(table, least_texts=0, batch_size=1)) == PLAIN


def test_images_of_fewer_texts_than_pay_are_batched(tmp_path):
    table = images_of(tmp_path, [1, 2, 5, 3])
    table = table.iloc[running_order(table, least_texts=3)].reset_index(drop=True)
    units = [unit for units in plan_parts(table, least_texts=3, batch_size=4) for unit in units]
    assert units == [Unit(0, 3, False), Unit(3, 8, True), Unit(8, 11, True)]


def test_sharing_is_used_where_it_spares_more_than_it_costs(tmp_path):
    class Spares(CountingModel):
        def spared_flop(self, prepared):
            return self.spared

    table, model = images_of(tmp_path, [3, 1, 2]), Spares(shares_prefix=True)
    model.spared = 0.4 * PASS_FLOP["cpu"]
    assert least_texts(model, table, "auto", "cpu") == 6
    # A card does so much in the same time that the same prefix is not worth it.
    assert least_texts(model, table, "auto", "cuda") > 1000
    assert least_texts(model, table, "always", "cuda") == 2
    assert least_texts(model, table, "never", "cpu") == 0
    assert least_texts(model, images_of(tmp_path, [1, 1]), "auto", "cpu") == 0
    assert least_texts(Spares(shares_prefix=False), table, "always", "cpu") == 0


def test_an_image_of_very_many_texts_is_several_units(tmp_path):
    table = images_of(tmp_path, [2500])
    units = [unit for units in plan_parts(table, least_texts=2, batch_size=1) for unit in units]
    assert units == [Unit(0, 1024, True), Unit(1024, 2048, True), Unit(2048, 2500, True)]


def test_groups_are_shared_and_single_prompts_batched(tmp_path):
    table = images_of(tmp_path, [3, 1, 2, 1, 1])
    table = table.iloc[running_order(table, least_texts=2)].reset_index(drop=True)
    model = CountingModel(shares_prefix=True)
    parts = extract(model, table, WorkFolder(tmp_path), batch_size=2)
    assert model.groups == [3, 2]
    assert model.batches == [2, 1, 3, 2]
    rows = np.concatenate([WorkFolder(tmp_path).load(start, stop, ["last"])["last"] for start, stop in parts])
    assert rows[:, 0, 0].tolist() == table["prompt"].str.len().tolist()


def test_several_images_run_together(tmp_path):
    """Those of a part, after its batches; a part that is made again gives the same."""
    table = images_of(tmp_path, [9, 1, 9, 9, 2, 12, 1, 30])
    table = table.iloc[running_order(table, least_texts=2)].reset_index(drop=True)
    for most, several in ((1, [[9], [9], [9], [2], [12], [30]]), (2, [[9, 9], [9, 2], [12], [30]])):
        model, work = CountingModel(shares_prefix=True), WorkFolder(tmp_path / f"{most}")
        model.most_images = most
        parts = extract(model, table, work)
        assert model.several == several
        assert len(parts) == 3
        rows = np.concatenate([work.load(start, stop, ["last"])["last"] for start, stop in parts])
        assert rows[:, 0, 0].tolist() == table["prompt"].str.len().tolist()


def test_an_image_that_fails_is_named_whatever_runs_with_it(tmp_path):
    class Refuses(CountingModel):
        """Refuses a word, whether it is run or prepared."""

        def run_shared(self, prepared, positions):
            if any("fault" in prompt for prompt in prepared):
                raise IndexError("no such word")
            return super().run_shared(prepared, positions)

        def prepare_shared(self, image, prompts):
            if any("worse" in prompt for prompt in prompts):
                raise IndexError("no such word")
            return super().prepare_shared(image, prompts)

    table = images_of(tmp_path, [3, 2, 4])
    named = {
        "fault": r"cannot run the items 1-0 \(.*1\.png\), 1-1 \(.*1\.png\) over their image: .*no such word",
        "worse": r"item 1-1 \(.*1\.png\): .* cannot prepare it: .*no such word",
    }
    for word, message in named.items():
        given = table.assign(prompt=table["prompt"].where(table["item_id"] != "1-1", "x" * 20 + word))
        given = given.iloc[running_order(given, least_texts=2)].reset_index(drop=True)
        model = Refuses(shares_prefix=True)
        model.most_images = 8
        with pytest.raises(InputError, match=message):
            extract(model, given, WorkFolder(tmp_path / word))


def test_a_model_that_does_not_share_runs_plain_batches(tmp_path):
    table = images_of(tmp_path, [3, 2])
    model = CountingModel(shares_prefix=False)
    extract(model, table, WorkFolder(tmp_path), batch_size=2)
    assert model.groups == []
    assert model.batches == [2, 2, 1]


def test_sharing_is_checked_on_the_first_two_images(tmp_path):
    table = images_of(tmp_path, [3, 1, 2, 5])
    table = table.iloc[running_order(table, least_texts=2)].reset_index(drop=True)
    parts = plan_parts(table, least_texts=2, batch_size=2)
    model = CountingModel(shares_prefix=True)
    check_sharing(model, table, parts, ["last"])
    assert model.groups == [2, 2]
    wrong = CountingModel(shares_prefix=True, error=1e-3)
    with pytest.raises(InputError, match=r"item 0-0: over a shared prefix the state at embeddings, position last"):
        check_sharing(wrong, table, parts, ["last"])
    wrong.dtype = torch.bfloat16
    check_sharing(wrong, table, parts, ["last"])
    wrong.dtype = torch.float32
    check_sharing(wrong, table, plan_parts(table, least_texts=0, batch_size=2), ["last"])


@pytest.mark.parametrize(
    ("rounding", "error", "fails"), [(0, 21, True), (6, 23, False), (100, 79, False), (100, 81, True)]
)
def test_what_batches_round_widens_the_tolerance_within_bounds(tmp_path, rounding, error, fails):
    """In units of 1e-6 of the state; the tolerance of float32 is 20, and 80 at the widest."""

    class Rounding(CountingModel):
        def run(self, prepared, positions):
            states = super().run(prepared, positions)
            return {p: values.double() * (1 + 1e-6 * rounding * (len(prepared) > 1)) for p, values in states.items()}

        def run_shared(self, prepared, positions):
            states = super().run(prepared, positions)
            return {p: values.double() * (1 + 1e-6 * error) for p, values in states.items()}

    table = images_of(tmp_path, [3])
    parts = plan_parts(table, least_texts=2, batch_size=2)
    if fails:
        with pytest.raises(InputError, match=r"more than the rounding of torch\.float32 explains"):
            check_sharing(Rounding(shares_prefix=True), table, parts, ["last"])
    else:
        check_sharing(Rounding(shares_prefix=True), table, parts, ["last"])


def test_out_of_memory_halves_the_batch_for_good(tmp_path, inputs, caplog):
    model = CountingModel(holds=3)
    parts = extract(model, inputs, WorkFolder(tmp_path), batch_size=16)
    assert max(model.batches) == 2
    assert model.batches[:8] == [2] * 8
    assert caplog.text.count("out of device memory") == 3
    assert "out of device memory with 4 inputs in a batch at once (CUDA out of memory); going on with 2" in caplog.text
    rows = np.concatenate([WorkFolder(tmp_path).load(start, stop, ["last"])["last"] for start, stop in parts])
    assert rows[:, 0, 0].tolist() == inputs["prompt"].str.len().tolist()


@fault(
    "the device's memory is too small for a single input",
    sees="one error that says how to make room",
    kept="all finished parts and cells",
)
@pytest.mark.parametrize(
    ("run_out", "reason"),
    [
        (CountingModel.run_out, r"\(CUDA out of memory\)"),
        # More than any machine has, so that PyTorch and NumPy really fail.
        (
            lambda _: torch.empty(2**48),
            r"\(DefaultCPUAllocator: can't allocate memory: .* \d+ bytes\)",
        ),
        (lambda _: np.empty(2**58), r"\(Unable to allocate .*\)"),
    ],
)
def test_out_of_memory_with_one_input_says_what_to_do(tmp_path, inputs, monkeypatch, run_out, reason):
    monkeypatch.setattr(CountingModel, "run_out", run_out)
    with pytest.raises(InputError, match=rf"too small for a single one of the inputs in a batch {reason}; .* bfloat16"):
        extract(CountingModel(holds=0), inputs, WorkFolder(tmp_path), batch_size=4)


def test_an_error_about_something_else_than_memory_comes_through():
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        Room(4, "things").over(4, lambda *_: torch.ones(2, 3) @ torch.ones(2, 3))


def test_room_covers_all():
    room = Room(8, "things")

    def run(start, stop):
        if stop - start > 5:
            raise torch.OutOfMemoryError("full")
        return list(range(start, stop))

    assert room.over(19, run) == [list(range(a, min(a + 4, 19))) for a in range(0, 19, 4)]
    assert room.size == 4
    assert room.over(0, run) == []


def test_what_threads_raise_comes_out_in_turn(tmp_path, inputs):
    assert list(ahead(ThreadPoolExecutor(1), lambda i: i * i, range(9))) == [i * i for i in range(9)]

    def make(i):
        if i == 3:
            raise InputError("the fourth")
        return i

    made = ahead(ThreadPoolExecutor(1), make, range(9))
    assert [next(made) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(InputError, match="the fourth"):
        next(made)
    inputs.loc[40, "image"] = str(tmp_path / "not-there.png")
    model = CountingModel()
    with pytest.raises(InputError, match=r"not-there.png: the image cannot be decoded"):
        extract(model, inputs, WorkFolder(tmp_path))
    assert threading.get_ident() not in model.threads
    assert len(list(tmp_path.glob("rows-*"))) == 2


def test_a_part_that_cannot_be_written_ends_the_run(tmp_path, inputs):
    work = WorkFolder(tmp_path / "work")
    work.folder.write_text("a file where the folder should be")
    with pytest.raises(FileExistsError, match="work"):
        extract(CountingModel(), inputs, work)


def test_a_stopped_extraction_goes_on_at_the_last_part(tmp_path, inputs):
    """Parts are 16 batches of 1: stopped after 40 inputs, the 32 of two parts are kept."""
    work = WorkFolder(tmp_path)
    first = CountingModel(fail_at=40)
    with pytest.raises(KeyboardInterrupt):
        extract(first, inputs, work)
    assert len(first.seen) == 40
    second = CountingModel()
    parts = extract(second, inputs, work)
    assert len(second.seen) == 50 - 32
    rows = np.concatenate([work.load(start, stop, ["last"])["last"] for start, stop in parts])
    assert rows[:, 0, 0].tolist() == inputs["prompt"].str.len().tolist()


@fault(
    "a part of an unfinished extraction is damaged, missing, or belongs to another extraction",
    sees="a warning that names the part; it is made again",
    kept="the other parts",
)
def test_damaged_missing_or_foreign_parts_are_named_and_made_again(tmp_path, inputs, caplog):
    parts = extract(CountingModel(), inputs, WorkFolder(tmp_path))
    files = sorted(tmp_path.glob("rows-*"))
    assert len(files) == len(parts) == 4
    whole = files[0].read_bytes()
    # One bit in the middle of the numbers: the file still opens.
    files[0].write_bytes(whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:])
    files[1].write_bytes(files[1].read_bytes()[:100])
    files[2].write_bytes(files[3].read_bytes())
    files[3].unlink()
    work = WorkFolder(tmp_path)
    for part, file, reason in zip(parts, files, ("damaged", "damaged", "damaged", "missing"), strict=True):
        caplog.clear()
        assert work.load(*part, ["last"]) is None
        assert f"{file} is {reason}" in caplog.text
    with pytest.raises(InputError, match=files[0].name):
        list(work.assemble(parts, ["last"]))
    model = CountingModel()
    extract(model, inputs, work)
    assert len(model.seen) == 50
    assert sorted(tmp_path.glob("rows-*")) == files
    assert files[0].read_bytes() == whole
    # A cell that keeps another position cannot take them.
    assert work.load(*parts[1], ["last", "image-mean"]) is None


def test_the_manifest_lists_rows_and_checksums(tmp_path, inputs, caplog):
    parts = extract(CountingModel(), inputs, WorkFolder(tmp_path))
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert [entry["rows"] for entry in manifest.values()] == [stop - start for start, stop in parts]
    for name, entry in manifest.items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == entry["sha256"]
    (tmp_path / "manifest.json").write_text("{")
    assert WorkFolder(tmp_path).load(*parts[0], ["last"]) is None
    assert "manifest.json is damaged" in caplog.text


def test_work_folders(tmp_path):
    with work_folder(tmp_path, "f" * 64) as work, open(tmp_path / f"{'f' * 32}.lock") as lock:
        work.save(0, 1, {"last": torch.zeros(1, 3, 2)})
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(Taken), work_folder(tmp_path, "f" * 64, wait=False):
            pass
        work.remove()
    assert not work.folder.exists()
    with pytest.raises(RuntimeError, match="on purpose"), work_folder(tmp_path, "f" * 64) as work:
        work.save(0, 1, {"last": torch.zeros(1, 3, 2)})
        raise RuntimeError("on purpose")
    with work_folder(tmp_path, "e" * 64) as other:
        assert other.load(0, 1, ["last"]) is None
    with work_folder(tmp_path, "f" * 64) as again:
        assert again.load(0, 1, ["last"]) is not None


def test_a_cell_is_made_once(tmp_path, caplog):
    """A job that waited for the lock finds the files that the other one made, or kept under another name."""
    caplog.set_level(logging.INFO)
    made = []

    def make(work):
        work.save(0, 1, {"last": torch.zeros(1, 3, 2)})
        made.append(1)
        out.write_text("states")

    def run():
        make_once(tmp_path / "work", "f" * 64, files, lambda file: file.exists(), make)

    out = tmp_path / "a.h5"
    files = KeptFiles(tmp_path / "kept", {"code": "1"}, [out])
    run()
    run()
    assert made == [1]
    assert f"{out} has been finished in the meantime" in caplog.text
    out.unlink()
    run()
    assert made == [1]
    assert out.read_text() == "states"
    # Without kept files, only what lies where it is wanted counts.
    files = KeptFiles(None, {"code": "1"}, [out])
    run()
    out.unlink()
    run()
    assert made == [1, 1]
    assert [file.name for file in (tmp_path / "work").iterdir()] == [f"{'f' * 32}.lock"]


def test_a_disk_without_locks_is_worked_on_with_a_warning(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("layerwise.jobs.locks.fcntl.flock", refuse)
    with work_folder(tmp_path, "f" * 64) as work:
        work.save(0, 1, {"last": torch.zeros(1, 3, 2)})
    # Who cannot know that nobody is at it leaves it.
    with pytest.raises(Taken), work_folder(tmp_path, "f" * 64, wait=False):
        pass
    assert f"{'f' * 32}.lock: this disk has no locks (Function not implemented)" in caplog.text


def test_a_prompt_that_cannot_be_shown_names_its_item(inputs):
    inputs.loc[3, "prompt"] = "a bad one"
    with pytest.raises(InputError, match=f"item {inputs['item_id'][3]}: no such prompt"):
        check_prompts(CountingModel(), inputs)


def test_images_are_upright_and_rgb(tmp_path):
    picture = Image.new("L", (6, 4))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif)
    image = read_image(tmp_path / "turned.jpg")
    assert (image.size, image.mode) == ((4, 6), "RGB")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "turned.jpg").read_bytes()[:200])
    with pytest.raises(InputError, match=r"cut.jpg: the image cannot be decoded"):
        read_image(tmp_path / "cut.jpg")
