"""Read a vision tower block by block: the mean over a picture's patches, and its class token where there is one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from layerwise.errors import InputError
from layerwise.models.families import family_of
from layerwise.models.frozen import AnsweringModel, FrozenModel, hidden_out
from layerwise.models.parts import BLOCKS
from layerwise.models.tower_names import CLASS_TOKEN, PATCH_MEAN

# What families name a list of blocks within a tower, beside those of decoders.
LISTS = (*BLOCKS, "layer", "encoder_layers")
# What families name the vectors that a tower puts before the patches, or behind them.
CLASS_TOKENS = ("class_embedding", "cls_token", "cls_register_token")
REGISTERS = ("register_tokens", "reg_token")


@dataclass(frozen=True)
class TowerPart:
    """A list of blocks that run one after the other.

    Attributes:
        blocks: from the lowest up.
        n_class: class tokens among the tokens of these blocks, 0 or 1.
        n_beside: class token and registers together, which are no patches.
    """

    blocks: Sequence[nn.Module]
    n_class: int
    n_beside: int


class VisionTower:
    """The vision blocks of a model, in the order in which they run.

    Depths count blocks from 1; depth 0 is what enters the first one, the embeddings of the patches.

    Args:
        model: without an intervention.

    Attributes:
        parts: the lists of blocks.
        n_blocks: of all of them together.

    Raises:
        InputError: when no list of vision blocks is found, which names the family.
    """

    def __init__(self, model: FrozenModel):
        self._type = model.model_type
        family = family_of(self._type)
        reason = family.no_tower or ("" if isinstance(model, AnsweringModel) else "it runs on its authors' code")
        if reason:
            raise _unread(self._type, reason)
        assert isinstance(model, AnsweringModel)
        self._class_is_last = family.class_token_last
        self.parts = _parts(model)
        if not self.parts:
            raise _unread(self._type, "no list of vision blocks is found in it")
        self.n_blocks = sum(len(part.blocks) for part in self.parts)

    @property
    def poolings(self) -> list[list[str]]:
        """By depth the ways of pooling: patch-mean, and class-token where there is one.

        What enters the first block is the same class token for all pictures.
        """
        of_blocks = [[*[CLASS_TOKEN] * part.n_class, PATCH_MEAN] for part in self.parts for _ in part.blocks]
        return [[PATCH_MEAN], *of_blocks]

    @contextmanager
    def read(self) -> Iterator["TowerReadings"]:
        """Hook the blocks while pictures are run, and always unhook them."""
        readings = TowerReadings(self.n_blocks, self._class_is_last, self._type)
        handles = []
        try:
            depth = 0
            for part in self.parts:
                for block in part.blocks:
                    depth += 1
                    handles += readings.hook(block, depth, part)
            yield readings
        finally:
            for handle in handles:
                handle.remove()


@dataclass
class _Sum:
    """Over the patches at one depth, and over its class tokens: sums by picture, float32, and how many there were."""

    patches: list[Tensor] = field(default_factory=list)
    n_patches: list[Tensor] = field(default_factory=list)
    classes: list[Tensor] = field(default_factory=list)


class TowerReadings:
    """What hooks have read of one run of the tower: sums over patches, row by row of what the blocks get."""

    def __init__(self, n_blocks: int, class_is_last: bool, model_type: str):
        self._class_is_last, self._type = class_is_last, model_type
        self._sums = [_Sum() for _ in range(n_blocks + 1)]

    def hook(self, block: nn.Module, depth: int, part: TowerPart) -> list[Any]:
        """Read a block's output, and the first block's input too. Returns the handles."""
        shown: list[Tensor | None] = []

        def before(_block: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
            hidden = _entering(args, kwargs)
            shown[:] = [_present(_mask(args, kwargs), hidden)]
            if depth == 1:
                self._add(0, hidden, shown[0], part)

        def after(_block: nn.Module, _args: tuple, output: Any) -> None:
            self._add(depth, hidden_out(output), shown[0], part)

        return [block.register_forward_pre_hook(before, with_kwargs=True), block.register_forward_hook(after)]

    def _add(self, depth: int, hidden: Tensor, present: Tensor | None, part: TowerPart) -> None:
        if not 2 <= hidden.dim() <= 4:
            raise _unread(self._type, f"its vision blocks give tensors of {hidden.dim()} dimensions")
        # Patches of all pictures in one row, or in rows and columns of a grid.
        rows = (hidden[None] if hidden.dim() == 2 else hidden.flatten(1, -2)).float()
        if present is not None and present.shape[1] != rows.shape[1]:
            # A block that merges patches keeps no padding.
            present = None
        first = 0 if self._class_is_last else part.n_beside
        last = rows.shape[1] - (part.n_beside if self._class_is_last else 0)
        patches = rows[:, first:last]
        weights = torch.ones_like(patches[..., 0]) if present is None else present[:, first:last].float()
        found = self._sums[depth]
        found.patches.append(torch.einsum("rpw,rp->rw", patches, weights.expand(patches.shape[:2])).cpu())
        found.n_patches.append(weights.expand(patches.shape[:2]).sum(1).cpu())
        if part.n_class and depth:
            found.classes.append(rows[:, -1 if self._class_is_last else 0].cpu())

    def of_pictures(self, n_pictures: int) -> list[dict[str, Tensor]] | None:
        """By depth the states of each picture by pooling, each of shape (n_pictures, width), float32.

        None where the tower's rows are not the pictures, because it cuts a picture into tiles, say, or puts all patches
        into one row. Then each picture must run by itself: all that the tower runs belongs to it.
        """
        if n_pictures > 1 and any(len(rows) != n_pictures for found in self._sums for rows in found.patches):
            return None
        depths = []
        for depth, found in enumerate(self._sums):
            if not found.patches:
                raise _unread(self._type, f"its vision block {depth} does not run")
            by_picture = (lambda rows: rows) if n_pictures > 1 else (lambda rows: rows.sum(0, keepdim=True))
            total = torch.stack([by_picture(rows) for rows in found.patches]).sum(0)
            count = torch.stack([by_picture(rows) for rows in found.n_patches]).sum(0)
            states = {PATCH_MEAN: total / count[:, None]}
            if found.classes:
                n_rows = sum(len(rows) for rows in found.classes) / n_pictures
                classes = torch.stack([by_picture(rows) for rows in found.classes]).sum(0)
                states[CLASS_TOKEN] = classes / n_rows
            depths.append(states)
        return depths


def _parts(model: AnsweringModel) -> list[TowerPart]:
    """The tower's lists of blocks, in the order of its modules, which is that in which they run."""
    encoder = model.model.get_encoder(modality="image")
    if encoder is model.model or encoder is model.model.base_model:
        return []
    in_decoder = set(map(id, model.decoder.modules()))
    named = {name: module for name, module in encoder.named_modules() if id(module) not in in_decoder}
    lists = {
        name: list(module.children())
        for name, module in named.items()
        if isinstance(module, nn.ModuleList | nn.Sequential) and name.rpartition(".")[2] in LISTS and len(module)
    }
    outer = [name for name in lists if not any(name.startswith(f"{other}.") for other in lists)]
    vectors = dict(encoder.named_parameters())
    parts = []
    for name in outer:
        own = {
            vector.rpartition(".")[2]: parameter
            for vector, parameter in vectors.items()
            # The embeddings are a module of their own beside the encoder that holds the blocks.
            if f"{name}.".startswith(_home(vector))
        }
        classes = next((own[one] for one in CLASS_TOKENS if one in own), None)
        # A class token and registers may be rows of one parameter.
        n_class = 0 if classes is None else 1
        n_beside = 0 if classes is None else _rows(classes)
        n_beside += sum(_rows(own[one]) for one in REGISTERS if one in own)
        parts.append(TowerPart(lists[name], n_class, n_beside))
    return parts


