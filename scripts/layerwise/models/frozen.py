"""What the stages see of a frozen model, and the hooks that read its layers.

Works in the older environment too (``envs/legacy.txt``): nothing here imports transformers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor, nn

from layerwise.errors import InputError
from layerwise.models.parts import site_module
from layerwise.models.site_names import ALL_PICTURES, AT_SITE
from layerwise.models.site_names import picture_of as picture_of
from layerwise.models.site_names import picture_position as picture_position

if TYPE_CHECKING:
    from transformers.cache_utils import Cache

    from layerwise.models.intervening import Intervention
    from layerwise.models.prefix.packing import PackedTexts


# The key of :meth:`AnsweringModel.picture_tokens` in prepared inputs that show several pictures. No family takes it.
PICTURES = "picture_tokens"
# What an input shows: a picture, several in the order of their numbers, or none.
Shown = Image.Image | tuple[Image.Image, ...] | None


def pictures_of(shown: Shown) -> tuple[Image.Image, ...]:
    """The pictures that an input shows, in the order of their numbers."""
    if shown is None:
        return ()
    return shown if isinstance(shown, tuple) else (shown,)


def layer_names(n_layers: int) -> list[str]:
    """Names of the ``n_layers + 2`` states per token: embeddings, every block's output, the final norm's output."""
    return ["embeddings", *(f"block {i}" for i in range(1, n_layers + 1)), "final norm"]


class FrozenModel(ABC):
    """A multimodal LLM with frozen weights: the interface through which states are extracted.

    Preparing inputs on the host (``prepare``) and running them on the device (``run``) are separate calls, so that a
    long run can do both at the same time.

    Attributes:
        model_type: the family's name, for messages.
        decoder: the text decoder.
        blocks: the decoder's blocks.
        final_norm: the norm after the last block.
        n_layers: number of blocks, L.
        width: size of a hidden state.
        n_heads: attention heads per block; 0 if blocks have different numbers of them.
        dtype: of the weights.
        device: of its inputs.
        shares_prefix: whether several prompts about one image give exactly the same states over one shared prefix. That
            needs a decoder that is causal over image and prefix: earlier tokens do not depend on later ones.
        batch_invariant: whether an input's states do not depend on the rest of its batch.
        across: the blocks, counted from 0, with cross-attention to the image, which then has no tokens of its own.
        intervention: what is changed in the decoder while it runs; None for an unchanged model.
    """

    model_type: str
    decoder: nn.Module
    blocks: nn.ModuleList
    final_norm: nn.Module
    n_layers: int
    width: int
    n_heads: int
    dtype: torch.dtype
    device: torch.device
    shares_prefix: bool = False
    batch_invariant: bool = True
    across: Collection[int] = frozenset()
    intervention: "Intervention | None" = None

    @property
    def images_at_once(self) -> int:
        """How many prepared images :meth:`run_several` is best given at once."""
        return 1

    @abstractmethod
    def render(self, prompt: str, pictures: int = 1) -> str:
        """The model's whole input text for a user's turn about so many pictures.

        Args:
            prompt: the turn. Its pictures stand in its places (:mod:`layerwise.several_pictures`), or without any
                where the model's conversation puts them.
            pictures: how many pictures are shown with it.

        Raises:
            InputError: when the prompt holds the model's own image token, its places are not those of the pictures, or
                the model does not take so many.
        """

    @abstractmethod
    def prepare(self, images: Sequence[Shown], prompts: Sequence[str]) -> Any:
        """Prepare the inputs of a batch of prompts, each with its pictures, on the host.

        It may run while ``run`` runs in another thread, but not in two threads at once.

        Args:
            images: what each prompt is shown with; all None for texts without an image.
            prompts: the users' turns.

        Raises:
            InputError: when the model would not see an image, does not take several, or cannot read a text without one.
        """

    @abstractmethod
    def run(self, prepared: Any, positions: Sequence[str]) -> dict[str, Tensor]:
        """States of a prepared batch; see :meth:`states`."""

    def reported(self, prepared: Any, positions: Sequence[str]) -> dict[str, Tensor] | None:
        """The same states as the family's own forward pass reports them, to check the hooks.

        Shape (batch, L + 1, width), on the CPU: embeddings, blocks 1 to L - 1, the final norm's output. (No forward
        pass reports the output of block L.) None for a family whose forward pass reports nothing.
        """
        return None

    def prepare_shared(self, image: Shown, prompts: Sequence[str]) -> Any:
        """Prepare the inputs of several prompts about one image on the host. The image is processed once.

        They may also be about the same several pictures. Then all texts must be equal up to the last picture
        (:func:`layerwise.several_pictures.before_last`).

        This and the next three methods are called only if ``shares_prefix`` is true.
        """
        raise NotImplementedError(f"a model of type {self.model_type} shares no prefix")

    def run_shared(self, prepared: Any, positions: Sequence[str]) -> dict[str, Tensor]:
        """States of prepared prompts about one image; see :meth:`states_shared`."""
        raise NotImplementedError(f"a model of type {self.model_type} shares no prefix")

    def run_several(self, prepared: Sequence[Any], positions: Sequence[str]) -> list[dict[str, Tensor]]:
        """What :meth:`run_shared` gives for each of several images. A model may run some of them together."""
        return [self.run_shared(one, positions) for one in prepared]

    def spared_flop(self, prepared: Any) -> float:
        """Floating-point operations per block that the shared prefix saves for each text after the first."""
        raise NotImplementedError(f"a model of type {self.model_type} shares no prefix")

    def states(self, images: Sequence[Shown], prompts: Sequence[str], positions: Sequence[str]) -> dict[str, Tensor]:
        """Hidden states by position (``last``, ``image-mean``), each of shape (batch, L + 2, width), on the CPU.

        ``image-mean`` is the mean over the tokens of all pictures, :func:`picture_position` that over one picture's.
        A position may also be one of :data:`layerwise.models.site_names.AT_SITE`: the states at that site of each block
        at the last token, shape (batch, L, width). For heads, the width holds all ``n_heads`` heads side by side, each
        equally wide.
        """
        return self.run(self.prepare(images, prompts), positions)

    def states_shared(self, image: Shown, prompts: Sequence[str], positions: Sequence[str]) -> dict[str, Tensor]:
        """The same as :meth:`states` of the image with each prompt, with image and common prefix computed once.

        Shape (prompts, L + 2, width), on the CPU, in the order of the prompts. Only where ``shares_prefix`` is true.
        """
        return self.run_shared(self.prepare_shared(image, prompts), positions)


class AnsweringModel(FrozenModel):
    """A frozen transformers model that can also answer questions: the interface through which flow is traced.

    Attributes:
        model: the whole model, with its output head and ``generate``.
        processor: the family's own, with its ``tokenizer``.
        goes_on: whether its blocks can be rerun with the inputs of an earlier run, over that run's keys and values
            (:mod:`layerwise.flow.free`).
    """

    model: nn.Module
    processor: Any
    goes_on: bool = False

    @abstractmethod
    def image_tokens(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Where the tokens of all pictures are in prepared inputs, shape (batch, tokens).

        Raises:
            InputError: when the model does not say which they are.
        """

    def picture_tokens(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Whose tokens they are in prepared inputs: a picture's number, or 0 for no picture's; shape (batch, tokens).

        Numbers are those of :data:`Shown`, wherever the prompt places the pictures.

        Raises:
            InputError: as :meth:`image_tokens`.
        """
        return inputs[PICTURES] if PICTURES in inputs else self.image_tokens(inputs).long()

    @abstractmethod
    def forward(self, **inputs: Any) -> Any:
        """Run the model up to the final norm, without its output head."""

    @abstractmethod
    def continue_texts(self, packed: "PackedTexts", prefix: "Cache") -> None:
        """Run packed texts through the decoder, over the prefix's cache."""


# Maps all tokens of a layer, shape (batch, tokens, width), to the state at one position, shape (batch, width).
Select = Callable[[Tensor], Tensor]


def last_token(attention_mask: Tensor) -> Select:
    """Select the last token that is not padding, whichever side is padded; ``attention_mask``: (batch, tokens)."""
    index = attention_mask.shape[1] - 1 - attention_mask.flip(1).to(torch.int64).argmax(1)
    return lambda hidden: hidden[torch.arange(len(hidden), device=hidden.device), index.to(hidden.device)]


def mean_over(tokens: Tensor) -> Select:
    """Select the mean over the tokens that are true in ``tokens``, shape (batch, tokens)."""
    weights = tokens.float() / tokens.sum(1, keepdim=True)
    return lambda hidden: torch.einsum("bt,btw->bw", weights.to(hidden.device), hidden.float())


def over_pictures(pictures: Tensor, position: str) -> Select | None:
    """What selects the mean over the tokens of all pictures, or of one; None if the position is no such mean.

    Args:
        pictures: whose tokens they are, shape (batch, tokens); see :meth:`AnsweringModel.picture_tokens`.
        position: its name.

    Raises:
        InputError: when an input does not show this picture.
    """
    if position == ALL_PICTURES:
        return mean_over(pictures > 0)
    number = picture_of(position)
    if number is None:
        return None
    own = pictures == number
    if not own.any(1).all():
        raise InputError(f"the position {position} is the mean over picture {number}, and an input shows fewer")
    return mean_over(own)


def hidden_in(args: tuple, kwargs: dict[str, Any]) -> Tensor:
    """The hidden states among the inputs that a hook gets; shape (batch, tokens, width)."""
    return args[0] if args else kwargs["hidden_states"]


def hidden_out(output: Any) -> Tensor:
    """The hidden states in a module's output, shape (batch, tokens, width)."""
    return output[0] if isinstance(output, tuple) else output


class LayerReadings:
    """The states that hooks keep from one forward pass: by position, one per layer."""

    def __init__(self, select: dict[str, Select]):
        self.select = select
        self.kept: dict[str, list[Tensor]] = {position: [] for position in select}

    def take(self, hidden: Tensor) -> None:
        """Keep the wanted positions of ``hidden``, shape (batch, tokens, width), except those within blocks."""
        for position in self.select:
            if position not in AT_SITE:
                self.take_at(position, hidden)

    def take_at(self, position: str, hidden: Tensor) -> None:
        """Keep one position of ``hidden``."""
        self.kept[position].append(self.select[position](hidden))

    def stacked(self) -> dict[str, Tensor]:
        """States by position, shape (batch, L + 2, width), or (batch, L, width) at sites in blocks; on the CPU.

        Raises:
            InputError: when blocks have heads of different sizes, or different numbers of heads.
        """
        stacked = {}
        for position, layers in self.kept.items():
            _check_sizes(position, layers)
            # Blocks may be on several devices. Gather on one of them, so that there is a single copy to the CPU.
            device = layers[-1].device
            stacked[position] = torch.stack([layer.to(device) for layer in layers], dim=1).cpu()
        return stacked


def _check_sizes(position: str, layers: Sequence[Tensor]) -> None:
    """Refuse a site whose states are not of one size. ``stack`` would fail, and padding would invent numbers."""
    sizes = [layer.shape[-1] for layer in layers]
    other = next((i for i, size in enumerate(sizes) if size != sizes[0]), None)
    if other is not None:
        raise InputError(
            f"states.sites: {AT_SITE[position]} cannot be kept for this family: together they have {sizes[0]} numbers "
            f"in block 1 and {sizes[other]} in block {other + 1}, because its blocks have heads of different sizes or "
            f"different numbers of heads; leave {AT_SITE[position]} out, or leave the model out by states.sites_of"
        )


@contextmanager
def read_layers(
    blocks: Sequence[nn.Module], final_norm: nn.Module, select: dict[str, Select]
) -> Iterator[LayerReadings]:
    """Hook the decoder while one forward pass runs, and always unhook it.

    Only the selected positions are kept, so that memory does not grow with the sequence. The last block is read before
    the final norm; ``output_hidden_states`` of transformers never shows that state.

    Raises:
        InputError: when a family's blocks lack the part at which a wanted site is read.
    """
    readings = LayerReadings(select)
    tokens: list[torch.Size] = []

    def before(_module, args, kwargs):
        hidden = hidden_in(args, kwargs)
        tokens[:] = [hidden.shape[:2]]
        readings.take(hidden)

    def after(_module, _args, output):
        readings.take(hidden_out(output))

    def at(position: str) -> Callable[..., None]:
        if AT_SITE[position] == "heads":
            return lambda _module, args, kwargs: readings.take_at(position, hidden_in(args, kwargs))
        # OPT's MLP gets the tokens of a batch in a single row.
        return lambda _module, _args, output: readings.take_at(position, hidden_out(output).reshape(*tokens[0], -1))

    parts = {
        position: [site_module(block, AT_SITE[position]) for block in blocks]
        for position in select
        if position in AT_SITE
    }
    handles = [blocks[0].register_forward_pre_hook(before, with_kwargs=True)]
    handles += [module.register_forward_hook(after) for module in (*blocks, final_norm)]
    for position, modules in parts.items():
        for module in modules:
            if AT_SITE[position] == "heads":
                handles.append(module.register_forward_pre_hook(at(position), with_kwargs=True))
            else:
                handles.append(module.register_forward_hook(at(position)))
    try:
        yield readings
    finally:
        for handle in handles:
            handle.remove()
