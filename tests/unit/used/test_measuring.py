"""One used cell: what is run and written, how a killed job goes on, and what is refused."""

import hashlib
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from layerwise.errors import InputError
from layerwise.models.adapters import generic
from layerwise.models.frozen import layer_names
from layerwise.models.interventions.concept_file import Change, Concept, ConceptFile, Steering, write_concept
from layerwise.models.registration import describe_model
from layerwise.probes.fits import Fit
from layerwise.probes.kept import KeptProbes, probes_file
from layerwise.probes.problems import Standardisation
from layerwise.states.images import read_image
from layerwise.states.work import WorkFolder
from layerwise.stimuli.items import read_items
from layerwise.tasks.labels import read_task
from layerwise.used import measuring, program
from layerwise.used.changes import Changes
from layerwise.used.items import cell_items
from layerwise.used.measuring import Measuring
from layerwise.used.pseudo import pseudo_classes, simplex
from layerwise.used.results import gold_margins, read_above, read_sweep
from layerwise.used.runs import planned_runs
from tests.cells import run_here, write_items
from tests.conftest import REPOSITORY
from tests.families.comparing import pictures

CLASSES, DRAWS, STRENGTHS = ["no", "yes"], 2, [-1, 2]
ENTRY = {"text": "{text} Say yes or no:", "answers": {"yes": ["yes"], "no": ["no"]}}
CELL = {
    "model": "tiny", "task": "agree", "stimuli": "pairs", "prompt": "plain", "prompt_entry": ENTRY, "items": 9,
    "strengths": STRENGTHS, "along": "probe", "draws": DRAWS, "seed": 0,
}  # fmt: skip
TEXTS = ["Is there a red circle", "A blue square", "A green star left of it", "Is there an image"]


@pytest.fixture(scope="module")
def registered(tiny_llava):
    entry = {"source": str(tiny_llava), "weights": "pretrained", "dtype": "float32", "conversation": "auto"}
    return describe_model("tiny", entry | {"adapter": "generic"}, None, seed=0)


@pytest.fixture(scope="module")
def model(registered):
    return generic.load(registered, "cpu")


def drawn(model, seed, rank=1, zero=False):
    """A made-up concept at each block: projections onto random directions, and steps along others."""
    rng = np.random.default_rng(seed)

    def units(*shape):
        values = rng.standard_normal((*shape, model.width)).astype(np.float32)
        return values / np.linalg.norm(values, axis=-1, keepdims=True)

    def frames():
        return np.linalg.qr(units(rank).T)[0].T.astype(np.float32) * (not zero)

    for _ in range(model.n_layers):
        own, controls = frames(), np.stack([units(rank) for _ in range(DRAWS)])
        steering = Steering(units(1), np.array([1.5], np.float32))
        steer = {} if rank > 1 else {"probe": steering, "means": Steering(units(1), steering.deviation)}
        yield Concept(0.1 * units(), (own, own), (controls, controls), steer, units(DRAWS))


def write(path, model, concepts, classes=CLASSES, draws=DRAWS):
    blocks = list(range(1, model.n_layers + 1))
    told = {"blocks": blocks, "position": "last", "classes": classes, "cell": {}, "draws": draws, "seed": 0}
    write_concept(path, told, concepts)
    return path


@pytest.fixture(scope="module")
def given(model, registered, tmp_path_factory):
    """Stimuli, a task, a concept and kept probes on disk."""
    folder = tmp_path_factory.mktemp("used")
    shown = []
    for i, image in enumerate(pictures(5)):
        image.save(folder / f"{i}.png")
        shown += [(f"i{i}-{j}", folder / f"{i}.png", text) for j, text in enumerate(TEXTS)]
    items = write_items(folder, shown)
    labels = pd.DataFrame({"item_id": items["item_id"], "image_id": items["image"], "group": items["image"]})
    # All items of the last picture are training items.
    split = ["train" if item.startswith("i4") else "test" for item in items["item_id"]]
    labels = labels.assign(label="agrees", y=np.arange(len(labels)) % 2, split=split)
    labels.to_parquet(folder / "labels.parquet")
    (folder / "task.json").write_text(json.dumps({"labels": ["agrees"], "classes": CLASSES, "metric": "accuracy"}))
    (folder / "model.json").write_text(json.dumps(registered))
    write(folder / "own.safetensors", model, drawn(model, 1))
    write(folder / "other.safetensors", model, drawn(model, 2, rank=2), classes=["a", "b", "c"])
    rng, width = np.random.default_rng(3), model.width
    cell = {"model_digest": registered["digest"]}
    plain = Standardisation(*(np.full(width, value, np.float32) for value in (0, 1, 1)))
    with probes_file(folder / "probes.h5", layer_names(model.n_layers), ["agrees"], CLASSES, cell) as add:
        for _ in range(model.n_layers + 2):
            fit = Fit(rng.standard_normal((1, width)), rng.standard_normal(1), C=1.0, converged=True)
            add([fit], plain)
    return folder


