"""Read a model's layers at marked tokens, in the forward pass that also gives its other states.

What a transformers model reports of itself, and how prefixes are shared, stays as it is: only which tokens are kept is
added.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from layerwise.errors import InputError
from layerwise.models.adapters.generic import GenericModel
from layerwise.models.frozen import FrozenModel, Select, Shown, pictures_of, read_layers
from layerwise.models.marked.prompts import marks_of
from layerwise.models.marked.tokens import MarkedInput
from layerwise.models.memory import Room
from layerwise.models.prefix.cache import prefix_length
from layerwise.models.prefix.decoder import SharedDecoder
from layerwise.models.prefix.split import PromptGroup
from layerwise.models.prefix.together import PromptGroups

# The key of the tokens in prepared inputs: by input, and position, their indices. No family takes it.
TOKENS = "read_tokens"
# By position, indices among the tokens of one input.
Tokens = Mapping[str, Tensor]


def reading_marks(model: FrozenModel) -> "ReadingModel":
    """The same model, which also reads what is marked in the prompts that it is given.

    Raises:
        InputError: when its adapter runs its authors' code.
    """
    if not isinstance(model, GenericModel):
        raise InputError(
            f"the adapter of this model of type {model.model_type} reads states at the last token and the mean over "
            "the image alone; leave the model out of tasks with `positions`"
        )
    kind: type[ReadingModel] = type(f"Reading{type(model).__name__}", (ReadingModel, type(model)), {})
    other = object.__new__(kind)
    other.__dict__.update(model.__dict__)
    return other


class ReadingModel(GenericModel):
    """A model that reads what is marked in its prompts; made by :func:`reading_marks`.

    Its positions are also the names of the marks. An input without the position has a state of zeros there.
    """

    def prepare(self, images: Sequence[Shown], prompts: Sequence[str]) -> Any:
        """See :meth:`FrozenModel.prepare`.

        Raises:
            InputError: also when what is marked is not found among the tokens.
        """
        prepared = super().prepare(images, prompts)
        # Inputs that run one by one have each come here by themselves.
        if not isinstance(prepared, list):
            prepared[TOKENS] = self._marked_in_batch(prepared, images, prompts)
        return prepared

    def _marked_in_batch(
        self, prepared: Mapping[str, Any], images: Sequence[Shown], prompts: Sequence[str]
    ) -> list[Tokens]:
        if not any(map(marks_of, prompts)):
            return [{} for _ in prompts]
        whole = prepared["input_ids"]
        # All inputs of a batch show a picture, or none does.
        pictures = self.picture_tokens(prepared) if pictures_of(images[0]) else torch.zeros_like(whole)
        counts = (pictures > 0).sum(1).tolist()
        found: list[Tokens] = []
        for row, (shown, prompt) in enumerate(zip(images, prompts, strict=True)):
            present = prepared["attention_mask"][row].nonzero()[:, 0]
            one = MarkedInput(self, whole[row, present], pictures[row, present], prompt, shown)
            tokens = one.tokens(prepared, counts, row)
            found.append({position: present[indices] for position, indices in tokens.items()})
        return found

    def prepare_shared(self, image: Shown, prompts: Sequence[str]) -> PromptGroup:
        """See :meth:`FrozenModel.prepare_shared`."""
        group = super().prepare_shared(image, prompts)
        counts = [int((group.pictures > 0).sum())]
        tokens = []
        for rest, prompt in zip(group.rests, prompts, strict=True):
            ids = torch.cat([group.prefix["input_ids"][0], rest])
            pictures = torch.nn.functional.pad(group.pictures[0], (0, len(rest)))
            tokens.append(MarkedInput(self, ids, pictures, prompt, image).tokens(group.prefix, counts, 0))
        # A list with an entry per image, as groups are joined.
        return replace(group, prefix=group.prefix | {TOKENS: [tokens]})

    def forward(self, **inputs: Any) -> Any:
        """See :meth:`GenericModel.forward`."""
        inputs.pop(TOKENS, None)
        return super().forward(**inputs)

    def _select(self, inputs: Mapping[str, Any], position: str) -> Select:
        tokens = inputs[TOKENS]
        if position not in tokens[0]:
            return super()._select(inputs, position)
        found = [of_input[position] for of_input in tokens]
        return mean_at(torch.arange(len(found)), found, list(map(len, found)))

    def _over_prefixes(self, prepared: PromptGroups, positions: Sequence[str]) -> list[dict[str, Tensor]]:
        tokens = prepared.prefix[TOKENS]
        plain = {key: value for key, value in prepared.prefix.items() if key != TOKENS}
        groups = replace(prepared, prefix=plain).to(self.device, self.dtype)
        shared = (self.forward, self.decoder, self.blocks, self.final_norm, self.continue_texts, self.across)
        return MarkedTexts(*shared, tokens=tokens).states(groups, positions, self.room)


def mean_at(rows: Tensor, tokens: Sequence[Tensor], of: Sequence[int]) -> Select:
    """Select for each of some sets of tokens the sum over them, divided by a number: shape (sets, width).

    Args:
        rows: the input that each set is of, shape (sets,).
        tokens: by set, indices among the tokens of its input.
        of: by set, what to divide by; an empty set gives zeros.
    """
    most = max(1, *map(len, tokens))
    columns, weights = torch.zeros(len(tokens), most, dtype=torch.long), torch.zeros(len(tokens), most)
    for i, (indices, number) in enumerate(zip(tokens, of, strict=True)):
        columns[i, : len(indices)], weights[i, : len(indices)] = indices, 1 / max(number, 1)

    def select(hidden: Tensor) -> Tensor:
        device = hidden.device
        found = hidden[rows.to(device)[:, None], columns.to(device)].float()
        # What fills up a set may be infinite.
        return torch.where(weights.to(device)[..., None] > 0, found * weights.to(device)[..., None], 0).sum(1)

    return select


@dataclass(frozen=True)
class MarkedTexts(SharedDecoder):
    """A decoder whose texts over a shared prefix are also read at marked tokens, in the prefix and behind it.

    Attributes:
        tokens: per image and prompt, by position, indices among all tokens of the text, the prefix's first.
    """

    tokens: Sequence[Sequence[Tokens]] = field(default_factory=list)

    def states(self, groups: PromptGroups, positions: Sequence[str], room: Room) -> list[dict[str, Tensor]]:
        """See :meth:`SharedDecoder.states`."""
        length = groups.prefix["input_ids"].shape[1]
        parts = {
            position: _InPrefix(self.tokens, position, length)
            for position in positions
            if position in self.tokens[0][0]
        }
        kept: dict[str, Tensor] = {}

        def run_prefix(**inputs: Any) -> Any:
            select = {position: part.select for position, part in parts.items()}
            with read_layers(self.blocks, self.final_norm, select) as readings:
                output = self.run_prefix(**inputs)
            kept.update(readings.stacked())
            return output

        behind = _Behind(run_prefix, *(self.decoder, self.blocks, self.final_norm, self.continue_texts, self.across))
        for rests, of_image in zip(groups.rests, self.tokens, strict=True):
            behind.of_rest.update({id(rest): tokens for rest, tokens in zip(rests, of_image, strict=True)})
        found = behind.states(groups, positions, room)
        for position, part in parts.items():
            before = part.per_text(kept[position])
            for states, of_prefix in zip(found, before, strict=True):
                states[position] = states[position] + of_prefix
        return found


class _InPrefix:
    """What texts read of the prefix at one position. Texts with the same tokens of an image are read once."""

    def __init__(self, tokens: Sequence[Sequence[Tokens]], position: str, length: int):
        self.counts = list(map(len, tokens))
        sets: dict[tuple[int, tuple[int, ...], int], int] = {}
        self.of_text = []
        for row, of_image in enumerate(tokens):
            for text in of_image:
                indices = text[position]
                key = row, tuple(indices[indices < length].tolist()), len(indices)
                self.of_text.append(sets.setdefault(key, len(sets)))
        rows, read, of = zip(*sets, strict=True)
        self.select = mean_at(torch.tensor(rows), [torch.tensor(one, dtype=torch.long) for one in read], of)

    def per_text(self, states: Tensor) -> list[Tensor]:
        """By image the states of its texts, of those that were read."""
        return list(states[torch.tensor(self.of_text)].split(self.counts))


@dataclass(frozen=True)
class _Behind(SharedDecoder):
    """The part of marked positions that lies behind the prefix; ``of_rest``: the tokens of a text, by ``id`` of its
    rest."""

    of_rest: dict[int, Tokens] = field(default_factory=dict)

    def _packed(self, texts: Sequence[Sequence[Tensor]], prefix: Cache, behind: Any) -> dict[str, Tensor]:
        length = prefix_length(prefix)
        marked = self.of_rest[id(texts[0][0])].keys()
        rows, starts, rests = [], [], []
        for row, of_image in enumerate(texts):
            start = 0
            for rest in of_image:
                rows.append(row)
                starts.append(start)
                rests.append(rest)
                start += len(rest)
        select = {}
        for position in behind.positions:
            if position in marked:
                tokens = [self.of_rest[id(rest)][position] for rest in rests]
                own = [one[one >= length] - length + start for one, start in zip(tokens, starts, strict=True)]
                select[position] = mean_at(torch.tensor(rows), own, list(map(len, tokens)))
        plain = [position for position in behind.positions if position not in select]
        with read_layers(self.blocks, self.final_norm, select) as readings:
            states = super()._packed(texts, prefix, replace(behind, positions=plain))
        return states | readings.stacked()
