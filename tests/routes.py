"""Routes that were trained on nothing: random weights, to try what they do to states."""

from pathlib import Path

import torch

from layerwise.models.frozen import FrozenModel
from layerwise.models.interventions.route_paths import build_route, write_route

# What decides each kind's parameters besides the decoder, which has three blocks or more.
SHAPES = {
    "gates": {},
    "map": {"source": 1, "rank": 2},
    "attention": {"source": 2, "heads": 2, "size": 3},
}


def random_route(file: Path, kind: str, model: FrozenModel, trained: bool = True) -> Path:
    """Write a route for a model, and return its path.

    Args:
        file: to write.
        kind: of :data:`SHAPES`.
        model: whose decoder it fits.
        trained: whether all of its numbers are random; otherwise it is new and adds nothing.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        route = build_route(kind, SHAPES[kind] | {"n_layers": model.n_layers, "width": model.width})
        if trained:
            for tensor in [*route.parameters(), *route.buffers()]:
                torch.nn.init.normal_(tensor.data) if tensor.dim() else tensor.data.fill_(0.7)
    write_route(file, route, {"cell": {}})
    return file
