"""Read what a decoder gets of a picture: the embeddings at the image's tokens, before the first block.

Works in the older environment too (``envs/legacy.txt``): nothing here imports transformers.
"""

from typing import Any

import torch
from torch import Tensor, nn

from layerwise.models.frozen import AnsweringModel, FrozenModel, hidden_in, mean_over

POSITION = "image-mean"


class _Read(Exception):
    """Ends a forward pass at the first block."""

    def __init__(self, embeddings: Tensor):
        super().__init__()
        self.embeddings = embeddings


@torch.inference_mode()
def image_embeddings(model: FrozenModel, prepared: Any) -> Tensor:
    """The mean over the image's tokens of what enters the first block, shape (batch, width), float32, on the CPU.

    It equals the state of ``model.run`` at layer 0 and position ``image-mean``. The pass stops there, so that no block
    runs. Only adapters of authors' code, which do not say where the image's tokens are, run the whole decoder.

    Args:
        model: without an intervention.
        prepared: what ``model.prepare`` made of pictures, each with a prompt.
    """
    if not isinstance(model, AnsweringModel):
        return model.run(prepared, [POSITION])[POSITION][:, 0].float()
    if isinstance(prepared, list):
        return torch.cat([image_embeddings(model, one) for one in prepared])
    inputs = prepared.to(model.device, model.dtype)
    of_image = mean_over(model.image_tokens(inputs))

    def read(_block: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        raise _Read(of_image(hidden_in(args, kwargs)))

    hook = model.blocks[0].register_forward_pre_hook(read, with_kwargs=True)
    try:
        model.forward(**inputs, use_cache=False)
    except _Read as found:
        return found.embeddings.float().cpu()
    finally:
        hook.remove()
    raise ValueError(f"the first block of a model of type {model.model_type} did not run")
