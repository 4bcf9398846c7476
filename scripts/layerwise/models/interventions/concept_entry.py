"""What erasing and steering as interventions share: the concept, the block and the tokens that an entry names."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from layerwise.config.base import Name, Section, whole
from layerwise.errors import InputError
from layerwise.models.interventions.entry_checks import check_blocks
from layerwise.models.interventions.kind import FILE, How, Tokens

if TYPE_CHECKING:
    from torch import Tensor, nn

    from layerwise.models.interventions.concept_file import Change, Concept

AT = {"last": "last token", "text": "text tokens", "image": "image tokens"}


@dataclass(frozen=True)
class Fitted:
    """A fitted concept at the block that an entry names.

    Attributes:
        concept: its numbers.
        classes: its names.
        file: where it was read, for messages.
    """

    concept: "Concept"
    classes: list[str]
    file: Path


class ConceptEntry(Section):
    """A concept, and where it is changed."""

    task: Name
    """The task whose classes are the concept. It needs one label per item."""
    prompt: Name
    """The prompt of the states that the concept is fitted to: those of the model as it is, which must be asked this
    prompt in the task."""
    block: Annotated[int, whole(1)]
    """The block whose output is changed."""
    at: Literal["last", "text", "image"] = "last"
    """At which tokens, and from which the concept is fitted. last: the last token of each text, from kept states. text:
    all tokens that are not the image's. image: all tokens of the image. For these two the model as it is runs once more
    over the training items."""


def check_concept(where: str, how: How, n_layers: int | None) -> None:
    """Refuse a block that the model does not have."""
    check_blocks(where, how, ("block",), n_layers)


@contextmanager
def concept_changed(
    how: How, blocks: "Sequence[nn.Module]", tokens: Tokens, change_of: "Callable[[Fitted, How], Change]"
) -> Iterator[None]:
    """Change the output of an entry's block at the entry's tokens.

    Args:
        how: the entry, with the path of its concept file.
        blocks: the decoder's.
        tokens: of the forward pass.
        change_of: the change, of a concept and the entry.

    Raises:
        InputError: when the concept file does not fit, or the change is none.
        ValueError: when the pass has no such tokens, or the block did not run.
    """
    if FILE not in how:
        raise ValueError("erasing and steering need the file of a fitted concept")
    file = Path(how[FILE])
    change = change_of(_read(file, file.stat().st_mtime_ns, how["block"], how["at"]), how)
    if not (change.shift.any() or (change.from_.any() and change.to.any())):
        raise InputError(
            f"{file}: nothing tells the classes apart in the output of block {how['block']}, so that nothing would be "
            "changed; choose another block, prompt or position"
        )
    with output_changed(blocks[how["block"] - 1], selected(tokens, how["at"]), change):
        yield


@contextmanager
def output_changed(block: "nn.Module", at: "Tensor", change: "Change") -> Iterator[None]:
    """Change a block's output at some tokens, before any other hook reads it.

    Args:
        block: of the decoder.
        at: true at the tokens, shape (batch, tokens).
        change: what is done to each state.

    Raises:
        ValueError: when the block did not run although there are such tokens, or has other tokens.
    """
    import torch

    from layerwise.models.frozen import hidden_out
    from layerwise.models.interventions.affine import changed

    parts = [torch.from_numpy(part) for part in (change.from_, change.to, change.mean, change.shift)]
    runs = 0

    def edit(_block: "nn.Module", _args: tuple, output: Any) -> Any:
        nonlocal runs
        runs += 1
        hidden = hidden_out(output)
        if hidden.shape[:2] != at.shape:
            raise ValueError(f"a block gave states of the shape {tuple(hidden.shape)} for {tuple(at.shape)} tokens")
        # The output may also be another module's, so it is not changed in place.
        edited, here = hidden.clone(), at.to(hidden.device)
        edited[here] = changed(hidden[here], *(part.to(hidden.device) for part in parts))
        return (edited, *output[1:]) if isinstance(output, tuple) else edited

    if not at.any():
        yield
        return
    hook = block.register_forward_hook(edit, prepend=True)
    try:
        yield
    finally:
        hook.remove()
    if not runs:
        raise ValueError("the block whose output is to be changed did not run")


def selected(tokens: Tokens, at: str) -> "Tensor":
    """The tokens that an entry names, shape (batch, tokens).

    The two passes of a shared prefix have some of them each: the image is in the prefix, last tokens are behind it.

    Raises:
        ValueError: when a pass that must have some has none.
    """
    if at == "last":
        return tokens.last
    found = tokens.text if at == "text" else tokens.image
    # Every text has its last token outside the prefix.
    needed = tokens.before is None if at == "image" else tokens.last.any()
    if found is None or (needed and not found.any(1).all()):
        raise ValueError(f"there are no {AT[at]} to change")
    return found


# A block's numbers are read once per process, not once per batch; a file that is written anew is read again.
@cache
def _read(file: Path, _written: int, block: int, at: str) -> Fitted:
    from layerwise.models.interventions.concept_file import ConceptFile

    opened = ConceptFile(file)
    if opened.position != at:
        raise InputError(f"{file}: the concept is of the position {opened.position}, and it is changed at {at}")
    return Fitted(opened.block(block), opened.classes, file)
