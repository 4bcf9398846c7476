"""Trained routes: small paths that add, at each text's last token, something to the output of the last block.

Three kinds, all for a decoder of L blocks and states of width d. At the start each adds exactly zero.

- ``gates``: the outputs of blocks 1 to L - 1 at the last token, each times a scalar (L - 1 parameters)
- ``map``: a matrix of a low rank r times the output of one block at the last token (2 r d parameters)
- ``attention``: cross-attention from the last token to the image's tokens as one block gives them (4 d parameters per
  dimension of the heads). Tokens have no positions in it.

What a route reads is standardised, and what it adds has the scale of the last block's states, by numbers that are taken
from the training rows and are no parameters. All is computed in float32.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from layerwise.errors import InputError
from layerwise.models.interventions.route_file import KEY, read_about


class Route(nn.Module):
    """What all kinds have in common.

    Attributes:
        kind: its name.
        blocks: the blocks whose outputs it reads at the last token, counted from 1.
        image_block: the block whose output it reads at the image's tokens; None if it reads none.
        shape: what decides its parameters, for the file.
    """

    kind: str

    def __init__(self, shape: Mapping[str, int], blocks: Sequence[int], image_block: int | None = None):
        super().__init__()
        self.shape, self.blocks, self.image_block = dict(shape), list(blocks), image_block

    def forward(
        self, last: Tensor, image: Tensor | None = None, seen: Tensor | None = None, rows: Tensor | None = None
    ) -> Tensor:
        """What is added to the last block's output.

        Args:
            last: outputs of ``blocks`` at the last tokens of n texts, shape (n, blocks, d), float32.
            image: outputs of ``image_block`` for a batch of images, shape (batch, tokens, d), float32.
            seen: which of these tokens are the image's, shape (batch, tokens).
            rows: the image of each text, shape (n,).

        Returns:
            Shape (n, d), float32.
        """
        raise NotImplementedError

    def fit_scales(self, last: Tensor, top: Tensor, image: Tensor | None) -> None:
        """Take the scales from training rows.

        Args:
            last: as in :meth:`forward`.
            top: outputs of the last block, shape (n, d).
            image: states of image tokens, shape (tokens, d); None for a kind that reads none.
        """
        raise NotImplementedError

    @property
    def n_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(parameter.numel() for parameter in self.parameters())


class Gates(Route):
    """A scalar per block. A gate of 1 adds a block's output as it is."""

    kind = "gates"

    def __init__(self, n_layers: int, width: int):
        super().__init__({"n_layers": n_layers, "width": width}, range(1, n_layers))
        # In units in which 1 adds a vector as long as the last block's output, so that all gates learn alike.
        self.scaled = nn.Parameter(torch.zeros(n_layers - 1))
        self.register_buffer("unit", torch.ones(n_layers - 1))

    @property
    def gates(self) -> Tensor:
        """The factor of each block's output, shape (L - 1,)."""
        return self.scaled * self.unit

    def forward(
        self, last: Tensor, image: Tensor | None = None, seen: Tensor | None = None, rows: Tensor | None = None
    ) -> Tensor:
        return torch.einsum("b,nbd->nd", self.gates, last)

    def fit_scales(self, last: Tensor, top: Tensor, image: Tensor | None) -> None:
        self.unit = _size(top) / torch.stack([_size(block) for block in last.unbind(1)])


class Map(Route):
    """A matrix of a low rank: B A x. A starts at random, B at zero."""

    kind = "map"

    def __init__(self, n_layers: int, width: int, source: int, rank: int):
        super().__init__({"n_layers": n_layers, "width": width, "source": source, "rank": rank}, [source])
        self.into_rank = _random(rank, width)
        self.out_of_rank = nn.Parameter(torch.zeros(width, rank))
        self.read = Standardised(width)
        self.register_buffer("unit", torch.ones(()))

    def forward(
        self, last: Tensor, image: Tensor | None = None, seen: Tensor | None = None, rows: Tensor | None = None
    ) -> Tensor:
        return self.unit * (self.read(last[:, 0]) @ self.into_rank.T @ self.out_of_rank.T)

    def fit_scales(self, last: Tensor, top: Tensor, image: Tensor | None) -> None:
        self.read.fit(last[:, 0])
        self.unit = _size(top)


