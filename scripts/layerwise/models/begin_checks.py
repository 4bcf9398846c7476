"""Refuse a text that begins with two begin tokens: no library does, and the states would differ."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from layerwise.errors import InputError

# A second begin token is looked for among so many first tokens.
FIRST = 8


def check_begin(tokenizer: Any, ids: Tensor, mask: Tensor, image_tokens: Tensor | None = None) -> None:
    """Refuse prepared texts that have two begin tokens.

    The image's tokens are skipped, because some families put them before the text or after its first token. So are
    blank text and special tokens between two begin tokens. A tokenizer that names no begin token may still add one:
    then the first special token of a text counts as it.

    Args:
        tokenizer: the family's.
        ids: token ids, shape (batch, tokens).
        mask: true where they are not padding, the same shape.
        image_tokens: true where they are the image's, the same shape.

    Raises:
        InputError: when a text begins twice.
    """
    shown = mask.bool() if image_tokens is None else mask.bool() & ~image_tokens.to(mask.device)
    # A set, because most rows of a batch begin alike.
    for begin in {tuple(row[there][:FIRST].tolist()) for row, there in zip(ids, shown, strict=True)}:
        if _begins_twice(tokenizer, begin):
            token = tokenizer.convert_ids_to_tokens(begin[0])
            raise InputError(
                f"the model would read its begin token {token} twice: the text, the chat template, the `conversation` "
                "or the processor writes one and the tokenizer adds another; reword a text that holds it, give the "
                f"model's entry a `conversation` that begins with {token} and has no other, or take one out of the "
                "tokenizer's files (bos_token and chat_template, post_processor)"
            )


def _begins_twice(tokenizer: Any, ids: Sequence[int]) -> bool:
    if not ids or not _is_begin(tokenizer, ids[0]):
        return False
    words = (one for one in ids[1:] if one == ids[0] or tokenizer.decode([one], skip_special_tokens=True).strip())
    return next(words, None) == ids[0]


def _is_begin(tokenizer: Any, token: int) -> bool:
    named = tokenizer.bos_token_id
    if named is not None:
        return token == named
    added = getattr(tokenizer, "added_tokens_decoder", {}).get(token)
    return bool(added and added.special)
