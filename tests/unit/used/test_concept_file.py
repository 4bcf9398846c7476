"""The file of a concept: what is written is read, a block at a time; what is wrong is refused in one line."""

import numpy as np
import pytest
import torch

from layerwise.errors import InputError
from layerwise.models.interventions.affine import changed
from layerwise.models.interventions.concept_file import Concept, ConceptFile, Steering, write_concept

WIDTH, DRAWS = 12, 3


def concept(seed: int, n_classes: int = 2, steer: tuple[str, ...] = ("probe", "means")) -> Concept:
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal((*shape, WIDTH)).astype(np.float32)

    rank, margins = n_classes - 1, 1 if n_classes == 2 else n_classes
    return Concept(
        mean=draw(),
        erase=(draw(rank), draw(rank)),
        control=(draw(DRAWS, rank), draw(DRAWS, rank)),
        steer={name: Steering(draw(margins), rng.random(margins).astype(np.float32)) for name in steer},
        control_steer=draw(DRAWS),
    )


def told(n_classes: int = 2, **other) -> dict:
    classes = [f"c{k}" for k in range(n_classes)]
    cell = {"model_digest": "m", "position": "last"}
    return {"blocks": [2, 3], "position": "last", "classes": classes, "cell": cell, "draws": DRAWS, "seed": 0} | other


@pytest.mark.parametrize("n_classes", [2, 4])
def test_each_block_is_read_as_it_was_written(tmp_path, n_classes):
    written = [concept(block, n_classes) for block in (2, 3)]
    write_concept(tmp_path / "a.safetensors", told(n_classes), written)
    file = ConceptFile(tmp_path / "a.safetensors", {"model_digest": "m"})
    assert (file.blocks, file.steer, file.draws) == ([2, 3], ["means", "probe"], DRAWS)
    assert (file.width, file.rank, file.position) == (WIDTH, n_classes - 1, "last")
    for block, wanted in zip((2, 3), written, strict=True):
        found = file.block(block)
        np.testing.assert_equal(vars(found) | {"steer": 0}, vars(wanted) | {"steer": 0})
        np.testing.assert_equal(
            {name: vars(each) for name, each in found.steer.items()},
            {name: vars(each) for name, each in wanted.steer.items()},
        )


def test_controls_and_directions_may_be_missing(tmp_path):
    made = concept(0, steer=())
    bare = Concept(made.mean, made.erase, (np.empty((0, 1, WIDTH)), np.empty((0, 1, WIDTH))))
    write_concept(tmp_path / "a.safetensors", told(blocks=[5], draws=0), [bare])
    found = ConceptFile(tmp_path / "a.safetensors").block(5)
    assert (found.steer, found.control[0].shape, found.control_steer.shape) == ({}, (0, 1, WIDTH), (0, WIDTH))


def test_changes_are_the_affine_form_in_numpy_and_torch():
    made, states = concept(0, 4), np.random.default_rng(9).standard_normal((5, 7, WIDTH)).astype(np.float32)
    for change, (from_, to) in (
        (made.erased(), made.erase),
        (made.erased(1), (made.control[0][1], made.control[1][1])),
    ):
        wanted = states.copy()
        for k in range(3):
            wanted -= ((states - made.mean) @ from_[k])[..., None] * to[k]
        assert change.of(states) == pytest.approx(wanted, abs=1e-4)
        in_torch = changed(*map(torch.from_numpy, (states, change.from_, change.to, change.mean, change.shift)))
        assert in_torch.numpy() == pytest.approx(wanted, abs=1e-4)
    steered = made.steered("probe", -2, toward=1)
    shift = -2 * made.steer["probe"].deviation[1] * made.steer["probe"].direction[1]
    assert steered.of(states) == pytest.approx(states + shift, abs=1e-6)
    control = made.steered("probe", -2, toward=1, draw=2)
    assert control.shift == pytest.approx(-2 * made.steer["probe"].deviation[1] * made.control_steer[2])


def test_each_row_of_a_batch_may_have_a_change_of_its_own():
    both = [concept(seed, 4) for seed in (0, 1)]
    hidden = torch.from_numpy(np.random.default_rng(9).standard_normal((2, WIDTH)).astype(np.float32))
    stacked = [
        torch.stack([torch.from_numpy(getattr(each.erased(), name)) for each in both])
        for name in ("from_", "to", "mean", "shift")
    ]
    found = changed(hidden, *stacked)
    for row, each in enumerate(both):
        assert found[row].numpy() == pytest.approx(each.erased().of(hidden[row : row + 1].numpy())[0], abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_change_of_nothing_leaves_every_bit(dtype):
    hidden = (torch.randn(50, WIDTH) * 400).to(dtype)
    hidden[0] = -0.0
    zeros, made = torch.zeros(2, WIDTH), torch.randn(2, WIDTH)
    for from_, to in ((made, zeros), (zeros[:0], zeros[:0]), (zeros, made)):
        found = changed(hidden, from_, to, torch.randn(WIDTH), torch.zeros(WIDTH))
        assert found.dtype == dtype
        assert found.view(torch.uint8).equal(hidden.view(torch.uint8))
    states = hidden.float().numpy()
    none = Concept(made[0].numpy(), (made.numpy(), zeros.numpy()), (zeros[None].numpy(), zeros[None].numpy())).erased()
    assert none.of(states).tobytes() == states.tobytes()


def test_half_precision_is_computed_in_float32():
    """In bfloat16, 400 plus a tenth is 400, so that a small spread about a large mean would be lost."""
    mean = torch.full((WIDTH,), 400.0)
    hidden = (mean + 8 * torch.randn(100, WIDTH)).to(torch.bfloat16)
    from_ = torch.randn(1, WIDTH) / 10
    to, shift = torch.randn(1, WIDTH), torch.zeros(WIDTH)
    exact = changed(hidden.double(), from_.double(), to.double(), mean.double(), shift.double())
    # Half a unit in the last place of 512: what is lost is the rounding of the result alone.
    assert (changed(hidden, from_, to, mean, shift).double() - exact).abs().max() <= 2.01


def test_missing_damaged_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(InputError, match=r"a.safetensors: there is no such file; fit the concept first"):
        ConceptFile(path)
    write_concept(path, told(), [concept(2), concept(3)])
    with pytest.raises(InputError, match=r"was fitted on another cell \(model_digest differs\); delete it"):
        ConceptFile(path, {"model_digest": "other", "position": "last"})
    with pytest.raises(InputError, match="has no block 4; it has 2, 3"):
        ConceptFile(path).block(4)
    whole = path.read_bytes()
    for damaged in (whole[:-40], whole[:100], b"", b"not a concept" * 100):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"a.safetensors: damaged, or no concept .*; delete it and run again"):
            ConceptFile(path)
    write_concept(path, told(3), [concept(2), concept(3)])
    with pytest.raises(InputError, match=r"steer.means has the shape \[2, 1, 12\] instead of \[2, 3, 12\]"):
        ConceptFile(path)


def test_a_writer_that_gives_other_blocks_than_it_says_is_stopped(tmp_path):
    with pytest.raises(ValueError, match="a concept of 1 blocks, told of 2"):
        write_concept(tmp_path / "a.safetensors", told(), [concept(2)])
    assert not (tmp_path / "a.safetensors").exists()