def _home(vector: str) -> str:
    """The module that a vector belongs to, as the beginning of a name: that which holds the embeddings."""
    owner = vector.rpartition(".")[0]
    if owner.rpartition(".")[2].endswith("embeddings"):
        owner = owner.rpartition(".")[0]
    return f"{owner}." if owner else ""


def _rows(parameter: Tensor) -> int:
    """How many vectors a parameter holds."""
    return parameter.numel() // parameter.shape[-1]


def _entering(args: tuple, kwargs: dict[str, Any]) -> Tensor:
    """The states among the inputs of a block, however its family calls them."""
    named = (kwargs[name] for name in ("hidden_states", "hidden_state") if name in kwargs)
    return args[0] if args else next(named)


def _mask(args: tuple, kwargs: dict[str, Any]) -> Tensor | None:
    """What a block is told of which patches are padding, if anything."""
    found = kwargs.get("attention_mask", args[1] if len(args) > 1 else None)
    return found if isinstance(found, Tensor) else None


def _present(mask: Tensor | None, hidden: Tensor) -> Tensor | None:
    """Which tokens are no padding, shape (rows or 1, tokens): those that some token may attend to. None for all."""
    if mask is None or hidden.dim() != 3 or mask.dim() not in (2, 4) or mask.shape[-1] != hidden.shape[1]:
        return None
    # Masks that are added have 0 where a token is seen.
    seen = mask if mask.dtype == torch.bool else (mask >= 0 if mask.dim() == 4 else mask > 0)
    return seen if mask.dim() == 2 else seen.any(dim=2).any(dim=1)


def _unread(model_type: str, reason: str) -> InputError:
    return InputError(
        f"the vision tower of a model of type {model_type} cannot be read block by block: {reason}; name the other "
        "models in tower.models"
    )
