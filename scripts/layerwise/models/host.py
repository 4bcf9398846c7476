"""The host's side of a model of transformers: its texts, and the inputs that its own processor makes."""

import inspect
import re
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from transformers import BatchFeature

from layerwise.errors import InputError
from layerwise.models.begin_checks import check_begin
from layerwise.models.block_kinds import CHOOSING
from layerwise.models.families import PUTS_FIRST, family_of
from layerwise.models.frozen import PICTURES, AnsweringModel, Shown, pictures_of
from layerwise.models.padding import scaled_from, settle_padding
from layerwise.models.picture_checks import check_placed, prepared_together, refuse_several
from layerwise.models.pictures import (
    WORDS,
    counted_between,
    in_text_order,
    numbered,
    one_run_each,
    touching,
    with_words_between,
)
from layerwise.models.prefix.packing import most_exact
from layerwise.models.prefix.split import PromptGroup, expanded_like, split_prefix
from layerwise.several_pictures import check_places, parts, place, places, without_places

# Words that a chat template is tried with.
BEFORE, BEHIND = "what stands before", "what stands behind"


def _inputs_of(model: nn.Module) -> Collection[str]:
    """The names of the inputs that a model takes."""
    return inspect.signature(model.forward).parameters.keys()


def _in_text_order(image: Shown, prompt: str) -> list[Image.Image]:
    """An input's pictures in the order in which its text has them."""
    pictures = pictures_of(image)
    check_places(prompt, len(pictures))
    return [pictures[number - 1] for number in in_text_order(prompt, len(pictures))]


