"""Any family that ``AutoModelForImageTextToText`` loads, with its decoder under ``get_decoder()``."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
from transformers.cache_utils import Cache

from layerwise.errors import InputError
from layerwise.models.frozen import FrozenModel, Select, last_token, mean_over, read_layers
from layerwise.models.memory import Room
from layerwise.models.prefix import (
    TEXTS_PER_CHUNK,
    PackedTexts,
    PromptGroup,
    SharedDecoder,
    can_pack,
    expanded_like,
    split_prefix,
)

# Model types whose decoder is causal over image and prefix, and for which tests/unit/test_shared_prefix.py shows that
# sharing it changes nothing. Left out, among others: PaliGemma, whose prefix attends to all of itself, the text too;
# InstructBLIP, whose image tokens depend on the text; mllama, which has no image tokens.
SHARES_PREFIX = frozenset(
    {
        "gemma3",
        "idefics3",
        "internvl",
        "llava",
        "llava_next",
        "qwen2_5_vl",
        "qwen2_vl",
        "smolvlm",
    }
)


def load(description: dict[str, Any], device: str, adapter: "type[GenericModel] | None" = None) -> "GenericModel":
    """Load the model that ``model.json`` describes; random weights are drawn from its seed.

    Args:
        description: see :func:`layerwise.models.registration.describe_model`.
        device: as torch names it.
        adapter: the class that serves a family of its own.

    Raises:
        InputError: when the folder holds no model that transformers knows, a package is missing, or the family needs
            another adapter.
    """
    folder = description["folder"]
    try:
        processor = AutoProcessor.from_pretrained(folder)
        dtype = getattr(torch, description["dtype"])
        if description["weights"] == "random":
            config = AutoConfig.from_pretrained(folder)
            # The seed draws the twin's weights and nothing else.
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(description["seed"])
                model = AutoModelForImageTextToText.from_config(config, dtype=dtype)
        else:
            model = AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype, use_safetensors=True)
    except ImportError as error:
        # Some processors need a package of their own, and say which.
        raise InputError(
            f"models.{description['model']}: {folder} needs a package that is not here: {error}"
        ) from error
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"models.{description['model']}: cannot load {folder}: {error}") from error
    frozen = model.to(device).eval().requires_grad_(False)
    try:
        return (adapter or GenericModel)(frozen, processor, description["conversation"])
    except AttributeError as error:
        raise InputError(
            f"models.{description['model']}: the adapter {description['adapter']!r} does not find its way in a model "
            f"of type {description['model_type']} ({error}); this family needs an adapter of its own"
        ) from error


class GenericModel(FrozenModel):
    """A frozen model behind the interface of :class:`layerwise.models.frozen.FrozenModel`."""

    shared_types = SHARES_PREFIX
    default_conversation = "<image>\n{prompt}"

    def __init__(self, model: nn.Module, processor: Any, conversation: str):
        self.model = model
        self.processor = processor
        self.decoder = self.find_decoder()
        self.blocks, self.final_norm = self.decoder.layers, self.find_final_norm()
        self.n_layers = len(self.blocks)
        self.width = model.config.get_text_config().hidden_size
        self.dtype = model.dtype
        self.image_token = self.find_image_token()
        # Not always the id of image_token: Gemma 3 writes out a token that stands for the image in another one.
        self.image_token_id = getattr(model.config, "image_token_id", None)
        if conversation == "auto":
            conversation = "chat" if getattr(processor, "chat_template", None) else self.default_conversation
        self.conversation = conversation
        self.shares_prefix = (
            model.config.model_type in self.shared_types and can_pack(self.decoder.config) and self.image_comes_first()
        )
        self.room = Room(TEXTS_PER_CHUNK, "texts about one image")

    def find_decoder(self) -> nn.Module:
        """The text decoder, with its blocks under ``layers``."""
        return self.model.get_decoder()

    def find_final_norm(self) -> nn.Module:
        """The norm behind the last block."""
        return self.decoder.norm

    def find_image_token(self) -> str:
        """What stands for the image in a text."""
        return self.processor.image_token

    def image_comes_first(self) -> bool:
        """Whether the image stands before the prompt, so that prompts about it share it."""
        before, _, _ = self.render("the prompt itself").partition("the prompt itself")
        return self.image_token in before

    def render(self, prompt: str) -> str:
        """See :meth:`FrozenModel.render`."""
        if self.image_token in prompt:
            raise InputError(f"the prompt {prompt!r} holds the model's image token {self.image_token}; reword the text")
        if self.conversation != "chat":
            # The prompt last: a prompt that says "<image>" must stay text.
            return self.conversation.replace("<image>", self.image_token).replace("{prompt}", prompt)
        turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}
        return self.processor.apply_chat_template([turn], add_generation_prompt=True, tokenize=False)

    def prepare(self, images: Sequence[Image.Image], prompts: Sequence[str]) -> Any:
        """The processor's tensors for a batch; padded on whichever side the tokenizer pads, never truncated."""
        texts = [self.render(prompt) for prompt in prompts]
        return self.processor(
            text=texts,
            images=[[image] for image in images],
            padding=True,
            return_tensors="pt",
            add_special_tokens=self._adds_special_tokens(texts[0]),
        )

    @torch.inference_mode()
    def run(self, prepared: Any, positions: Sequence[str]) -> dict[str, Tensor]:
        """See :meth:`FrozenModel.run`."""
        inputs = prepared.to(self.model.device, self.dtype)
        select = {position: self._select(inputs, position) for position in positions}
        with read_layers(self.blocks, self.final_norm, select) as readings:
            self.forward(**inputs, use_cache=False)
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
        group = prepared.to(self.model.device, self.dtype)
        shared = SharedDecoder(self.forward, self.decoder, self.blocks, self.final_norm, self.continue_texts)
        return shared.states(group, positions, self.room)

    def spared_flop(self, prepared: PromptGroup) -> float:
        """See :meth:`FrozenModel.spared_flop`: two per parameter and token."""
        block = sum(parameter.numel() for parameter in self.blocks[0].parameters())
        return 2 * block * prepared.prefix["input_ids"].shape[1]

    def forward(self, **inputs: Any) -> None:
        """Run the model up to the final norm, where its base model ends: the language-model head is not needed."""
        self.model.base_model(**inputs)

    def continue_texts(self, packed: PackedTexts, prefix: Cache) -> None:
        """Run packed texts through the decoder, over the prefix's cache."""
        self.decoder(
            input_ids=packed.ids,
            position_ids=packed.positions,
            attention_mask=packed.masks(self.decoder.config, self.dtype),
            past_key_values=prefix,
            use_cache=True,
        )

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
        """Where the image's tokens are, shape (batch, tokens)."""
        return inputs["input_ids"] == self.image_token_id

    def _adds_special_tokens(self, text: str) -> bool:
        """Not where a chat template writes the first token itself: it must not get a second one."""
        bos = self.processor.tokenizer.bos_token
        return not (bos and text.startswith(bos))

    def _select(self, inputs: Mapping[str, Tensor], position: str) -> Select:
        if position == "last":
            return last_token(inputs["attention_mask"])
        return mean_over(self.image_tokens(inputs))
