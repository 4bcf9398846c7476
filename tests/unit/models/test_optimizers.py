"""The optimiser of the embedded model against torch's own, and what no step may run in."""

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from layerwise.models.embedded.optimizers import Muon, orthogonal
from layerwise.models.embedded.training import Plan, train

SHAPES = ((64, 64), (64, 64), (96, 64), (64, 128))


def test_muon_takes_the_steps_of_torchs_own_but_for_its_rounding():
    generator = torch.Generator().manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]
    theirs = [torch.nn.Parameter(matrix.detach().clone()) for matrix in ours]
    start = [matrix.detach().clone() for matrix in ours]
    pairs = ((Muon(ours, lr=0.02), ours), (torch.optim.Muon(theirs, lr=0.02, momentum=0.95, weight_decay=0.0), theirs))
    for _ in range(5):
        gradients = [torch.randn(shape, generator=generator) for shape in SHAPES]
        for optimizer, matrices in pairs:
            for matrix, gradient in zip(matrices, gradients, strict=True):
                matrix.grad = gradient.clone()
            optimizer.step()
    for mine, other, first in zip(ours, theirs, start, strict=True):
        assert (mine - other).norm() < 0.02 * (other - first).norm()


def test_a_matrix_without_a_gradient_stays_as_it_is():
    matrix = torch.nn.Parameter(torch.ones(3, 3))
    Muon([matrix], lr=1.0).step()
    assert torch.equal(matrix, torch.ones(3, 3))


def test_singular_values_come_near_one_and_singular_vectors_stay():
    matrices = torch.randn((3, 40, 24), generator=torch.Generator().manual_seed(1))
    made = orthogonal(matrices)
    for matrix, result in zip(matrices, made, strict=True):
        left, _, right = np.linalg.svd(matrix.numpy(), full_matrices=False)
        values = left.T @ result.numpy() @ right.T
        assert np.abs(values - np.diag(np.diag(values))).max() < 1e-4
        assert 0.6 < np.diag(values).min() <= np.diag(values).max() < 1.3


def test_no_step_of_training_runs_in_half_precision():
    # A processor without such instructions takes several times as long for each of them.
    seen: set[torch.dtype] = set()

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            seen.update(leaf.dtype for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor))
            return result

    with Watch():
        train(0, Plan().scaled(0.001), lambda *_: None)
    assert torch.float32 in seen
    assert not seen & {torch.bfloat16, torch.float16}
