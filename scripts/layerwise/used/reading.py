"""What the kept probes of a cell find in outputs of blocks, computed where the states are."""

from collections.abc import Sequence

import torch
from torch import Tensor

from layerwise.errors import InputError
from layerwise.probes.kept import KeptProbes
from layerwise.used.sweep import Read


class Reading:
    """Probes of all blocks, on the blocks' devices.

    Args:
        probes: of the cell.
        classes: of its task.
        model_digest: of the model whose states are read.
        devices: of the blocks.

    Raises:
        InputError: when the probes are of another model or task, or lack a block.
    """

    def __init__(self, probes: KeptProbes, classes: Sequence[str], model_digest: str, devices: Sequence[torch.device]):
        if probes.classes != list(classes) or probes.cell.get("model_digest") != model_digest:
            raise InputError(f"{probes.path}: its probes are of another model or task; fit them again")
        self._labels = probes.labels
        self._blocks = []
        for block, device in enumerate(devices, start=1):
            name = f"block {block}"
            if name not in probes.layers:
                raise InputError(f"{probes.path}: has no probe of {name}; fit the probes again")
            layer = probes.layer(probes.layers.index(name))
            self._blocks.append((torch.from_numpy(layer.weights).to(device), torch.from_numpy(layer.bias).to(device)))

    def of(self, label: str) -> Read:
        """The margins that the probes of a label give, see :data:`layerwise.used.sweep.Read`; computed in float64.

        Raises:
            InputError: when there is no such label.
        """
        if label not in self._labels:
            raise InputError(f"there is no kept probe of the label {label!r}; there are {', '.join(self._labels)}")
        place = self._labels.index(label)

        def read(block: int, states: Tensor) -> Tensor:
            weights, bias = (part[place].to(states.device, torch.float64) for part in self._blocks[block - 1])
            return states.double() @ weights.T + bias

        return read