def command(given, out, **changed):
    cell = CELL | changed
    run = [sys.executable, REPOSITORY / "scripts/sweep_used.py", "--model", given / "model.json"]
    run += ["--stimuli", given, "--task", given, "--cell", json.dumps(cell), "--threads", "1"]
    run += ["--concept", given / "own.safetensors", "--probes", given / "probes.h5"]
    run += ["--others", json.dumps({"objects/category": str(given / "other.safetensors")})]
    run += ["--work", out / "work", "--kept", out / "kept"]
    run += ["--out", out / "plain.parquet", "--above", out / "plain.above.parquet"]
    return list(map(str, run))


@pytest.fixture(scope="module")
def tables(given, tmp_path_factory):
    out = tmp_path_factory.mktemp("tables")
    with pytest.MonkeyPatch.context() as patch:
        run_here(command(given, out), patch)
    return out, read_sweep(out / "plain.parquet"), read_above(out / "plain.above.parquet")


def measuring_of(model, registered, given, cell=CELL, **files):
    items, stimuli = read_items(given)
    labels, task = read_task(given)
    chosen = cell_items(items, stimuli, labels, task, cell)
    own = ConceptFile(files.get("own", given / "own.safetensors"))
    other = {"objects/category": ConceptFile(given / "other.safetensors")}
    with KeptProbes(files.get("probes", given / "probes.h5")) as probes:
        return Measuring(model, registered, cell, chosen, own, other, probes)


def test_the_tables_have_every_run_of_whole_images(tables, model, given):
    _, sweep, above = tables
    table, n_layers = sweep.table, model.n_layers
    # Two of the four test pictures have eight items; a third one would make twelve.
    assert table["item_id"].nunique() == 8
    assert table["image"].nunique() == 2
    assert not table["item_id"].astype(str).str.startswith("i4").any()
    images = {i: hashlib.sha256((given / f"{i}.png").read_bytes()).hexdigest() for i in range(5)}
    assert (table["image"].astype(str) == table["item_id"].astype(str).str[1].astype(int).map(images)).all()
    labels = pd.read_parquet(given / "labels.parquet").set_index("item_id")["y"]
    assert (table["y"] == table["item_id"].astype(str).map(labels)).all()
    counts = table.groupby(["change", "source"], observed=True).size() / 8
    assert counts.to_dict() == {
        ("free", "own"): 1,
        ("erase", "own"): n_layers,
        ("erase", "control"): n_layers * DRAWS,
        ("erase", "other"): n_layers,
        ("steer", "own"): n_layers * 2,
        ("steer", "control"): n_layers * 2 * DRAWS,
    }
    of = {"own": {"agree/plain", ""}, "control": {""}, "other": {"objects/category"}}
    for source, names in of.items():
        assert set(table.loc[table["source"] == source, "of"]) == names
    assert set(table.loc[table["source"] == "control", "draw"]) == set(range(DRAWS))
    assert sweep.told.classes == CLASSES
    assert list(sweep.told.tokens) == CLASSES
    assert (sweep.told.blocks, sweep.told.along, sweep.told.strengths) == (n_layers, "probe", [-1, 2])
    assert (above.table["above"] >= above.table["block"]).all()
    per_item = n_layers + (1 + DRAWS) * n_layers * (n_layers + 1) / 2
    assert len(above.table) == 8 * per_item


def test_the_check_keeps_to_the_room_that_memory_left(model, registered, given):
    """It compares more runs than a row has where memory holds only short rows."""
    measuring = measuring_of(model, registered, given)
    measuring.room.size = 2
    measuring._check(measuring.items.rows.iloc[[0]])