class CrossAttention(Route):
    """Cross-attention with low-rank heads: queries from the last block at the last token, keys and values from the
    image's tokens. The output's matrix starts at zero."""

    kind = "attention"

    def __init__(self, n_layers: int, width: int, source: int, heads: int, size: int):
        shape = {"n_layers": n_layers, "width": width, "source": source, "heads": heads, "size": size}
        super().__init__(shape, [n_layers], source)
        self.heads = heads
        self.queries, self.keys, self.values = (_random(heads * size, width) for _ in range(3))
        self.out = nn.Parameter(torch.zeros(width, heads * size))
        self.read_last, self.read_image = Standardised(width), Standardised(width)
        self.register_buffer("unit", torch.ones(()))

    def forward(
        self, last: Tensor, image: Tensor | None = None, seen: Tensor | None = None, rows: Tensor | None = None
    ) -> Tensor:
        if image is None or seen is None:
            raise ValueError("attention reads the image's tokens, and is given none")
        of_image = self.read_image(image)
        queries = (self.read_last(last[:, 0]) @ self.queries.T).unflatten(-1, (self.heads, -1))
        # Projected before images are repeated for their texts: heads are much narrower than states.
        keys, values = (
            (of_image @ matrix.T).unflatten(-1, (self.heads, -1))[rows] for matrix in (self.keys, self.values)
        )
        scores = torch.einsum("nhs,nths->nht", queries, keys) / queries.shape[-1] ** 0.5
        weights = scores.masked_fill(~seen[rows][:, None], float("-inf")).softmax(-1)
        return self.unit * (torch.einsum("nht,nths->nhs", weights, values).flatten(1) @ self.out.T)

    def fit_scales(self, last: Tensor, top: Tensor, image: Tensor | None) -> None:
        if image is None:
            raise ValueError("attention reads the image's tokens, and is given none")
        self.read_last.fit(last[:, 0])
        self.read_image.fit(image)
        self.unit = _size(top)


class Standardised(nn.Module):
    """States with mean 0 and standard deviation 1 in every dimension; dimensions that are constant become 0."""

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def fit(self, states: Tensor) -> None:
        """Take mean and deviation from training rows, shape (n, d)."""
        states = states.double()
        deviation, mean = states.std(0, correction=0), states.mean(0)
        # A deviation no greater than float32's rounding of the mean is that of a constant.
        varies = deviation > 1e-6 * mean.abs()
        self.mean = mean.float()
        self.scale = torch.where(varies, 1 / deviation.clamp_min(torch.finfo(torch.float32).tiny), 0).float()

    def forward(self, states: Tensor) -> Tensor:
        return (states - self.mean) * self.scale


def _random(rows: int, width: int) -> nn.Parameter:
    """A matrix that keeps the scale of standardised states."""
    return nn.Parameter(torch.randn(rows, width) / width**0.5)


def _size(states: Tensor) -> Tensor:
    """The root mean square of states, a scalar tensor."""
    return states.double().square().mean().sqrt().float()


ROUTES: dict[str, Callable[..., Route]] = {route.kind: route for route in (Gates, Map, CrossAttention)}


def build_route(kind: str, shape: Mapping[str, int]) -> Route:
    """A route that adds nothing yet. Its random matrices come from torch's own generator."""
    return ROUTES[kind](**shape)


def write_route(path: Path, route: Route, about: Mapping[str, Any]) -> None:
    """Write a route.

    Args:
        path: of the file.
        route: the trained route.
        about: what it was trained on, as JSON has it.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in route.state_dict().items()}
    told = {"kind": route.kind, "shape": route.shape, "parameters": route.n_parameters, **about}
    save_file(tensors, path, {KEY: json.dumps(told)})


def read_route(path: str | Path) -> Route:
    """Read a route.

    Raises:
        InputError: when the file is missing, damaged, or holds no route.
    """
    return _read(str(path), Path(path).stat().st_mtime_ns if Path(path).exists() else 0)


@lru_cache(maxsize=4)
def _read(path: str, _changed: int) -> Route:
    """Cached, because the hooks are set anew for every forward pass."""
    about = read_about(path)
    try:
        # The weights are drawn at random and then replaced; nobody else's draws may move.
        with torch.random.fork_rng(devices=[]):
            route = build_route(about["kind"], about["shape"])
        with safe_open(path, framework="pt") as file:
            route.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"{path}: damaged, or no trained route ({error}); delete it and run again") from error
    return route.eval().requires_grad_(False)
