"""Answer tracing: how probable the answer already is in every layer, by the logit lens.

The model's output head is applied to the last position's state in each layer (nostalgebraist 2020; Zhang et al. 2025,
arXiv 2411.18620, section 3.3).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from layerwise.errors import InputError
from layerwise.flow.free import FreeRun
from layerwise.flow.head import next_token_probabilities
from layerwise.models.frozen import AnsweringModel


@torch.inference_mode()
def trace(run: FreeRun, tokens: Mapping[str, Sequence[int]], final_norm: bool = True) -> dict[str, Tensor]:
    """Probability of some next tokens, read from the state at the last position in every layer.

    Args:
        run: a question's free run.
        tokens: by name, the token ids whose probabilities are summed; see :func:`answer_tokens`.
        final_norm: whether states pass the model's final norm before its head, as in the model itself. The paper's
            authors leave it out.

    Returns:
        By name, shape (L + 1,): after the embeddings and after every block; float32, on the CPU.
    """
    states = run.last_states
    probabilities = next_token_probabilities(run.model, run.model.final_norm(states) if final_norm else states)
    return {name: probabilities[:, list(ids)].sum(1) for name, ids in tokens.items()}


def answer_tokens(model: AnsweringModel, prompt: str, answer: str) -> dict[str, list[int]]:
    """Tokens with which the model can begin an answer, in lower case and capitalised.

    A tokenizer may write a word and the space before it as one token (``_red``), and whether the model begins with it
    depends on how the prompt ends. So both continuations of the prompt count, with a space and without. Prompt and
    answer are tokenized together, because an answer alone would be tokenized as the first word of a text.

    Returns:
        ``lower`` and ``capitalised``, each one or two token ids. They are the same where letters have no case.

    Raises:
        InputError: when the tokenizer joins prompt and answer in one token.
    """
    text = model.render(prompt)
    before = _ids(model, text)
    tokens = {}
    for name, form in (("lower", answer.lower()), ("capitalised", answer[:1].upper() + answer[1:].lower())):
        found = []
        for written in (form, f" {form}"):
            ids = _ids(model, text + written)
            begun, first = ids[: len(before)], ids[len(before) : len(before) + 1]
            # A space alone says nothing about the answer.
            if begun == before and model.processor.tokenizer.decode(first).strip():
                found += first
        if not found:
            raise InputError(f"the tokenizer joins the answer {form!r} with the prompt before it: {text[-40:]!r}")
        tokens[name] = sorted(set(found))
    return tokens


def _ids(model: AnsweringModel, text: str) -> list[int]:
    return model.processor.tokenizer(text, add_special_tokens=False)["input_ids"]