def test_every_number_is_that_of_a_whole_pass(tables, model, given):
    """One item's, from NumPy's version of the changes and of the probes."""
    _, sweep, above = tables
    item = sweep.table["item_id"].astype(str).iat[0]
    items, _ = read_items(given)
    row = items.set_index("item_id").loc[item]
    inputs = model.prepare([read_image(row["image"])], [ENTRY["text"].replace("{text}", row["text"])])
    concept, other = ConceptFile(given / "own.safetensors"), ConceptFile(given / "other.safetensors")
    with KeptProbes(given / "probes.h5") as kept:
        probes = [kept.layer(layer) for layer in range(len(kept.layers))]
    ids = [[token["id"] for token in sweep.told.tokens[name]] for name in CLASSES]
    mine, mine_above = sweep.table["item_id"] == item, above.table["item_id"] == item
    found = sweep.table[mine].assign(scores=list(sweep.scores[mine]))
    found_above = above.table[mine_above].assign(margins=list(above.margins[mine_above]))
    for what in found.itertuples():
        change = None
        if what.change != "free":
            here = (other if what.source == "other" else concept).block(what.block)
            draw = what.draw if what.source == "control" else None
            change = here.erased(draw) if what.change == "erase" else here.steered("probe", what.strength, draw=draw)
        states, own = [], []

        def replace_last(_block, _args, output, change=change, own=own):
            own.append(output[0, -1].numpy())
            changed = output.clone()
            changed[0, -1] = torch.from_numpy(change.of(output[0, -1].numpy()))
            return changed

        def keep(_block, _args, output, states=states):
            states.append(output[0, -1].numpy())

        handles = [model.blocks[what.block - 1].register_forward_hook(replace_last)] if change else []
        handles += [block.register_forward_hook(keep) for block in model.blocks]
        with torch.inference_mode():
            p = model.model(**inputs).logits[0, -1].double().softmax(-1)
        for handle in handles:
            handle.remove()
        if what.change == "erase" and what.source == "control":
            assert what.pseudo == (change.from_[0] @ (own[0] - change.mean) > 0)
        else:
            assert what.pseudo == -1
        of_classes = torch.stack([p[of_class].sum() for of_class in ids])
        np.testing.assert_allclose(what.mass, of_classes.sum(), rtol=1e-5)
        np.testing.assert_allclose(what.scores, (of_classes / of_classes.sum()).log(), rtol=1e-5, atol=1e-6)
        if what.change == "steer" or what.source == "other":
            continue
        read = found_above[
            (found_above["block"] == what.block)
            & (found_above["source"] == what.source)
            & (found_above["draw"] == what.draw)
        ]
        assert read["above"].tolist() == list(range(max(1, what.block), model.n_layers + 1))
        for block, margins in zip(read["above"], read["margins"], strict=True):
            expected = probes[block].margins(states[block - 1][None])[0]
            np.testing.assert_allclose(margins, expected, rtol=1e-4, atol=1e-5)


def test_the_classes_that_a_random_concept_gives(tables):
    """By hand: of two classes the side of the mean, of three the third of the plane around it."""
    _, sweep, _ = tables
    assert set(sweep.table.loc[sweep.table["pseudo"] >= 0, "pseudo"]) == {0, 1}
    coordinates = {(-2.0, 0.0): 0, (2.0, 0.1): 1, (0.1, 3.0): 2, (-0.5, -1.5): 0, (0.5, -1.5): 1, (-1.0, 0.9): 2}
    # Behind block 1 the state is this far from the mean, in dimensions 1 and 2 of 3.
    mean, frame, line = np.array([5, -1, 2], np.float32), np.eye(3, dtype=np.float32)[1:], np.zeros((1, 3), np.float32)
    line[0, 1] = 1

    def eraser(from_):
        return Change(from_, from_, mean, 0 * mean)

    nothing = np.zeros((0, 3), np.float32)
    groups = [Changes.of([eraser(part)], [1], [True], torch.device("cpu")) for part in (line, nothing, frame)]
    for (first, second), third in coordinates.items():
        states = torch.from_numpy(np.stack([mean, mean + np.float32([7, first, second])]))
        assert pseudo_classes(states, groups).tolist() == [int(first > 0), -1, third]
    for k in (2, 3, 5):
        corners = simplex(k)
        np.testing.assert_allclose(corners @ corners.T, np.eye(k) - 1 / k, atol=1e-12)


def test_margins_are_of_an_items_own_class(tables):
    _, sweep, _ = tables
    y = sweep.table["y"].to_numpy()
    signed = np.where(y == 1, 1, -1) * (sweep.scores[:, 1] - sweep.scores[:, 0])
    np.testing.assert_allclose(sweep.gold_margins, signed, rtol=1e-5, atol=1e-6)
    scores = np.log([[0.2, 0.3, 0.5]])
    np.testing.assert_allclose(gold_margins(scores, [1]), np.log([0.3 / 0.7]))


def test_finished_tables_are_taken_and_nothing_is_run(tables, given, monkeypatch):
    out, sweep, _ = tables
    (out / "plain.parquet").unlink()
    (out / "plain.above.parquet").unlink()
    monkeypatch.setattr(program, "start_torch", lambda _threads: pytest.fail("a model was run"))
    run_here(command(given, out), monkeypatch)
    pd.testing.assert_frame_equal(read_sweep(out / "plain.parquet").table, sweep.table)
    assert not list((out / "work").glob("*/"))


