"""Frozen models, what runs them, and those that the workflow trains itself."""

from importlib import import_module
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, GetCoreSchemaHandler, PrivateAttr, create_model, model_validator
from pydantic_core import CoreSchema, PydanticCustomError

from layerwise.config.base import (
    Count,
    Each,
    Either,
    Filled,
    FromStudy,
    Maybe,
    Name,
    Names,
    Positive,
    Section,
    Seed,
    Text,
    maybe,
    number,
    text,
    whole,
)
from layerwise.models.interventions.catalogue import INTERVENTIONS

NonNegative = Annotated[int | float, number(least=0)]
Shards = Annotated[int, whole(1, 9999)]
Commit = Annotated[str, text("[0-9a-f]{40}", "a commit: all forty digits")]
Pickle = Annotated[
    str, text(r"([^/.][^/]*/)*[^/]+\.(bin|pt|pth)", "the path of a .bin, .pt or .pth file below the source")
]
PickleSum = Annotated[str, text("([0-9a-f]{64}|unpinned)", "a SHA-256 checksum, or the word unpinned")]


DeviceMap = Annotated[
    Literal["auto", "balanced", "balanced_low_0", "sequential"] | Annotated[dict[str, str | int], Filled()],
    Either("one of auto, balanced, balanced_low_0, sequential, or devices by module"),
]


class EmbeddedModel(Section):
    """A small LLaVA that the workflow trains on the world of shapes."""

    seed: Maybe[Seed] = None
    """Decides the first weights and the scenes that it is trained on. Default: the study's seed."""
    objective: Literal["captions", "questions", "both", "frames"] = "both"
    """What it is trained for. captions: to write captions; questions: to answer questions; both. These have as many
    steps, and as much text in each. frames: also to read sequences of two to four frames, in a longer training."""
    steps_scale: Positive = 1.0
    """Multiplies the number of training steps; 1 takes about two minutes on two cores."""


class Upstream(Section):
    """Code of the model's authors, which the adapter imports. Only the commit decides a result."""

    repository: Annotated[Text, FromStudy(None)]
    """Any address, folder or bare repository that git can clone."""
    commit: Commit
    """All forty digits of the commit, so that nobody can put other code in its place."""
    folder: str = "."
    """The folder in the repository that the adapter imports from."""
    files: list[Text] = []
    """Paths in the repository that are wanted. Default: all."""


class Adapter(Section):
    """What an adapter needs beyond the main environment."""

    environment: Literal["layerwise", "legacy"] = "layerwise"
    """Whose packages run the model: those of envs/requirements.txt, or the older ones of envs/legacy.txt."""
    upstream: Maybe[Upstream] = None
    """Code of the model's authors, which the adapter imports. Only the commit decides a result."""


class Intervention(Section):
    """What is changed in the decoder while it runs, on all inputs; one kind. Blocks are counted from 1."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    @property
    def kind(self) -> str:
        """Its name in the config."""
        return self._given()[0]

    @property
    def how(self) -> Section:
        """What its entry says."""
        return getattr(self, _field_name(self.kind))

    def _given(self) -> list[str]:
        return [kind for kind in INTERVENTIONS if getattr(self, _field_name(kind)) is not None]

    @model_validator(mode="after")
    def _is_one(self) -> "Intervention":
        if len(self._given()) != 1:
            known, given = ", ".join(INTERVENTIONS), len(self._given())
            raise PydanticCustomError("unfit", "give one of {known}, not {given}", {"known": known, "given": given})
        return self


class ByKind:
    """An :class:`Intervention` with a key for each kind of the catalogue, whose entry is the class of its module."""

    def section(self) -> type[Intervention]:
        """The class, made of the kinds' classes."""
        keys: dict[str, Any] = {
            _field_name(kind): (maybe(import_module(module).Entry), Field(None, alias=kind))
            for kind, module in INTERVENTIONS.modules.items()
        }
        return create_model("Intervention", __base__=Intervention, __doc__=Intervention.__doc__, **keys)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(self.section())


def _field_name(kind: str) -> str:
    return kind.replace("-", "_")


class Expected(Section):
    """What is known of a model before its files are here, for scripts/estimate_cost.py. Changes no result."""

    layers: Count
    """Decoder blocks. `pooled.layers` may not go beyond them."""
    width: Count
    """Size of a hidden state."""
    parameters: Positive
    """Of the decoder, in billions."""
    vision_parameters: NonNegative = 0.3
    """Of the vision tower, in billions."""
    image_tokens: Annotated[int, whole(0)]
    """Tokens that an image takes in the decoder; 0 for a language model."""
    patches: Maybe[Count] = None
    """Patches that the vision tower sees. Default: image_tokens."""
    shares_prefix: bool = True
    """Whether texts about an image run over one prefix."""