class HostSide(AnsweringModel):
    """Renders prompts and prepares inputs; nothing here runs on a device.

    Attributes:
        family: its row in the table of model families.
        conversation: how a prompt and the image are put into a text: ``chat`` for the family's chat template, or a text
            with ``{prompt}`` and, unless the processor puts the image first, the image's token.
        image_token: what stands for the image in a text.
        image_token_id: the id of an image's tokens in prepared inputs; None where the configuration names none.
        runs_alone: whether inputs run one by one, texts without an image too.
    """

    def __init__(self, model: nn.Module, processor: Any, conversation: str):
        """
        Args:
            model: only its configuration is read here.
            processor: the family's own processor.
            conversation: see the model entry's key in the config.

        Raises:
            InputError: when the conversation has no place for the image.
        """
        self.model = model
        self.model_type = model.config.model_type
        self.family = family_of(self.model_type)
        kinds = getattr(model.config.get_text_config(), "layer_types", None) or ()
        self.runs_alone = self.family.runs_alone or not set(kinds).isdisjoint(CHOOSING)
        self.processor = processor
        if getattr(processor, "num_query_tokens", 0) is None:
            # Older files of BLIP-2 do not tell its processor how many image tokens to write.
            processor.num_query_tokens = model.config.num_query_tokens
        if not getattr(processor, "return_mm_token_type_ids", True) and "mm_token_type_ids" in _inputs_of(model):
            # Cosmos 3 Edge finds rows and columns by them, but its processor leaves them out unless it is asked.
            processor.return_mm_token_type_ids = True
        # Not always the id of image_token: Gemma 3 replaces that token with others.
        self.image_token_id = getattr(model.config, "image_token_id", None)
        self.image_token = self.find_image_token()
        self.conversation = self.settle_conversation(conversation)
        # How many tokens pictures of certain sizes have, one after the other in one text.
        self._counted: dict[tuple[tuple[int, int], ...], list[int]] = {}

    def find_image_token(self) -> str:
        """What stands for the image in a text."""
        # Some processors look for one token and write out another.
        for name in ("image_placeholder_token", "image_token"):
            if token := getattr(self.processor, name, None):
                return str(token)
        # Others leave it to the chat template to write all of an image's tokens.
        return self.processor.tokenizer.convert_ids_to_tokens(self.image_token_id)

    def settle_conversation(self, conversation: str) -> str:
        """The conversation that an entry's key means.

        Raises:
            InputError: when it has no place for the image.
        """
        if conversation == "auto":
            conversation = "chat" if getattr(self.processor, "chat_template", None) else "<image>\n{prompt}"
            if conversation != "chat" and self.image_is_put_first():
                conversation = "<image>{prompt}"
        self.conversation = conversation
        if not self.image_is_put_first() and self.image_token not in self.render("the prompt itself"):
            raise InputError(
                f"the conversation {conversation!r} has no place for the image: it does not write {self.image_token}; "
                "give the model entry a `conversation` with <image> and {prompt}"
            )
        return conversation

    def image_is_put_first(self) -> bool:
        """Whether the processor puts the image before every text, so that no text says where it is."""
        return hasattr(self.processor, "num_query_tokens") or self.family.puts_image_first

    def image_comes_first(self) -> bool:
        """Whether the image stands before the prompt, so that prompts about it share it."""
        before, _, _ = self.render("the prompt itself").partition("the prompt itself")
        return self.image_is_put_first() or self.image_token in before

    def render(self, prompt: str, pictures: int = 1) -> str:
        """See :meth:`FrozenModel.render`."""
        if self.image_token in prompt:
            raise InputError(f"the prompt {prompt!r} holds the model's image token {self.image_token}; reword the text")
        self._check_pictures(prompt, pictures)
        if self.image_is_put_first():
            prompt = without_places(prompt)
        if self.conversation == "chat":
            return self._render_chat(prompt, pictures)
        if self.image_is_put_first():
            written = self.conversation.replace("<image>", "")
        elif places(prompt):
            written = re.sub(r"<image>\s*", "", self.conversation)
            prompt = self._with_tokens(prompt)
        elif pictures > 1:
            # Each is followed by what follows the one.
            written = re.sub(r"<image>(\s*)", lambda found: pictures * (self.image_token + found[1]), self.conversation)
        else:
            written = self.conversation.replace("<image>", self.image_token if pictures else "")
        # Insert the prompt last, so that "<image>" in a prompt stays text.
        return (written if pictures else written.lstrip()).replace("{prompt}", prompt)

    def _render_chat(self, prompt: str, pictures: int) -> str:
        image = {"type": "image"}
        if not places(prompt):
            content = [*[image] * pictures, {"type": "text", "text": prompt}]
        elif self.interleaves:
            content = [image if isinstance(part, int) else {"type": "text", "text": part} for part in parts(prompt)]
        else:
            content = [{"type": "text", "text": self._with_tokens(prompt)}]
        return self._chat(content)

    def _chat(self, content: Sequence[Mapping[str, str]]) -> str:
        turn = {"role": "user", "content": content}
        return self.processor.apply_chat_template([turn], add_generation_prompt=True, tokenize=False)

    def _with_tokens(self, prompt: str) -> str:
        """A prompt with the image's token in its places."""
        return "".join(self.image_token if isinstance(part, int) else part for part in parts(prompt))

    @cached_property
    def interleaves(self) -> bool:
        """Whether the chat template writes a picture where it stands; some write all before the text."""
        before, behind = ({"type": "text", "text": text} for text in (BEFORE, BEHIND))
        head, found, tail = self._chat([before, {"type": "image"}, behind]).partition(self.image_token)
        return bool(found) and BEFORE in head and BEHIND in tail

    def _check_pictures(self, prompt: str, pictures: int) -> None:
        why = self.family.one_picture or (PUTS_FIRST if self.image_is_put_first() else "")
        refuse_several(f"a model of type {self.model_type}", pictures, why)
        check_places(prompt, pictures)
        # At the start is where it is put anyway.
        if self.image_is_put_first() and not prompt.startswith(place(1)):
            check_placed(self.model_type, prompt)

    def prepare(self, images: Sequence[Shown], prompts: Sequence[str]) -> Any:
        """The processor's tensors for a batch, padded on the tokenizer's side and never truncated.

        Raises:
            InputError: when a text has no image tokens, so that the model would not see its image, when it is not
                certain which picture they belong to, or when a model that cannot read a text without an image gets
                none.
        """
        if self.runs_alone and len(images) > 1:
            return self._prepare_each(images, prompts)
        if not pictures_of(images[0]):
            return self._prepare_texts(prompts)
        in_order = [_in_text_order(image, prompt) for image, prompt in zip(images, prompts, strict=True)]
        texts = [self.render(prompt, len(own)) for prompt, own in zip(prompts, in_order, strict=True)]
        inputs = self.processed(texts, in_order, self._adds_special_tokens(texts[0]))
        # PaliGemma's processor adds labels for training.
        inputs.pop("labels", None)
        if (rows := len(inputs["input_ids"])) != len(images):
            raise InputError(
                f"the processor of a model of type {self.model_type} makes {rows} inputs from {len(images)}, so that "
                "states cannot be matched with items; this family is not supported"
            )
        settle_padding(inputs)
        self.check_length(inputs["input_ids"].shape[1])
        if self._padding_scales(inputs):
            return self._prepare_each(images, prompts)
        image_tokens = self.image_tokens(inputs)
        check_begin(self.processor.tokenizer, inputs["input_ids"], inputs["attention_mask"], image_tokens)
        seen = image_tokens.any(1)
        if not seen.all():
            raise InputError(
                f"the model would not see the image of {texts[int(seen.int().argmin())]!r}: its processor wrote none "
                f"of the tokens {self.image_token_id} that the model reads as an image; the two do not belong together"
            )
        if any(len(own) > 1 for own in in_order):
            each = zip(image_tokens, texts, in_order, prompts, strict=True)
            inputs[PICTURES] = torch.stack([self._numbered(*one) for one in each])
        return inputs

    def _numbered(self, image: Tensor, text: str, pictures: Sequence[Image.Image], prompt: str) -> Tensor:
        """Whose tokens those of one text are, shape (tokens,); the pictures in the order of the text."""
        counts = one_run_each(image, text, self.image_token, len(pictures)) or self._counts(pictures)
        if sum(counts) != int(image.sum()):
            raise InputError(
                f"the {int(image.sum())} image tokens of {text!r} cannot be told apart: in a model of type "
                f"{self.model_type} its {len(pictures)} pictures have {', '.join(map(str, counts))} when words stand "
                "between them; this family is not supported with several pictures"
            )
        numbers = numbered(image, counts, in_text_order(prompt, len(pictures)))
        if (pair := touching(numbers)) and hasattr(self.model.base_model, "get_rope_index"):
            # Such families take unbroken runs of image tokens for pictures, to number their rows and columns.
            raise InputError(
                f"nothing stands between the pictures {pair[0]} and {pair[1]} of {text!r}, and a model of type "
                f"{self.model_type} takes them for one; write something between their places, or leave `conversation` "
                "out if the model has a chat template"
            )
        return numbers

    def _counts(self, pictures: Sequence[Image.Image]) -> list[int]:
        """How many tokens each of some pictures has in a text of its own with all of them, in this order.

        Their number may decide how many tokens each has, and so may their sizes, but not what they show.

        Raises:
            InputError: when two texts with other words between the pictures differ in more than these.
        """
        sizes = tuple(picture.size for picture in pictures)
        if sizes not in self._counted:
            self._counted[sizes] = self._count(pictures)
        return self._counted[sizes]

    def _count(self, pictures: Sequence[Image.Image]) -> list[int]:
        for words in WORDS:
            made = []
            for word in words:
                text = self.render(with_words_between(len(pictures), word), len(pictures))
                made.append(self.processed([text], [pictures], self._adds_special_tokens(text)))
            first, second = (inputs["input_ids"][0] for inputs in made)
            counts = counted_between(first, second, self.image_tokens(made[0])[0], len(pictures))
            if counts is not None:
                return counts
        raise InputError(
            f"a model of type {self.model_type} does not keep {len(pictures)} pictures apart, so that it is not known "
            "which tokens are whose; this family is not supported with several pictures"
        )

    def processed(self, texts: Sequence[str], images: Sequence[Sequence[Any]], special: bool) -> BatchFeature:
        """What the processor makes of texts with an image each; ``special``: whether it adds special tokens."""
        with prepared_together(self.model_type, images, self.processed, texts, special):
            return self.processor(
                text=texts,
                images=list(chain.from_iterable(images)) if self.family.flat_images else [list(own) for own in images],
                padding=True,
                return_tensors="pt",
                add_special_tokens=special,
            )

    def check_length(self, tokens: int) -> None:
        """Refuse more tokens than the decoder was made for: most decoders would silently compute nonsense.

        Raises:
            InputError: giving both numbers.
        """
        config = self.model.config.get_text_config()
        exact = most_exact(config)
        if exact is not None and tokens > exact:
            raise InputError(
                f"with this prompt the model would read {tokens} tokens, padding included; from {exact + 1} on, states "
                f"of a model of type {self.model_type} depend on what else is in a batch; shorten the text or the "
                "prompt's wording"
            )
        most = getattr(config, "max_position_embeddings", None)
        if most and tokens > most:
            raise InputError(
                f"with this prompt the model would read {tokens} tokens, but it was made for at most {most}; shorten "
                "the text or the prompt's wording"
            )

    def _prepare_each(self, images: Sequence[Shown], prompts: Sequence[str]) -> list[Any]:
        """Each input by itself."""
        return [self.prepare([image], [prompt]) for image, prompt in zip(images, prompts, strict=True)]

    def _padding_scales(self, inputs: Mapping[str, Tensor]) -> bool:
        """Whether padding on the left moves tokens to where the decoder scales their queries differently."""
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        scaled = scaled_from(self.model.config.get_text_config())
        return scaled is not None and ids.shape[1] > scaled and not bool(mask[:, 0].all())

    def _prepare_texts(self, prompts: Sequence[str]) -> Any:
        why = "puts an image before every text" if self.image_is_put_first() else self.family.needs_image
        if why:
            raise InputError(f"a model of type {self.model_type} {why}: use `image: blank` in place of `image: none`")
        texts = [self.render(prompt, pictures=0) for prompt in prompts]
        special = self._adds_special_tokens(texts[0], by_processor=False)
        # The processor would ask for an image; its tokenizer does not.
        written = self.processor.tokenizer(texts, padding=True, return_tensors="pt", add_special_tokens=special)
        self.check_length(written["input_ids"].shape[1])
        if self._padding_scales(written):
            return self._prepare_each([None] * len(prompts), prompts)
        check_begin(self.processor.tokenizer, written["input_ids"], written["attention_mask"])
        return BatchFeature({key: written[key] for key in ("input_ids", "attention_mask")})

    def prepare_shared(self, image: Shown, prompts: Sequence[str]) -> PromptGroup:
        """See :meth:`FrozenModel.prepare_shared`."""
        inputs = self.prepare([image], prompts[:1])
        first = inputs["input_ids"][0].tolist()
        token_ids = self.token_ids(first, prompts, len(pictures_of(image)))
        if token_ids is None:
            token_ids = [first, *(self.prepare([image], [p])["input_ids"][0].tolist() for p in prompts[1:])]
        return split_prefix(inputs, self.picture_tokens(inputs), token_ids)

    def token_ids(self, first: Sequence[int], prompts: Sequence[str], pictures: int = 1) -> list[list[int]] | None:
        """Token ids of prompts about one image, given those that the processor made for the image and the first prompt.

        They may also be about the same several pictures.

        Whole texts are tokenized, never parts, because tokens must not depend on where texts begin to differ. None if
        only the processor can make the ids.
        """
        texts = [self.render(prompt, pictures) for prompt in prompts]
        tokenizer = self.processor.tokenizer
        plain = tokenizer(texts, add_special_tokens=self._adds_special_tokens(texts[0]))["input_ids"]
        placeholder = tokenizer.convert_tokens_to_ids(self.image_token)
        return expanded_like(first, plain, placeholder, set(tokenizer.get_added_vocab().values()), pictures)

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
        """False where a chat template or the processor writes the begin token: the text must not get a second one."""
        if by_processor and self.family.writes_begin:
            return False
        bos = self.processor.tokenizer.bos_token
        return not (bos and text.startswith(bos))
