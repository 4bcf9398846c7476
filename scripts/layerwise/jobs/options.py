"""What a job of extraction is told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Sharing = Literal["auto", "always", "never"]


@dataclass(frozen=True)
class Options:
    """The options of one job.

    Attributes:
        model: ``model.json``.
        stimuli: folder of the stimulus set.
        cell: what decides the states beside these two.
        batch_size: inputs in a batch.
        sharing: whether texts about one image share its prefix.
        device_map: how the model is spread over devices.
        shard: (i, n) for the i-th of n shards of the cell.
        work: folder for work in progress.
        kept: folder of finished states by content; None where none are kept.
        out: the states file to write.
        fitted: the fitted file that the model's intervention needs; None for most.
    """

    model: Path
    stimuli: Path
    cell: dict[str, Any]
    batch_size: int
    sharing: Sharing
    device_map: dict[str, Any] | str | None
    shard: tuple[int, int]
    work: Path
    kept: Path | None
    out: Path
    fitted: Path | None = None

    @classmethod
    def of(cls, job: dict[str, Any], work: Path) -> "Options":
        """The options that a run wrote down as JSON.

        Args:
            job: the options, without the folder for work.
            work: folder for work in progress.
        """
        paths: dict[str, Path | None] = {key: Path(job[key]) for key in ("model", "stimuli", "out")}
        paths |= {key: Path(job[key]) if job[key] else None for key in ("kept", "fitted")}
        return cls(**job | paths | {"work": work, "shard": tuple(job["shard"])})
