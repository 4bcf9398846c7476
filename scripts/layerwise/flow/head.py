"""From a state to the probabilities of the next token, through the model's own output head."""

import torch
from torch import Tensor

from layerwise.models.families import family_of
from layerwise.models.frozen import AnsweringModel


def next_token_probabilities(model: AnsweringModel, states: Tensor) -> Tensor:
    """Softmax over the vocabulary of the output head's logits, with what the family does to them.

    Args:
        model: whose head is used.
        states: shape (..., width). The head expects the final norm's output.

    Returns:
        Shape (..., vocabulary); float32, on the CPU.
    """
    head = model.model.get_output_embeddings()
    logits = head(states.to(head.weight.device)).float()
    config = model.model.config.get_text_config()
    # Cohere multiplies logits, Granite divides them, Gemma bounds them; the names are those of transformers.
    logits = logits * (getattr(config, "logit_scale", None) or 1) / (getattr(config, "logits_scaling", None) or 1)
    if bound := getattr(config, "final_logit_softcapping", None):
        logits = bound * torch.tanh(logits / bound)
    if family_of(model.model_type).never_writes_image:
        logits[..., model.model.base_model.vocabulary_mapping.image_tokens] = -torch.inf
    return logits.softmax(-1).cpu()
