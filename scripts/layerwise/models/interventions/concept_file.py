"""A concept as numbers, to erase it from hidden states or to steer along it: ``{prompt}.concept.safetensors``.

Tensors, float32, with the blocks as their first axis (B blocks, width d, rank r, M margins, D draws):

- ``mean``: (B, d), of the training rows
- ``erase.from``, ``erase.to``: (B, r, d); r is K - 1 for K classes
- ``control.from``, ``control.to``: (B, D, r, d), erasers of random concepts
- ``steer.NAME``: (B, M, d), unit vectors of one kind; M is 1 for two classes (toward the second), else K (toward each).
  NAME is ``probe`` (the kept probe) or ``means`` (the class means)
- ``steer.NAME.deviation``: (B, M), standard deviation of the training rows along them
- ``control.steer``: (B, D, d), random unit vectors

The metadata ``concept`` are JSON: ``blocks`` (numbers of the blocks, from 1), ``position``, ``classes``, ``cell`` (what
the concept was fitted on, by content), ``draws``, ``seed`` and what else the writer says. A file may lack the controls,
or kinds of directions.

A change takes a state x to ``x - sum_k (from_k . (x - mean)) to_k + shift``. Erasing has no shift, and steering has no
``from``.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from layerwise.errors import InputError

# Names of the kinds of directions start with this, and those of their deviations end with that.
STEER, DEVIATION = "steer.", ".deviation"
TOLD = ("blocks", "position", "classes", "cell", "draws", "seed")


@dataclass(frozen=True)
class Change:
    """What is done to a state x: ``x - sum_k (from_k . (x - mean)) to_k + shift``.

    Attributes:
        from_, to: shape (r, d).
        mean, shift: shape (d,).
    """

    from_: np.ndarray
    to: np.ndarray
    mean: np.ndarray
    shift: np.ndarray

    def of(self, states: np.ndarray) -> np.ndarray:
        """Changed states, shape (..., d), in their own precision; computed in float32 at least."""
        exact = states.astype(np.promote_types(states.dtype, np.float32), copy=False)
        added = self.shift - ((exact - self.mean) @ self.from_.T) @ self.to
        # Where nothing is added, not even the sign of a zero changes.
        return np.where(added == 0, states, (exact + added).astype(states.dtype))


@dataclass(frozen=True)
class Steering:
    """Directions of one kind.

    Attributes:
        direction: unit vectors, shape (M, d): one for two classes, toward the second; else one toward each.
        deviation: of the training rows along them, shape (M,).
    """

    direction: np.ndarray
    deviation: np.ndarray


@dataclass(frozen=True)
class Concept:
    """A concept at the output of one block.

    Attributes:
        mean: of the training rows, shape (d,).
        erase: ``from`` and ``to`` of the eraser, each of shape (r, d).
        control: those of the control erasers, each of shape (D, r, d); D is 0 where there are none.
        steer: by name (``probe``, ``means``), directions.
        control_steer: control directions, unit vectors, shape (D, d).
    """

    mean: np.ndarray
    erase: tuple[np.ndarray, np.ndarray]
    control: tuple[np.ndarray, np.ndarray]
    steer: dict[str, Steering] = field(default_factory=dict)
    control_steer: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def erased(self, draw: int | None = None) -> Change:
        """The change that erases.

        Args:
            draw: which control takes the concept's place. Default - none does.
        """
        from_, to = self.erase if draw is None else (part[draw] for part in self.control)
        return Change(from_, to, self.mean, np.zeros_like(self.mean))

    def steered(self, along: str, strength: float, toward: int = 0, draw: int | None = None) -> Change:
        """The change that steers.

        Args:
            along: kind of direction.
            strength: in standard deviations of the training rows along the direction.
            toward: which of the M directions: 0 for two classes, else the class.
            draw: which control direction takes its place, for a change of the same norm. Default - none does.
        """
        steering = self.steer[along]
        direction = steering.direction[toward] if draw is None else self.control_steer[draw]
        shift = np.asarray(strength * steering.deviation[toward] * direction, self.mean.dtype)
        nothing = np.zeros((0, len(self.mean)), self.mean.dtype)
        return Change(nothing, nothing, self.mean, shift)


def write_concept(path: str | Path, told: Mapping[str, Any], concepts: Iterable[Concept]) -> None:
    """Write a concept.

    Args:
        path: of the file.
        told: its metadata, with the keys that this module's docstring names.
        concepts: at each of ``told["blocks"]``, in this order. All have tensors of the same names and shapes.
    """
    tensors: dict[str, np.ndarray] = {}
    n_blocks, written = len(told["blocks"]), 0
    for place, concept in enumerate(concepts):
        for name, numbers in _named(concept).items():
            if place == 0:
                tensors[name] = np.zeros((n_blocks, *numbers.shape), np.float32)
            tensors[name][place] = numbers
        written += 1
    lacking = [key for key in TOLD if key not in told]
    if lacking or written != n_blocks:
        raise ValueError(f"a concept of {written} blocks, told of {n_blocks}; lacking: {lacking}")
    save_file(tensors, path, {"concept": json.dumps(dict(told), sort_keys=True)})


class ConceptFile:
    """Read a concept, a block at a time. Only the numbers that are asked for come into memory.

    Attributes:
        path: of the file.
        told: its metadata.
        blocks: numbers of the blocks, from 1.
        position: of the states.
        classes: names.
        cell: what it was fitted on.
        draws: controls of each kind.
        steer: kinds of directions that it has.
        width: d.
        rank: r.
    """

    def __init__(self, path: str | Path, made_from: Mapping[str, Any] | None = None):
        """
        Args:
            path: of the file.
            made_from: what its ``cell`` must hold, by key. Default - this is not checked.

        Raises:
            InputError: when the file is missing, damaged, or of another cell.
        """
        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(f"{path}: there is no such file; fit the concept first")
        try:
            self._file = safe_open(path, framework="np")
            self.told: dict[str, Any] = json.loads(self._file.metadata()["concept"])
            self.blocks = [int(block) for block in self.told["blocks"]]
            self.classes = [str(name) for name in self.told["classes"]]
            self.position, self.cell = str(self.told["position"]), dict(self.told["cell"])
            self._shapes = {name: list(self._file.get_slice(name).get_shape()) for name in self._file.keys()}  # noqa: SIM118
            _, self.rank, self.width = self._shapes["erase.from"]
            self.draws = int(self.told["draws"])
            self._check_shapes()
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: damaged, or no concept ({error}); delete it and run again") from error
        kinds = [name.removeprefix(STEER) for name in self._shapes if name.startswith(STEER)]
        self.steer = sorted(name for name in kinds if not name.endswith(DEVIATION))
        other = [key for key, value in (made_from or {}).items() if self.cell.get(key) != value]
        if other:
            raise InputError(
                f"{path}: was fitted on another cell ({', '.join(other)} {'differ' if len(other) > 1 else 'differs'}); "
                "delete it and run again"
            )

    def block(self, block: int) -> Concept:
        """The concept at the output of a block.

        Args:
            block: its number, from 1.

        Raises:
            InputError: when the file has no such block, or has been cut off since it was opened.
        """
        if block not in self.blocks:
            raise InputError(f"{self.path}: has no block {block}; it has {', '.join(map(str, self.blocks))}")
        place = self.blocks.index(block)
        try:
            found = {name: self._file.get_slice(name)[place] for name in self._shapes}
        except (OSError, SafetensorError) as error:
            raise InputError(f"{self.path}: cannot be read ({error}); delete it and run again") from error
        none = np.empty((0, self.rank, self.width), np.float32)
        return Concept(
            mean=found["mean"],
            erase=(found["erase.from"], found["erase.to"]),
            control=(found.get("control.from", none), found.get("control.to", none)),
            steer={name: Steering(found[STEER + name], found[STEER + name + DEVIATION]) for name in self.steer},
            control_steer=found.get("control.steer", none[:, 0]),
        )

    def _check_shapes(self) -> None:
        blocks, r, d, draws = len(self.blocks), self.rank, self.width, self.draws
        wanted = {"mean": [blocks, d], "erase.from": [blocks, r, d], "erase.to": [blocks, r, d]}
        if draws:
            wanted |= {"control.from": [blocks, draws, r, d], "control.to": [blocks, draws, r, d]}
            wanted |= {"control.steer": [blocks, draws, d]} if "control.steer" in self._shapes else {}
        margins = 1 if len(self.classes) == 2 else len(self.classes)
        for name in self._shapes:
            if name.startswith(STEER) and not name.endswith(DEVIATION):
                wanted |= {name: [blocks, margins, d], name + DEVIATION: [blocks, margins]}
        for name, shape in wanted.items():
            if self._shapes[name] != shape:
                raise ValueError(f"{name} has the shape {self._shapes[name]} instead of {shape}")


def _named(concept: Concept) -> dict[str, np.ndarray]:
    """The tensors of one block, by their names in the file."""
    found = {"mean": concept.mean, "erase.from": concept.erase[0], "erase.to": concept.erase[1]}
    if len(concept.control[0]):
        found |= {"control.from": concept.control[0], "control.to": concept.control[1]}
    if len(concept.control_steer):
        found["control.steer"] = concept.control_steer
    for name, steering in concept.steer.items():
        found |= {STEER + name: steering.direction, STEER + name + DEVIATION: steering.deviation}
    return found