def test_a_killed_job_goes_on_at_its_part_and_gives_the_same(tables, model, registered, given, tmp_path, monkeypatch):
    _, sweep, above = tables
    monkeypatch.setattr("layerwise.used.items.ITEMS_PER_PART", 4)
    made, part = [], Measuring._part

    def counted(self, rows):
        made.append(len(rows))
        if len(made) == 2 and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            raise KeyboardInterrupt
        return part(self, rows)

    monkeypatch.setattr(Measuring, "_part", counted)
    (tmp_path / "work").mkdir()
    with pytest.raises(KeyboardInterrupt):
        measuring_of(model, registered, given).make(WorkFolder(tmp_path / "work"))
    again, work = measuring_of(model, registered, given), WorkFolder(tmp_path / "work")
    found, found_above = again.tables(work, again.make(work))
    assert made == [4, 4, 4]
    np.testing.assert_allclose(found.scores, sweep.scores, atol=1e-6)
    np.testing.assert_allclose(found_above.margins, above.margins, rtol=1e-5, atol=1e-5)


def test_concepts_that_change_nothing_are_refused(model, registered, given, tmp_path):
    zero = write(tmp_path / "zero.safetensors", model, drawn(model, 1, zero=True))
    with pytest.raises(InputError, match=r"zero\.safetensors: erasing the concept at block 1 changes nothing"):
        measuring_of(model, registered, given, own=zero)
    none = write(tmp_path / "none.safetensors", model, drawn(model, 1, rank=0))
    with pytest.raises(InputError, match=r"none\.safetensors: its rank is 0"):
        measuring_of(model, registered, given, own=none)
    still = [
        replace(concept, steer={"probe": Steering(concept.steer["probe"].direction, np.zeros(1, np.float32))})
        for concept in drawn(model, 1)
    ]
    with pytest.raises(InputError, match="steering along probe at block 1 changes nothing"):
        measuring_of(model, registered, given, own=write(tmp_path / "still.safetensors", model, still))


def test_a_change_below_rounding_stops_the_job(model, registered, given, tmp_path):
    tiny = [
        replace(concept, erase=(concept.erase[0], concept.erase[1] * np.float32(1e-30))) if block == 1 else concept
        for block, concept in enumerate(drawn(model, 1))
    ]
    made = measuring_of(model, registered, given, own=write(tmp_path / "tiny.safetensors", model, tiny))
    (tmp_path / "work").mkdir()
    with pytest.raises(InputError, match="erase of agree/plain in block 2 changes no state of the items i"):
        made.make(WorkFolder(tmp_path / "work"))


@pytest.mark.parametrize(
    ("cell", "complaint"),
    [
        ({"draws": 3}, r"has 2 controls, but `used.draws` asks for 3"),
        ({"along": "x"}, r"no direction of the kind x \(`used.along`\); it has means, probe"),
        ({"prompt_entry": ENTRY | {"answers": {"no": ["no"]}}}, "has no `answers` for the class 'yes'"),
        ({"prompt_entry": ENTRY | {"answers": {"no": ["no"], "yes": ["no"]}}}, "with the same token"),
    ],
)
def test_a_cell_that_asks_for_what_is_not_there(model, registered, given, cell, complaint):
    with pytest.raises(InputError, match=complaint):
        measuring_of(model, registered, given, CELL | cell)


def test_concepts_and_probes_of_another_model_are_refused(model, registered, given, tmp_path):
    with pytest.raises(InputError, match="probes are of another model or task"):
        measuring_of(model, registered | {"digest": "another"}, given)
    narrow = SimpleNamespace(width=model.width - 1, n_layers=model.n_layers)
    with pytest.raises(InputError, match=f"of states of width {model.width - 1}, but this model's have {model.width}"):
        measuring_of(model, registered, given, own=write(tmp_path / "narrow.safetensors", model, drawn(narrow, 1)))
    short = SimpleNamespace(width=model.width, n_layers=model.n_layers - 1)
    with pytest.raises(InputError, match=f"has no block {model.n_layers}"):
        measuring_of(model, registered, given, own=write(tmp_path / "short.safetensors", short, drawn(short, 1)))


def test_a_family_that_goes_on_otherwise_is_found_out(registered, given, tmp_path):
    other = generic.load(registered, "cpu")
    made = measuring_of(other, registered, given)
    (tmp_path / "work").mkdir()
    # As a block that does something else to a single token.
    other.blocks[1].mlp.register_forward_hook(lambda _mlp, args, output: output * (1 if output.shape[1] > 1 else 2))
    with pytest.raises(InputError, match="whole forward pass, more than the rounding of torch"):
        made.make(WorkFolder(tmp_path / "work"))


