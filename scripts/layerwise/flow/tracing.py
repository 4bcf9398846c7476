"""Answer tracing: how probable the answer already is in every layer, by the logit lens.

The model's output head is applied to the last position's state in each layer (nostalgebraist 2020; Zhang et al. 2025,
arXiv 2411.18620, section 3.3).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from layerwise.flow.free import FreeRun
from layerwise.models.head import next_token_probabilities


@torch.inference_mode()
def trace(run: FreeRun, tokens: Mapping[str, Sequence[int]], final_norm: bool = True) -> dict[str, Tensor]:
    """Probability of some next tokens, read from the state at the last position in every layer.

    Args:
        run: a question's free run.
        tokens: by name, the token ids whose probabilities are summed; see
            :func:`layerwise.models.answer_tokens.answer_tokens`.
        final_norm: whether states pass the model's final norm before its head, as in the model itself. The paper's
            authors leave it out.

    Returns:
        By name, shape (L + 1,): after the embeddings and after every block; float32, on the CPU.
    """
    states = run.last_states
    probabilities = next_token_probabilities(run.model, run.model.final_norm(states) if final_norm else states)
    return {name: probabilities[:, list(ids)].sum(1) for name, ids in tokens.items()}
