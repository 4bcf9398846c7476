"""Language models without vision: any that ``AutoModelForCausalLM`` loads, for prompts without an image."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from layerwise.errors import InputError
from layerwise.models.adapters.generic import GenericModel, load_as
from layerwise.models.frozen import Shown, pictures_of
from layerwise.several_pictures import check_places


def load(description: dict[str, Any], device: str) -> "TextModel":
    """Load the model that ``model.json`` describes; see :func:`layerwise.models.adapters.generic.load_as`."""
    return load_as(TextModel, description, device)


def wrap(model: nn.Module, processor: Any, conversation: str) -> "TextModel":
    """Serve a language model that was built elsewhere, with or without its weights.

    Args:
        model: of transformers.
        processor: a :class:`layerwise.models.text_processor.TextProcessor`.
        conversation: see the model entry's key in the config.
    """
    return TextModel(model, processor, conversation)


class TextModel(GenericModel):
    """A frozen language model. It reads prompts as a multimodal model reads those without an image."""

    def find_image_token(self) -> str:
        """Nothing stands for an image."""
        return ""

    def settle_conversation(self, conversation: str) -> str:
        """The tokenizer's chat template, or a text with ``{prompt}``.

        It may hold ``<image>``, which stands for nothing, so that it can be that of a multimodal model.

        Raises:
            InputError: when it is ``chat``, and the tokenizer has no chat template.
        """
        template = self.processor.tokenizer.chat_template
        if conversation == "chat" and not template:
            raise InputError(
                f"the tokenizer of this model of type {self.model_type} has no chat template; give the model entry a "
                "`conversation` with {prompt}"
            )
        if conversation == "auto":
            return "chat" if template else "{prompt}"
        return conversation

    def image_comes_first(self) -> bool:
        """No: there is none that prompts could share."""
        return False

    def render(self, prompt: str, pictures: int = 0) -> str:
        """See :meth:`FrozenModel.render`; there is never an image."""
        check_places(prompt, 0)
        if self.conversation == "chat":
            turn = {"role": "user", "content": prompt}
            return self.processor.tokenizer.apply_chat_template([turn], add_generation_prompt=True, tokenize=False)
        # As a multimodal model reads it without an image.
        written = self.conversation.replace("<image>", "")
        if written != self.conversation:
            written = written.lstrip()
        return written.replace("{prompt}", prompt)

    def prepare(self, images: Sequence[Shown], prompts: Sequence[str]) -> Any:
        """The tokenizer's tensors for a batch, padded and never truncated.

        Raises:
            InputError: when there is an image, or a text is longer than the model was made for.
        """
        if any(pictures_of(image) for image in images):
            raise InputError(
                f"a model of type {self.model_type} is a language model, which sees no picture; give it prompts with "
                "`image: none`"
            )
        return super().prepare(images, prompts)

    def image_tokens(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """There are none.

        Raises:
            InputError: always.
        """
        raise InputError(f"a model of type {self.model_type} is a language model: there are no tokens of an image")

    def image_tokens_if_any(self, inputs: Mapping[str, Tensor]) -> None:
        """There are none."""
