"""Any family that ``AutoModelForImageTextToText`` loads, with its decoder under ``get_decoder()``."""

from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from transformers import BatchFeature
from transformers.cache_utils import Cache

from layerwise.errors import InputError
from layerwise.models.begin_checks import check_begin
from layerwise.models.explained import said_by
from layerwise.models.families import NEEDS_IMAGE, RUN_ALONE, SHARES_PREFIX, WRITES_BEGIN
from layerwise.models.frozen import FrozenModel, LayerReadings, Select, last_token, mean_over, read_layers
from layerwise.models.intervening import Intervention, untouched
from layerwise.models.loading import input_device, load_model
from layerwise.models.memory import Room
from layerwise.models.prefix import (
    PER_TOKEN,
    TEXTS_PER_CHUNK,
    PackedTexts,
    PromptGroup,
    SharedDecoder,
    can_pack,
    expanded_like,
    split_prefix,
)


def load(description: dict[str, Any], device: str, adapter: "type[GenericModel] | None" = None) -> "GenericModel":
    """Load the model that ``model.json`` describes.

    Args:
        description, device: see :func:`layerwise.models.loading.load_model`.
        adapter: the class that serves a family of its own.

    Raises:
        InputError: when the folder holds no model that transformers knows, a package is missing, or the family needs
            another adapter.
    """
    model, processor = load_model(description, device)
    # LLM.int8 picks the columns that it leaves in half precision by looking at all tokens that run together.
    batch_invariant = description.get("quantization") != "8bit"
    try:
        return (adapter or GenericModel)(
            model, processor, description["conversation"], batch_invariant, description.get("intervention")
        )
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"models.{description['model']}: the adapter {description['adapter']!r} does not find its way in a model "
            f"of type {description['model_type']} ({said_by(error)}); this family needs an adapter of its own"
        ) from error


