"""What a job of extraction is told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Options:
    """The options of one job.

    Attributes:
        model: ``model.json``.
        stimuli: folder of the stimulus set.
        cell: what decides the states beside these.
        batch_size: inputs in a batch.
        sharing: of prefixes: auto, always or never.
        device_map: how the model is spread over devices.
        shard: (i, n) for the i-th of n shards.
        work: folder for work in progress.
        kept: folder of finished states by content; None where none are kept.
        out: where the states are to lie.
    """

    model: Path
    stimuli: Path
    cell: dict[str, Any]
    batch_size: int
    sharing: str
    device_map: dict[str, Any] | str | None
    shard: tuple[int, int]
    work: Path
    kept: Path | None
    out: Path
