"""Any family that ``AutoModelForImageTextToText`` loads, with its decoder under ``get_decoder()``."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from layerwise.errors import InputError
from layerwise.models.frozen import Select, last_token, mean_over, read_layers


def load(description: dict[str, Any], device: str) -> "GenericModel":
    """Load the model that ``model.json`` describes; random weights are drawn from its seed.

    Raises:
        InputError: when the folder holds no model that transformers knows.
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
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"models.{description['model']}: cannot load {folder}: {error}") from error
    return GenericModel(model.to(device).eval().requires_grad_(False), processor, description["conversation"])


class GenericModel:
    """A frozen model behind the interface of :class:`layerwise.models.frozen.FrozenModel`."""

    def __init__(self, model: torch.nn.Module, processor: Any, conversation: str):
        self.model = model
        self.processor = processor
        decoder = model.get_decoder()
        self.blocks, self.final_norm = decoder.layers, decoder.norm
        self.n_layers = len(self.blocks)
        self.width = model.config.get_text_config().hidden_size
        self.image_token = processor.image_token
        self.image_token_id = processor.tokenizer.convert_tokens_to_ids(self.image_token)
        if conversation == "auto":
            conversation = "chat" if getattr(processor, "chat_template", None) else "<image>\n{prompt}"
        self.conversation = conversation

    def render(self, prompt: str) -> str:
        """See :meth:`FrozenModel.render`."""
        if self.image_token in prompt:
            raise InputError(f"the prompt {prompt!r} holds the model's image token {self.image_token}; reword the text")
        if self.conversation != "chat":
            # The prompt last: a prompt that says "<image>" must stay text.
            return self.conversation.replace("<image>", self.image_token).replace("{prompt}", prompt)
        turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}
        return self.processor.apply_chat_template([turn], add_generation_prompt=True, tokenize=False)

    def inputs(self, images: Sequence[Image.Image], prompts: Sequence[str]) -> dict[str, Tensor]:
        """The processor's tensors for a batch; padded on whichever side the tokenizer pads, never truncated."""
        texts = [self.render(prompt) for prompt in prompts]
        bos = self.processor.tokenizer.bos_token
        # A chat template that writes the first token itself must not get a second one.
        special = not (bos and texts[0].startswith(bos))
        batch = self.processor(
            text=texts,
            images=[[image] for image in images],
            padding=True,
            return_tensors="pt",
            add_special_tokens=special,
        )
        return batch.to(self.model.device, self.model.dtype)

    @torch.inference_mode()
    def states(
        self, images: Sequence[Image.Image], prompts: Sequence[str], positions: Sequence[str]
    ) -> dict[str, Tensor]:
        """See :meth:`FrozenModel.states`."""
        inputs = self.inputs(images, prompts)
        select = {position: self._select(inputs, position) for position in positions}
        with read_layers(self.blocks, self.final_norm, select) as readings:
            # The language-model head is not needed: the base model ends at the final norm.
            self.model.base_model(**inputs, use_cache=False)
        return readings.stacked()

    def _select(self, inputs: dict[str, Tensor], position: str) -> Select:
        if position == "last":
            return last_token(inputs["attention_mask"])
        return mean_over(inputs["input_ids"] == self.image_token_id)
