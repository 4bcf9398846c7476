"""Fit the concept of a task at the output of each block, from the states of one cell, a layer at a time."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from layerwise.errors import InputError
from layerwise.models.interventions.concept_file import Concept, Steering
from layerwise.probes.kept import KeptProbes, LayerProbe
from layerwise.probes.problems import in_blocks
from layerwise.states.cells import content_of
from layerwise.stimuli.parts import SPLITS
from layerwise.used.concepts.erasers import Covariance, Eraser
from layerwise.used.concepts.labelled import Labelled
from layerwise.used.concepts.moments import Moments, one_hot
from layerwise.used.concepts.remaining import Rows, remaining, score
from layerwise.used.concepts.steering import along_means, along_probe, unit


class FittedConcept:
    """A concept that is fitted block by block, in any order; controls of a block do not depend on other blocks.

    Attributes:
        concepts: at each block so far, as the file holds them.
    """

    def __init__(self, labelled: Labelled, cell: Mapping[str, Any], draws: int, seed: int):
        """
        Args:
            labelled: the rows of the states.
            cell: what they are, see :func:`concept_cell`.
            draws: controls of each kind.
            seed: of the controls, and of the rows that probes are fitted to again.
        """
        self.concepts: list[Concept] = []
        self._labelled, self._cell, self._draws, self._seed = labelled, dict(cell), draws, seed
        self._blocks: list[int] = []
        self._shrinkage: list[float] = []
        self._held_out: dict[str, list[float | None]] = {}
        self._rows = by_split(labelled)
        self._probed = self._rows

    def block(self, block: int, states: np.ndarray, probe: LayerProbe) -> None:
        """Fit the concept at the output of one block.

        Args:
            block: its number, from 1.
            states: its outputs, shape (all rows, d), float32.
            probe: the kept probe that reads it.

        Raises:
            InputError: when a state is not finite.
        """
        moments, rng = self._moments(block, states), np.random.default_rng([self._seed, block])
        covariance = Covariance(moments)
        eraser = covariance.eraser()
        controls = [covariance.control(rng, eraser) for _ in range(self._draws)]
        steer = {"probe": along_probe(probe, covariance), "means": along_means(moments, covariance)}
        concept = _as_float32(eraser, controls, steer, unit(covariance.draw(rng, self._draws)))
        self._probed = self._rows.sample(states.shape[1], self._seed)
        scores = {"before": self._before(states, probe)}
        scores |= remaining(states, self._probed, concept.erased(), float(np.median(probe.C)))
        self.concepts.append(concept)
        self._blocks.append(block)
        self._shrinkage.append(covariance.shrinkage)
        for name, value in scores.items():
            self._held_out.setdefault(name, []).append(value)

    @property
    def told(self) -> dict[str, Any]:
        """The file's metadata. ``held_out`` has scores of probes, by block.

        ``before`` is the kept probe's, on the test rows as they are. The others are those of
        :func:`layerwise.used.remaining.remaining`. ``rows`` says to how many rows of each split probes were fitted.
        """
        held_out: dict[str, Any] = {"metric": self._rows.metric.name, **self._held_out}
        held_out["rows"] = {split: len(rows) for split, rows in self._probed.rows.items()}
        told = {"blocks": self._blocks, "position": self._cell["position"], "classes": self._labelled.classes}
        told |= {"cell": self._cell, "draws": self._draws, "seed": self._seed}
        rows = {split: len(rows) for split, rows in self._rows.rows.items()}
        return told | {"rows": rows, "shrinkage": self._shrinkage, "held_out": held_out}

    def _moments(self, block: int, states: np.ndarray) -> Moments:
        moments = Moments(states.shape[1], self._rows.n_classes)
        for split, rows in self._rows.rows.items():
            for part in in_blocks(np.arange(len(rows)), states.shape[1]):
                found = states[rows[part]]
                if not np.isfinite(found).all():
                    raise InputError(
                        f"block {block}: a state is not a finite number, so nothing can be erased from it; run the "
                        "model in a dtype of wider range, such as bfloat16"
                    )
                if split == "train":
                    moments.update(found, one_hot(self._rows.y[split][part], self._rows.n_classes))
        return moments

    def _before(self, states: np.ndarray, probe: LayerProbe) -> float | None:
        """The kept probe's score on the test rows as they are; each row is read by the probe of its own label."""
        test, ys, margins = self._labelled.table.query("split == 'test'"), [], []
        for label, of_label in test.groupby("label"):
            for part in in_blocks(of_label["row"].to_numpy(), states.shape[1]):
                margins.append(probe.margins(states[part], str(label)))
            ys.append(of_label["y"].to_numpy())
        if not ys:
            return None
        return score(np.concatenate(ys), np.concatenate(margins), self._rows.n_classes, self._rows.metric)


class ConceptProbes:
    """The kept probes of the cell whose concept is fitted, checked to be of it."""

    def __init__(self, probes: KeptProbes, layers: Sequence[str], made_from: Mapping[str, Any]):
        """
        Args:
            probes: the file.
            layers: of the states.
            made_from: what they must have been fitted on, see :func:`concept_cell`.

        Raises:
            InputError: when the probes are of other states or of another task.
        """
        content = dict(made_from) | {"states": content_of(made_from["states"])}
        probed = probes.cell | {"states": content_of(probes.cell.get("states", {}))}
        other = [key for key, value in content.items() if probed.get(key) != value]
        if probes.layers != list(layers) or other:
            why = (
                f"{', '.join(other)} {'differ' if len(other) > 1 else 'differs'}" if other else "they have other layers"
            )
            raise InputError(
                f"{probes.path}: these probes were fitted on another cell ({why}); delete it and run again"
            )
        self._probes = probes

    def layer(self, layer: int) -> LayerProbe:
        """The probes of one layer, by its index.

        Raises:
            InputError: when the file is damaged.
        """
        try:
            return self._probes.layer(layer)
        except (OSError, KeyError) as error:
            raise InputError(f"{self._probes.path}: is damaged ({error}); delete it and run again") from error


def _as_float32(
    eraser: Eraser, controls: Sequence[Eraser], steer: Mapping[str, Steering], control_steer: np.ndarray
) -> Concept:
    def stacked(name: str) -> np.ndarray:
        none = np.empty((0, *eraser.to.shape), np.float32)
        return np.stack([getattr(each, name) for each in controls]).astype(np.float32) if controls else none

    return Concept(
        mean=eraser.mean.astype(np.float32),
        erase=(eraser.from_.astype(np.float32), eraser.to.astype(np.float32)),
        control=(stacked("from_"), stacked("to")),
        steer={
            name: Steering(each.direction.astype(np.float32), each.deviation.astype(np.float32))
            for name, each in steer.items()
        },
        control_steer=control_steer.astype(np.float32),
    )


def by_split(labelled: Labelled) -> Rows:
    """The rows and classes of each split."""
    splits = {split: labelled.table[labelled.table["split"] == split] for split in SPLITS}
    splits = {split: table for split, table in splits.items() if len(table)}
    rows, y = ({split: table[key].to_numpy() for split, table in splits.items()} for key in ("row", "y"))
    return Rows(rows, y, len(labelled.classes))