class Model(Section):
    """A frozen multimodal model, or a language model to compare it with."""

    model_config = ConfigDict(json_schema_extra={"dependentRequired": {"device_map": ["cards"]}})

    source: Annotated[Text, FromStudy(None)]
    """A local folder written by save_pretrained, a Hugging Face id (organisation/name), or the word `embedded` for a
    small LLaVA that the workflow trains."""
    embedded: Maybe[Name] = None
    """Which of `embedded_models` an entry with the source `embedded` is. Default: the only one."""
    revision: Maybe[Text] = None
    """Commit, tag or branch of a Hugging Face id. Give a commit, so that every machine runs the same weights;
    model.json and the log say which one it was."""
    weights: Literal["pretrained", "random"] = "pretrained"
    """random: same architecture, untrained weights by seed. A baseline for what a probe finds in random features."""
    seed: Maybe[Seed] = None
    """Draws the weights of an entry with `weights` random. Default: the study's seed."""
    seeds: Maybe[Annotated[list[Seed], Each(3)]] = None
    """In place of `seed`: several draws of random weights, at least three. The entry NAME becomes a model for each
    seed: NAME-0, NAME-1, ... Figures and tables show them as one model NAME, by their mean, and tests count how much
    they differ. They keep no sites within blocks."""
    dtype: Literal["float32", "bfloat16", "float16", "auto"] = "auto"
    """Precision of the forward pass. auto: that of the weights."""
    quantization: Literal["none", "8bit", "4bit"] = "none"
    """Weights of the linear layers in 8 bits (LLM.int8) or 4 bits (NormalFloat4), through the package bitsandbytes,
    which is not installed by default. Another model as far as results go. In 8 bits an input's states depend a little
    on what else is in its batch, so that prefixes are not shared."""
    device_map: Maybe[DeviceMap] = None
    """Spread the model over several devices: a word for accelerate, or a mapping from modules to devices (a GPU's
    number, cpu, disk). Needs `cards`. Changes no result."""
    trust_remote_code: bool = False
    """Run the Python code that comes with the weights. A Hugging Face id then needs a `revision` that is a commit, so
    that it is the code that you have read."""
    convert: Maybe[Annotated[dict[Pickle, PickleSum], Filled()]] = None
    """For a model without safetensors: its .bin or .pt files by name, each with its SHA-256. They are checked, loaded
    as tensors only (no pickled code runs), and written once as safetensors under results/converted. Of weights of one
    name in two files, those of the file that is named later count. In place of a checksum that you do not know yet
    write unpinned: the file is fetched, and the run stops with the checksum to put here."""
    adapter: Name = "generic"
    """Module of scripts/layerwise/models/adapters that serves this family. `text` serves language models without
    vision."""
    conversation: str = "auto"
    """How a prompt becomes the model's input: `chat` for the processor's chat template, or a string with <image> and
    {prompt}. auto takes the chat template where there is one, else "<image>\\n{prompt}". A language model has the
    chat template of its tokenizer, or a string with {prompt}; <image> stands for nothing there."""
    # Without a default, so that entries that leave it out stay what they were.
    image_processor: Maybe[Literal["auto", "pil", "torchvision"]] = None
    """What makes a model's pixels. Most families have two classes, whose pixels differ a little, on Pillow (pil) and on
    torchvision. auto: torchvision's where there is one, else Pillow's; model.json says which, and the same one is used
    from then on."""
    processor: Maybe[Annotated[dict[str, Any], Filled()]] = None
    """Settings of the model's own image processor, by the names that transformers gives them: the size of pictures, how
    they are tiled. They decide how many tokens a picture has, so this is another model as far as results go. Settings
    that a model does not have are refused, with those that it has."""
    intervention: Maybe[Annotated[Intervention, ByKind()]] = None
    """What is changed in the decoder while it runs, on all inputs; one kind. Another model as far as results go, over
    the same files. It is shown in figures of its own, beside the same model without it, which must be in the study too.
    Blocks are counted from 1. Adapters that run their authors' code allow none."""
    prompts: Maybe[Names] = None
    """Run only these of the stimulus sets' prompts on this model. Default: all; for a language model, all without an
    image (`image: none`)."""
    tasks: Maybe[Names] = None
    """Only these tasks are asked of this model. Default: all. A task that is asked of no model is not made, nor are its
    stimuli."""
    made_from: Maybe[Name] = None
    """The language model that this multimodal model was made from: an entry with `adapter: text`, of the same depth and
    width. Figures pair the two, and a table compares them in the prompts without an image. Changes no state."""
    batch_size: Count = 16
    """Stimuli per forward pass. Changes no result."""
    sharing: Literal["auto", "always", "never"] = "auto"
    """Whether texts about one image run over one prefix, where the model allows it. auto: where it spares more than it
    costs, which for a small model or a short prefix it does not. Changes no result beyond rounding."""
    shards: Shards = 1
    """How many jobs share the work of each cell, each with a states file of its own, so that one model runs on as many
    cards. An image's texts stay together. Changes no result beyond rounding, and cells that are finished with another
    number stay."""
    cards: Maybe[Count] = None
    """GPUs that one job takes; needed with `device_map`, which spreads the model over them. Changes no result. Default:
    1."""
    mem_mb: Maybe[Count] = None
    """Main memory that a scheduler is asked for, in MB, multiplied by the attempt. Default: 8 GB and half as much again
    as the weights take, at least 16 GB."""
    expected: Maybe[Expected] = None
    """What is known of the model before its files are here, for scripts/estimate_cost.py alone. Changes no result."""

    # The entry with `seeds` that this one is a draw of; see layerwise.config.draws.
    _draw_of: str | None = PrivateAttr(None)

    @property
    def draw_of(self) -> str | None:
        """The name of the entry with `seeds` that this model is a draw of; None for a model of its own."""
        return self._draw_of

    @model_validator(mode="after")
    def _says_how_many_cards(self) -> "Model":
        if self.device_map is not None and self.cards is None:
            raise PydanticCustomError(
                "unfit", "`device_map` spreads a model over several cards; say how many, `cards: 2`"
            )
        return self