def test_tasks_of_several_classes_are_erased_only(model, given, tmp_path):
    concept = ConceptFile(given / "other.safetensors")
    plan = measuring.Plan("objects/category", STRENGTHS, "probe", DRAWS)
    runs = planned_runs(plan, concept, {}, model.n_layers, model.device)
    assert set(runs.table["change"]) == {"erase"}
    assert len(runs.table) == model.n_layers * (1 + DRAWS)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda labels: pd.concat([labels, labels]), "has several labels for the item i0-0"),
        (lambda labels: labels.assign(split="train"), "has no test items"),
        (lambda labels: labels.assign(item_id="x" + labels["item_id"]), "the stimuli have no item xi0-0"),
    ],
)
def test_tasks_without_one_label_per_test_item_are_refused(given, change, complaint):
    items, stimuli = read_items(given)
    labels, task = read_task(given)
    with pytest.raises(InputError, match=complaint):
        cell_items(items, stimuli, change(labels), task, CELL)


def test_items_that_share_pictures_are_one_image():
    """Two pictures in both orders: two items with opposite labels, which are sampled and resampled together."""
    orders = [("a", "b"), ("b", "a"), ("c", "d"), ("d", "c"), ("e", "f"), ("f", "e")]
    cells = ["\n".join(order) for order in orders]
    named = {"item_id": list("012345"), "image": cells, "image_sha256": cells, "picture_sha256": cells, "text": "so?"}
    items = pd.DataFrame(named).assign(category=None)
    labels = pd.DataFrame({"item_id": list("012345"), "group": [0, 0, 1, 1, 2, 2], "label": "agrees", "y": [0, 1] * 3})
    stimuli, task = {"categories": [], "digest": "0" * 8}, {"classes": CLASSES}
    chosen = cell_items(items, stimuli, labels.assign(split="test"), task, CELL | {"items": 4})
    assert chosen.rows.groupby("own_image")["y"].agg(sorted).tolist() == [[0, 1], [0, 1]]
    # A group with more items than are asked for is not taken whole.
    all_joined = labels.assign(split="test", group=0)
    some = cell_items(items, stimuli, all_joined, task, CELL | {"items": 4}).rows
    assert (len(some), some["own_image"].nunique()) == (4, 1)


def test_images_stay_whole_and_parts_are_small(given):
    items, stimuli = read_items(given)
    labels, task = read_task(given)
    chosen = cell_items(items, stimuli, labels, task, CELL | {"items": 100})
    assert (chosen.rows["image_sha256"].value_counts() == len(TEXTS)).all()
    assert chosen.parts() == [(0, 16)]
    # Without an image, all texts are shown the same, and parts divide them.
    blank = cell_items(items, stimuli, labels, task, CELL | {"items": 100, "prompt_entry": ENTRY | {"image": "none"}})
    assert set(blank.rows["image"]) == {None}
    assert blank.rows["own_image"].nunique() == 4
    # The sample is the same for every prompt, and another one by another seed.
    some = [set(cell_items(items, stimuli, labels, task, CELL | {"seed": seed}).rows["item_id"]) for seed in range(6)]
    assert len(set(map(frozenset, some))) > 1
    assert cell_items(items, stimuli, labels, task, CELL | {"items": 1}).rows["own_image"].nunique() == 1


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda sweep: replace(sweep, table=sweep.table.assign(block=99)), "row 0 has block = 99"),
        (lambda sweep: replace(sweep, table=sweep.table.assign(mass=1.5)), "row 0 has mass = 1.5"),
        (lambda sweep: replace(sweep, table=sweep.table.assign(pseudo=0)), "row 0 has pseudo = 0"),
        (lambda sweep: replace(sweep, table=sweep.table.assign(pseudo=-1)), r"row \d+ has pseudo = -1"),
        (lambda sweep: replace(sweep, scores=sweep.scores[:, :1]), "scores of 1 classes, but names 2"),
    ],
)
def test_a_damaged_table_is_refused(tables, tmp_path, change, complaint):
    from layerwise.used.results import write_sweep

    _, sweep, _ = tables
    write_sweep(tmp_path / "bad.parquet", change(sweep))
    with pytest.raises(InputError, match=complaint):
        read_sweep(tmp_path / "bad.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"x")
    with pytest.raises(InputError, match="cannot be read as a table of changed runs"):
        read_sweep(tmp_path / "bad.parquet")
