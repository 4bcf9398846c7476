"""From a state to the probabilities of the next token, through the model's own output head."""

import torch
from torch import Tensor

from layerwise.models.families import family_of
from layerwise.models.frozen import AnsweringModel


def next_token_probabilities(model: AnsweringModel, states: Tensor) -> Tensor:
    """Softmax over the vocabulary of what the output head makes of states; float32, on the CPU.

    Args:
        model: its head with what its family does behind it.
        states: shape (..., width). The head expects them behind the final norm.

    Returns:
        Shape (..., vocabulary).
    """
    head = model.model.get_output_embeddings()
    logits = head(states.to(head.weight.device)).float()
    config = model.model.config.get_text_config()
    # Cohere multiplies, Granite divides, Gemma bends; the names are those of transformers.
    logits = logits * (getattr(config, "logit_scale", None) or 1) / (getattr(config, "logits_scaling", None) or 1)
    if bound := getattr(config, "final_logit_softcapping", None):
        logits = bound * torch.tanh(logits / bound)
    if family_of(model.model_type).never_writes_image:
        logits[..., model.model.base_model.vocabulary_mapping.image_tokens] = -torch.inf
    return logits.softmax(-1).cpu()
