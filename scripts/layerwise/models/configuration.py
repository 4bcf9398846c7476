"""Read the configuration of a model from its folder."""

from pathlib import Path
from typing import Any

from transformers import AutoConfig, PreTrainedConfig


def read_configuration(folder: str | Path, **how: Any) -> PreTrainedConfig:
    """The configuration of the model in a folder that reads pictures and answers.

    Qwen's omni models also speak. The part of them that reads and answers, the thinker, is a model of a type of its
    own, and its weights are found among those of the whole.

    Args:
        folder: holds ``config.json``.
        how: see ``AutoConfig.from_pretrained``, which also says what it raises.
    """
    whole = AutoConfig.from_pretrained(folder, **how)
    thinker = getattr(whole, "thinker_config", None)
    if not isinstance(thinker, PreTrainedConfig):
        return whole
    if thinker.dtype is None:
        thinker.dtype = whole.dtype
    return thinker
