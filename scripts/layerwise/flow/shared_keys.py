"""Keys and values that blocks take from an earlier block (Gemma 4's small kinds), for blocked runs packed in a row.

A run joins the row at the first block in which it is cut. If that block takes the keys and values of an earlier one,
the run was not in the row there yet. But up to its first cut it equals the free run, so it takes that run's.
"""

from typing import Any

import torch
from transformers.cache_utils import KVSharingDict

from layerwise.flow.free import FreeRun

# The argument by which transformers passes them from block to block.
ARGUMENT = "shared_kv_states"


class SharedKeys:
    """What the blocks of one packed row share, by the kind of attention.

    Attributes:
        passed: keys and values, each of shape (1, heads, all tokens of the free run + those of the runs, size).
    """

    def __init__(self, run: FreeRun, start: int):
        """Begin with the free run's.

        Args:
            run: the free run.
            start: the first token that is run again.
        """
        config = run.model.decoder.config
        # Whether each block stores its keys and values for others, or uses those that another stored.
        self._modes: list[str | None] = getattr(config, "kv_sharing_modes", None) or [None] * len(run.calls)
        self._kinds: list[str] = getattr(config, "layer_types", None) or []
        self._own: dict[str, list[torch.Tensor]] = {}
        self._runs: dict[str, int] = {}
        self.passed: Any = KVSharingDict()
        for block, mode in enumerate(self._modes):
            if mode == "store":
                kept = run.prefix.layers[block]
                free = [part[..., : run.n_tokens, :] for part in (kept.keys, kept.values)]
                kind = self._kinds[block]
                self.passed[kind], self._runs[kind] = tuple(free), 0
                self._own[kind] = [part[..., start:, :] for part in free]

    def before(self, block: int, joined: int) -> None:
        """Make them those of the first ``joined`` runs, before a block runs that stores or uses them."""
        mode = self._modes[block]
        if mode is None:
            return
        kind = self._kinds[block]
        if mode == "reuse" and (later := joined - self._runs[kind]):
            self.passed[kind] = tuple(
                torch.cat([part, own.repeat(1, 1, later, 1).to(part.device)], dim=-2)
                for part, own in zip(self.passed[kind], self._own[kind], strict=True)
            )
        self._runs[kind] = joined