class GenericModel(FrozenModel):
    """A frozen model behind the interface of :class:`layerwise.models.frozen.FrozenModel`."""

    shared_types = SHARES_PREFIX

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
        """
        self.model = model
        self.model_type = model.config.model_type
        self.processor = processor
        self.decoder = self.find_decoder()
        self.blocks, self.final_norm = self.decoder.layers, self.find_final_norm()
        self.n_layers = len(self.blocks)
        self.width = model.config.get_text_config().hidden_size
        self.n_heads = self.decoder.config.num_attention_heads
        self.intervention = Intervention(intervention, self.blocks) if intervention else None
        # Not of the first weight: some families keep a few of them in float32, and quantized ones are whole numbers.
        self.dtype = self.final_norm.weight.dtype
        # Blocks that look across at the image, which then needs no tokens (mllama).
        self.across = frozenset(getattr(self.decoder.config, "cross_attention_layers", None) or ())
        self.device = input_device(model)
        if getattr(processor, "num_query_tokens", 0) is None:
            # Files of BLIP-2 from before its processor wrote the image's tokens do not tell it how many.
            processor.num_query_tokens = model.config.num_query_tokens
        self.image_token = self.find_image_token()
        # Not always the id of image_token: Gemma 3 writes out a token that stands for the image in another one.
        self.image_token_id = getattr(model.config, "image_token_id", None)
        if conversation == "auto":
            conversation = "chat" if getattr(processor, "chat_template", None) else "<image>\n{prompt}"
            if conversation != "chat" and self.image_is_put_first():
                conversation = "<image>{prompt}"
        self.conversation = conversation
        if not self.image_is_put_first() and self.image_token not in self.render("the prompt itself"):
            raise InputError(
                f"the conversation {conversation!r} has no place for the image: it does not write {self.image_token}; "
                "give the model entry a `conversation` with <image> and {prompt}"
            )
        self.batch_invariant = batch_invariant
        self.shares_prefix = (
            batch_invariant
            and model.config.model_type in self.shared_types
            and can_pack(self.decoder.config)
            and self.image_comes_first()
        )
        self.runs_alone = model.config.model_type in RUN_ALONE
        self.room = Room(TEXTS_PER_CHUNK, "texts about one image")

    def find_decoder(self) -> nn.Module:
        """The text decoder: what holds the blocks, at or below what the family names its decoder.

        Raises:
            AttributeError: when there is none.
            InputError: when it is not the only one to read the prompt.
        """
        config = self.model.config
        if config.is_encoder_decoder or config.get_text_config().is_encoder_decoder:
            raise InputError(
                f"a model of type {config.model_type} on {config.get_text_config().model_type} is an encoder and a "
                "decoder: the prompt's last token is in the one and what is written in the other, so that there is no "
                "decoder to read layer by layer"
            )
        module = self.model.get_decoder()
        while not isinstance(getattr(module, "layers", None), nn.ModuleList):
            module = _first(module, ("model", "decoder", "language_model", "text_model"), "a list of blocks")
        return module

    def find_final_norm(self) -> nn.Module:
        """The norm behind the last block.

        Raises:
            AttributeError: when there is none.
        """
        return _first(self.decoder, ("norm", "final_layer_norm", "layer_norm"), "a final norm")

    def find_image_token(self) -> str:
        """What stands for the image in a text."""
        # Some processors look for another token than the one that they write out.
        return str(getattr(self.processor, "image_placeholder_token", None) or self.processor.image_token)

    def image_is_put_first(self) -> bool:
        """Whether the processor puts the image before every text, so that no text says where it is."""
        return hasattr(self.processor, "num_query_tokens")

    def image_comes_first(self) -> bool:
        """Whether the image stands before the prompt, so that prompts about it share it."""
        before, _, _ = self.render("the prompt itself").partition("the prompt itself")
        return self.image_is_put_first() or self.image_token in before

    def render(self, prompt: str, with_image: bool = True) -> str:
        """See :meth:`FrozenModel.render`."""
        if self.image_token in prompt:
            raise InputError(f"the prompt {prompt!r} holds the model's image token {self.image_token}; reword the text")
        if self.conversation == "chat":
            image = [{"type": "image"}] if with_image else []
            turn = {"role": "user", "content": [*image, {"type": "text", "text": prompt}]}
            return self.processor.apply_chat_template([turn], add_generation_prompt=True, tokenize=False)
        image = self.image_token if with_image and not self.image_is_put_first() else ""
        written = self.conversation.replace("<image>", image)
        # The prompt last: a prompt that says "<image>" must stay text.
        return (written if with_image else written.lstrip()).replace("{prompt}", prompt)

    def prepare(self, images: Sequence[Image.Image | None], prompts: Sequence[str]) -> Any:
        """The processor's tensors for a batch; padded on whichever side the tokenizer pads, never truncated.

        Raises:
            InputError: when a text comes without its image's tokens: the model would not see the image. When no image
                is given to a model that cannot read a text without one.
        """
        if images[0] is None:
            return self._prepare_texts(prompts)
        if self.runs_alone and len(images) > 1:
            return [self.prepare([image], [prompt]) for image, prompt in zip(images, prompts, strict=True)]
        texts = [self.render(prompt) for prompt in prompts]
        inputs = self.processor(
            text=texts,
            images=[[image] for image in images],
            padding=True,
            return_tensors="pt",
            add_special_tokens=self._adds_special_tokens(texts[0]),
        )
        # PaliGemma's processor gives labels for a loss that nobody asks for.
        inputs.pop("labels", None)
        if (rows := len(inputs["input_ids"])) != len(images):
            raise InputError(
                f"the processor of a model of type {self.model_type} makes {rows} inputs of {len(images)}, so that no "
                "state belongs to an item: this family cannot be read"
            )
        settle_padding(inputs)
        self.check_length(inputs["input_ids"].shape[1])
        image_tokens = self.image_tokens(inputs)
        check_begin(self.processor.tokenizer, inputs["input_ids"], inputs["attention_mask"], image_tokens)
        seen = image_tokens.any(1)
        if not seen.all():
            raise InputError(
                f"the model would not see the image of {texts[int(seen.int().argmin())]!r}: its processor wrote none "
                f"of the tokens {self.image_token_id} that the model takes for an image's; they are of two models"
            )
        return inputs

    def check_length(self, tokens: int) -> None:
        """Refuse what is longer than the text that the decoder was made for: most compute nonsense without a word.

        Raises:
            InputError: giving both numbers.
        """
        most = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if most and tokens > most:
            raise InputError(
                f"with this prompt the model would read {tokens} tokens, but it was made for at most {most}; shorten "
                "the text or the prompt's wording"
            )

    def _prepare_texts(self, prompts: Sequence[str]) -> Any:
        model_type = self.model.config.model_type
        why = "puts an image before every text" if self.image_is_put_first() else NEEDS_IMAGE.get(model_type)
        if why:
            raise InputError(f"a model of type {model_type} {why}: use `image: blank` in place of `image: none`")
        texts = [self.render(prompt, with_image=False) for prompt in prompts]
        special = self._adds_special_tokens(texts[0], by_processor=False)
        # The tokenizer that the processor writes texts with, which asks for no image.
        written = self.processor.tokenizer(texts, padding=True, return_tensors="pt", add_special_tokens=special)
        self.check_length(written["input_ids"].shape[1])
        check_begin(self.processor.tokenizer, written["input_ids"], written["attention_mask"])
        return BatchFeature({key: written[key] for key in ("input_ids", "attention_mask")})

    @torch.inference_mode()
    def run(self, prepared: Any, positions: Sequence[str]) -> dict[str, Tensor]:
        """See :meth:`FrozenModel.run`."""
        if isinstance(prepared, list):
            parts = [self.run(one, positions) for one in prepared]
            return {position: torch.cat([part[position] for part in parts]) for position in positions}
        inputs = prepared.to(self.device, self.dtype)
        select = {position: self._select(inputs, position) for position in positions}
        with read_layers(self.blocks, self.final_norm, select) as readings, self._intervened(inputs):
            self.forward(**inputs, use_cache=False)
        return readings.stacked()

    @torch.inference_mode()
    def reported(self, prepared: Any, positions: Sequence[str]) -> dict[str, Tensor]:
        """See :meth:`FrozenModel.reported`: what transformers calls ``hidden_states``."""
        inputs = prepared.to(self.device, self.dtype)
        readings = LayerReadings({position: self._select(inputs, position) for position in positions})
        config = self.decoder.config
        # Else what is reported last may be the topmost block's output, before the final norm.
        tied, config.tie_last_hidden_states = getattr(config, "tie_last_hidden_states", None), True
        try:
            with self._intervened(inputs):
                output = self.forward(**inputs, use_cache=False, output_hidden_states=True)
        finally:
            config.tie_last_hidden_states = tied
        # BLIP-2 and InstructBLIP hand on what their language model gives.
        for hidden in getattr(output, "language_model_outputs", output).hidden_states:
            readings.take(hidden)
        return readings.stacked()

    def prepare_shared(self, image: Image.Image, prompts: Sequence[str]) -> PromptGroup:
        """See :meth:`FrozenModel.prepare_shared`."""
        inputs = self.prepare([image], prompts[:1])
        first = inputs["input_ids"][0].tolist()
        token_ids = self.token_ids(first, prompts)
        if token_ids is None:
            token_ids = [first, *(self.prepare([image], [p])["input_ids"][0].tolist() for p in prompts[1:])]
        return split_prefix(inputs, self.image_tokens(inputs), token_ids)

    @torch.inference_mode()
    def run_shared(self, prepared: PromptGroup, positions: Sequence[str]) -> dict[str, Tensor]:
        """See :meth:`FrozenModel.run_shared`."""
        group = prepared.to(self.device, self.dtype)
        intervened = self.intervention.applied if self.intervention else untouched

        def run_prefix(**inputs: Any) -> Any:
            with intervened(group.image_tokens):
                return self.forward(**inputs)

        def continue_texts(packed: PackedTexts, prefix: Cache) -> None:
            with intervened(torch.zeros_like(packed.ids, dtype=torch.bool), group.image_tokens):
                self.continue_texts(packed, prefix)

        shared = SharedDecoder(run_prefix, self.decoder, self.blocks, self.final_norm, continue_texts, self.across)
        return shared.states(group, positions, self.room)

    def spared_flop(self, prepared: PromptGroup) -> float:
        """See :meth:`FrozenModel.spared_flop`: two per parameter and token."""
        block = sum(parameter.numel() for parameter in self.blocks[0].parameters())
        return 2 * block * prepared.prefix["input_ids"].shape[1]

    def forward(self, **inputs: Any) -> Any:
        """Run the model up to the final norm, where its base model ends: the language-model head is not needed."""
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
            # What is around the decoder makes its mask of what each token sees across.
            self.forward(**inputs, cross_attention_mask=packed.across)

    def token_ids(self, first: Sequence[int], prompts: Sequence[str]) -> list[list[int]] | None:
        """Token ids of prompts about one image, from those that the processor made of the first one and the image.

        Whole texts are tokenized, never parts: tokens must not depend on where texts begin to differ. None where only
        the processor can tell.
        """
        texts = [self.render(prompt) for prompt in prompts]
        tokenizer = self.processor.tokenizer
        plain = tokenizer(texts, add_special_tokens=self._adds_special_tokens(texts[0]))["input_ids"]
        placeholder = tokenizer.convert_tokens_to_ids(self.image_token)
        return expanded_like(first, plain, placeholder, set(tokenizer.get_added_vocab().values()))

    def image_tokens(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Where the image's tokens are, shape (batch, tokens).

        Raises:
            InputError: when the model does not say which they are.
        """
        if self.image_token_id is None:
            config = self.model.config
            why = "no model of this type does: this family needs an adapter of its own that finds the image's tokens"
            if "image_token_id" in {*config.attribute_map, *type(config).__dataclass_fields__}:
                why = "it is from before transformers needed one (image_token_id); take a newer revision"
            raise InputError(f"the config.json of this model of type {self.model_type} names no image token: {why}")
        return inputs["input_ids"] == self.image_token_id

    def _adds_special_tokens(self, text: str, by_processor: bool = True) -> bool:
        """Not where a chat template or the processor writes the first token: the text must not get a second one."""
        if by_processor and self.model_type in WRITES_BEGIN:
            return False
        bos = self.processor.tokenizer.bos_token
        return not (bos and text.startswith(bos))

    def _intervened(self, inputs: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """The model's intervention, if it has one, for a forward pass over whole inputs."""
        if self.intervention is None:
            return untouched(None)
        return self.intervention.applied(self.image_tokens(inputs) if self.intervention.on_image else None)

    def _select(self, inputs: Mapping[str, Tensor], position: str) -> Select:
        if position == "image-mean":
            return mean_over(self.image_tokens(inputs))
        return last_token(inputs["attention_mask"])


def settle_padding(inputs: MutableMapping[str, Tensor]) -> None:
    """Move padding to where it changes no state, in place: the processors of BLIP-2 and InstructBLIP misplace it.

    They pad the text on the left and then put the image's tokens before it. A decoder that counts positions without
    looking at the mask would see a shorter text of the batch further from its image. And what InstructBLIP's queries
    read is padded on that side too, though they count from the left.
    """
    mask = inputs["attention_mask"]
    if ((mask.diff(dim=1) != 0).sum(1) > 1).any():
        _reorder(inputs, PER_TOKEN, mask.argsort(dim=1, stable=True))
    if "qformer_attention_mask" in inputs:
        order = inputs["qformer_attention_mask"].argsort(dim=1, stable=True, descending=True)
        _reorder(inputs, ("qformer_input_ids", "qformer_attention_mask"), order)


def _reorder(inputs: MutableMapping[str, Tensor], keys: Sequence[str], order: Tensor) -> None:
    for key in keys:
        if key in inputs:
            inputs[key] = inputs[key].gather(1, order)


def _first(module: nn.Module, names: Sequence[str], what: str) -> nn.Module:
    for name in names:
        if isinstance(inner := getattr(module, name, None), nn.Module):
            return inner
    raise AttributeError(f"{type(module).__name__} holds neither {what} nor any of {', '.join(names)}")
