"""Any family that ``AutoModelForImageTextToText`` loads, with its decoder under ``get_decoder()``."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache

from layerwise.errors import InputError
from layerwise.models.explained import said_by
from layerwise.models.frozen import PICTURES, LayerReadings, Select, last_token, over_pictures, read_layers
from layerwise.models.host import HostSide
from layerwise.models.intervening import Intervention
from layerwise.models.interventions.kind import Tokens
from layerwise.models.loading import input_device, load_model
from layerwise.models.memory import Room
from layerwise.models.parts import find_blocks, find_decoder, find_final_norm, heads_per_block
from layerwise.models.prefix.decoder import SharedDecoder
from layerwise.models.prefix.packing import PackedTexts, can_pack, chunk_room
from layerwise.models.prefix.split import PromptGroup
from layerwise.models.prefix.together import PromptGroups, batches_of, joined
from layerwise.models.site_names import AT_SITE

Served = TypeVar("Served", bound="GenericModel")

# On a card. Images of few tokens would otherwise run together by the hundred, and as many would be prepared in advance.
IMAGES_AT_ONCE = 8


def load(description: dict[str, Any], device: str) -> "GenericModel":
    """Load the model that ``model.json`` describes; see :func:`load_as`."""
    return load_as(GenericModel, description, device)


def wrap(model: nn.Module, processor: Any, conversation: str) -> "GenericModel":
    """Serve a model of transformers that was built elsewhere, with or without its weights."""
    return GenericModel(model, processor, conversation)


def load_as(adapter: type[Served], description: dict[str, Any], device: str) -> Served:
    """Load the model that ``model.json`` describes, to be served by a class of adapters.

    Args:
        adapter: the class.
        description, device: see :func:`layerwise.models.loading.load_model`.

    Raises:
        InputError: when the folder holds no model that transformers knows, a package is missing, or the family needs
            another adapter.
    """
    model, processor = load_model(description, device)
    # LLM.int8 chooses the columns that it leaves in half precision by all tokens that run together.
    batch_invariant = description.get("quantization") != "8bit"
    try:
        return adapter(model, processor, description["conversation"], batch_invariant, description.get("intervention"))
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"models.{description['model']}: the adapter {description['adapter']!r} does not find its way in a model "
            f"of type {description['model_type']} ({said_by(error)}); this family needs an adapter of its own"
        ) from error


class GenericModel(HostSide):
    """The device's side of a frozen model; :class:`layerwise.models.host.HostSide` is the host's.

    Attributes:
        room: how many texts about one image run at once.
        joins_images: whether several images can run at once, each with its texts.
        images: how many of them do. One on a CPU, which is busy with one image.
    """

    goes_on = True

    def __init__(
        self,
        model: nn.Module,
        processor: Any,
        conversation: str,
        batch_invariant: bool = True,
        intervention: dict[str, Any] | None = None,
    ):
        """Find the model's parts.

        Args:
            model: on its device, in evaluation mode.
            processor: the family's own.
            conversation: see the model entry's key in the config.
            batch_invariant: whether an input's states are the same whatever else is in its batch; where they are not,
                prefixes are not shared.
            intervention: what is changed in the decoder while it runs; see the model entry's key in the config.

        Raises:
            AttributeError: when a part is not found.
            InputError: when the family cannot be read, or the conversation has no place for the image.
        """
        super().__init__(model, processor, conversation)
        model.register_forward_pre_hook(_without_pictures, with_kwargs=True)
        self.decoder = find_decoder(model)
        self.blocks, self.final_norm = find_blocks(self.decoder), find_final_norm(self.decoder)
        self.n_layers = len(self.blocks)
        self.width = model.config.get_text_config().hidden_size
        self.n_heads = heads_per_block(self.decoder.config)
        self.intervention = Intervention(intervention, self.blocks) if intervention else None
        # The first weight would mislead: some families keep a few in float32, and quantized weights are integers.
        self.dtype = self.final_norm.weight.dtype
        # mllama.
        self.across = frozenset(getattr(self.decoder.config, "cross_attention_layers", None) or ())
        self.device = input_device(model)
        self.batch_invariant = batch_invariant
        self.shares_prefix = (
            batch_invariant and self.family.shares_prefix and can_pack(self.decoder.config) and self.image_comes_first()
        )
        self.room = chunk_room(self.device)
        self.joins_images = self.family.joins_images and not self.runs_alone and not self.across
        together = self.joins_images and self.device.type == "cuda"
        self.images = Room(IMAGES_AT_ONCE if together else 1, "images with the start of their prompts")

    @torch.inference_mode()
    def run(self, prepared: Any, positions: Sequence[str]) -> dict[str, Tensor]:
        """See :meth:`FrozenModel.run`."""
        if isinstance(prepared, list):
            parts = [self.run(one, positions) for one in prepared]
            return {position: torch.cat([part[position] for part in parts]) for position in positions}
        inputs = prepared.to(self.device, self.dtype)
        select = {position: self._select(inputs, position) for position in positions}
        with read_layers(self.blocks, self.final_norm, select) as readings, self._intervened(self._whole, inputs):
            self.forward(**inputs, use_cache=False)
        return readings.stacked()

    @torch.inference_mode()
    def reported(self, prepared: Any, positions: Sequence[str]) -> dict[str, Tensor]:
        """See :meth:`FrozenModel.reported`: what transformers calls ``hidden_states``."""
        inputs = prepared.to(self.device, self.dtype)
        readings = LayerReadings({position: self._select(inputs, position) for position in positions})
        config = self.decoder.config
        # Otherwise the last reported state may be the topmost block's output, before the final norm.
        tied, config.tie_last_hidden_states = getattr(config, "tie_last_hidden_states", None), True
        try:
            with self._intervened(self._whole, inputs):
                output = self.forward(**inputs, use_cache=False, output_hidden_states=True)
        finally:
            config.tie_last_hidden_states = tied
        # BLIP-2 and InstructBLIP pass on their language model's output.
        for hidden in getattr(output, "language_model_outputs", output).hidden_states:
            readings.take(hidden)
        return readings.stacked()

    @property
    def images_at_once(self) -> int:
        """See :class:`FrozenModel`."""
        return self.images.size

    def run_shared(self, prepared: PromptGroup, positions: Sequence[str]) -> dict[str, Tensor]:
        """See :meth:`FrozenModel.run_shared`."""
        return self.run_several([prepared], positions)[0]

    @torch.inference_mode()
    def run_several(self, prepared: Sequence[PromptGroup], positions: Sequence[str]) -> list[dict[str, Tensor]]:
        """See :meth:`FrozenModel.run_several`."""
        states: dict[int, dict[str, Tensor]] = {}
        for batch in batches_of(prepared, self.images.size):

            def run(start: int, stop: int, batch: Sequence[int] = batch) -> list[dict[str, Tensor]]:
                return self._over_prefixes(joined([prepared[i] for i in batch[start:stop]]), positions)

            found = [one for piece in self.images.over(len(batch), run) for one in piece]
            states |= zip(batch, found, strict=True)
        return [states[i] for i in range(len(prepared))]

    def _over_prefixes(self, prepared: PromptGroups, positions: Sequence[str]) -> list[dict[str, Tensor]]:
        groups = prepared.to(self.device, self.dtype)

        def run_prefix(**inputs: Any) -> Any:
            with self._intervened(_in_prefix, groups):
                return self.forward(**inputs)

        def continue_texts(packed: PackedTexts, prefix: Cache) -> None:
            with self._intervened(_in_rests, packed, groups):
                self.continue_texts(packed, prefix)

        shared = SharedDecoder(run_prefix, self.decoder, self.blocks, self.final_norm, continue_texts, self.across)
        return shared.states(groups, positions, self.room)

    def spared_flop(self, prepared: PromptGroup) -> float:
        """See :meth:`FrozenModel.spared_flop`: two per parameter and token."""
        block = sum(parameter.numel() for parameter in self.blocks[0].parameters())
        return 2 * block * prepared.prefix["input_ids"].shape[1]

    def forward(self, **inputs: Any) -> Any:
        """Run the base model, which ends at the final norm."""
        inputs.pop(PICTURES, None)
        return self.model.base_model(**inputs)

    def continue_texts(self, packed: PackedTexts, prefix: Cache) -> None:
        """Run packed texts through the decoder, over the prefix's cache."""
        inputs = {
            "input_ids": packed.ids,
            "position_ids": packed.positions,
            "attention_mask": packed.masks(self.decoder.config, self.dtype),
            "past_key_values": prefix,
            "use_cache": True,
        }
        if packed.across is None:
            self.decoder(**inputs)
        else:
            # The model around the decoder makes the mask of what each token sees across.
            self.forward(**inputs, cross_attention_mask=packed.across)

    def image_tokens_if_any(self, inputs: Mapping[str, Tensor]) -> Tensor | None:
        """Where the image's tokens are; None for a model that is shown no image."""
        return self.image_tokens(inputs)

    def _intervened(self, tokens: Callable[..., Tokens], *of: Any) -> AbstractContextManager[None]:
        """The model's intervention, if any, for a forward pass whose tokens are ``tokens(*of)``."""
        return nullcontext() if self.intervention is None else self.intervention.applied(tokens(*of))

    def _whole(self, inputs: Mapping[str, Tensor]) -> Tokens:
        """The tokens of a batch of whole inputs."""
        image, present = self.image_tokens_if_any(inputs), inputs["attention_mask"].bool()
        # Whichever side is padded.
        last = present & (present.flip(1).cumsum(1).flip(1) == 1)
        text = present if image is None else present & ~image
        return Tokens(image, None, last, text, picture=inputs.get(PICTURES))

    def _select(self, inputs: Mapping[str, Tensor], position: str) -> Select:
        if position == "last" or position in AT_SITE:
            return last_token(inputs["attention_mask"])
        mean = over_pictures(self.picture_tokens(inputs), position)
        if mean is None:
            raise ValueError(f"{position} is no position")
        return mean


def _without_pictures(_model: nn.Module, args: tuple, inputs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    """Whose tokens they are is for this project to know: no family takes it."""
    return args, {key: value for key, value in inputs.items() if key != PICTURES}


def _in_prefix(groups: PromptGroups) -> Tokens:
    """The tokens of the prefix: every text goes on behind it (:func:`layerwise.models.prefix.split.split_prefix`)."""
    image = groups.image_tokens
    return Tokens(image, None, torch.zeros_like(image), ~image, picture=groups.pictures)


def _in_rests(packed: PackedTexts, groups: PromptGroups) -> Tokens:
    """The tokens of texts behind the prefix, which holds all images."""
    none = torch.zeros_like(packed.present)
    return Tokens(
        none, groups.image_tokens, packed.last, packed.present, picture=none.long(), picture_before=groups.pictures
    )
