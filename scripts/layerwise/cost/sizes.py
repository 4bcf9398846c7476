"""What one input costs a model: read off its own files where they are, else what its config entry expects."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from huggingface_hub import try_to_load_from_cache

from layerwise.config.models import Model
from layerwise.cost.inputs import Inputs
from layerwise.embedded_models import embedded_name
from layerwise.errors import InputError
from layerwise.models.families import is_measured, is_text
from layerwise.states.sharing import worth_from
from layerwise.study import Study

CHARACTERS_PER_TOKEN = 4
# Characters that a chat template writes before and behind a prompt.
TEMPLATE_CHARACTERS = 40
# Tokens of a model whose files are not here: as many as most have by now.
VOCABULARY = 128_000
# Of a state, for each head of a model whose files are not here, as in most large models.
NUMBERS_PER_HEAD = 128


if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ModelSize:
    """What decides a model's cost.

    Attributes:
        layers, width: of its decoder.
        parameters: of its decoder, without token embeddings and head.
        vision_parameters: of all before the decoder.
        vocabulary: rows of the output head.
        heads: attention heads of a block, on average.
        per_input: of a cell's inputs: decoder tokens and patches of the vision tower, per input on average.
        alone: of inputs that share nothing: decoder tokens up to the image's end and behind it, and patches, per input
            on average.
        exact: whether this was read off its files.
    """

    layers: int
    width: int
    parameters: float
    vision_parameters: float
    per_input: Callable[[Inputs], tuple[float, float]]
    alone: Callable[[Inputs], tuple[float, float, float]]
    exact: bool
    vocabulary: int = VOCABULARY
    heads: float = 1

    def flop(self, tokens: float, patches: float) -> float:
        """Floating-point operations: two per parameter and token or patch."""
        return 2 * (self.parameters * tokens + self.vision_parameters * patches)


def sizes_of(study: Study, models: Iterable[str], device: str) -> dict[str, ModelSize]:
    """The sizes of some of a study's models, each looked up once; see :func:`size_of`.

    Args:
        study: models that it has trained already are read from its results.
        models: their names.
        device: see :func:`size_of`.
    """

    def trained(name: str) -> Path | None:
        embedded = embedded_name(study.config, name)
        return Path(study.trained_folder(embedded)) / "weights" if embedded else None

    return {name: size_of(name, study.config.models[name], trained(name), device) for name in dict.fromkeys(models)}


def size_of(name: str, entry: Model, embedded: Path | None, device: str) -> ModelSize:
    """The size of a model entry.

    Args:
        name: of the entry.
        entry: from the config.
        embedded: where the workflow puts it when it has trained it; None for another source.
        device: that it will run on, ``cuda`` or ``cpu``, which decides from how many texts on sharing a prefix pays.

    Raises:
        InputError: when its files are not here and the entry expects nothing.
    """
    folder = _folder(entry, embedded)
    if folder is not None and is_measured(entry.adapter):
        if entry.processor is None:
            return _measured(name, folder, entry, device)
        # Only now, because it imports torch.
        from layerwise.models.processor_settings import write_folder

        with TemporaryDirectory() as made:
            changed = Path(made) / "model"
            write_folder(name, folder, entry.entry(), changed)
            return _measured(name, changed, entry, device)
    expected = entry.expected
    if expected is None:
        raise InputError(
            f"models.{name}: its files are not here, so its cost is unknown; give `expected` in its entry (layers, "
            "width, parameters, image_tokens), or run `snakemake models` first"
        )

    may_share = expected.shares_prefix and entry.sharing != "never"
    least = _least_texts(entry, device)

    def of_vision(inputs: Inputs) -> float:
        return (expected.patches or expected.image_tokens) * inputs.shown

    def per_input(inputs: Inputs) -> tuple[float, float]:
        image, texts = expected.image_tokens * inputs.shown, inputs.count / inputs.images
        before = image + (TEMPLATE_CHARACTERS + inputs.before) / CHARACTERS_PER_TOKEN
        after = (TEMPLATE_CHARACTERS + inputs.after) / CHARACTERS_PER_TOKEN
        spared = 2e9 * expected.parameters / expected.layers * before
        over = texts if may_share and texts >= max(2, least(spared)) else 1
        return before / over + after, of_vision(inputs) / over

    def alone(inputs: Inputs) -> tuple[float, float, float]:
        image = expected.image_tokens * inputs.shown
        behind = (TEMPLATE_CHARACTERS + inputs.before + inputs.after) / CHARACTERS_PER_TOKEN
        return image + TEMPLATE_CHARACTERS / CHARACTERS_PER_TOKEN, behind, of_vision(inputs)

    return ModelSize(
        layers=expected.layers,
        width=expected.width,
        parameters=1e9 * expected.parameters,
        vision_parameters=1e9 * expected.vision_parameters,
        per_input=per_input,
        alone=alone,
        exact=False,
        heads=max(1, expected.width // NUMBERS_PER_HEAD),
    )


def _folder(entry: Model, embedded: Path | None) -> Path | None:
    source = entry.source
    if embedded:
        return embedded if (embedded / "config.json").exists() else None
    if Path(source).is_dir():
        return Path(source)
    cached = try_to_load_from_cache(source, "config.json", revision=entry.revision)
    return Path(cached).parent if isinstance(cached, str) else None


def _measured(name: str, folder: Path, entry: Model, device: str) -> ModelSize:
    """Build the model without memory for its weights, and let its own processor write a few inputs."""
    import torch
    from transformers import AutoProcessor

    from layerwise.models.building import auto_class
    from layerwise.models.configuration import read_configuration
    from layerwise.models.opening import wrap_model
    from layerwise.models.parts import heads_by_block
    from layerwise.models.text_processor import load_text_processor

    with torch.device("meta"):
        model = auto_class(entry.adapter).from_config(read_configuration(folder))
    sees = not is_text(entry.adapter)
    processor = AutoProcessor.from_pretrained(folder) if sees else load_text_processor(name, folder)
    frozen = wrap_model(entry.adapter, model, processor, entry.conversation)
    decoder = _parameters(frozen.blocks) + _parameters(frozen.final_norm)
    words, head = model.get_input_embeddings(), model.get_output_embeddings()
    tied = head is None or head.weight is words.weight
    vocabulary = words.weight.numel() + (0 if tied else head.weight.numel())
    # Fuyu has no vision tower: its decoder reads the patches.
    patch = getattr(getattr(model.config, "vision_config", model.config), "patch_size", 14) if sees else 1
    patch = patch if isinstance(patch, int) else patch[0]

    def patches(prepared: Mapping[str, torch.Tensor]) -> float:
        """Of tensors with a patch in each row, or else with three colours of each pixel in any order."""
        # Tiles, or the same picture in a higher resolution, may have a tensor of their own.
        made = [value for key, value in prepared.items() if "pixel_values" in key or key == "image_patches"]
        return sum(each[..., 0].numel() if each.dim() <= 3 else each.numel() / (3 * patch**2) for each in made)

    may_share = frozen.shares_prefix and entry.sharing != "never"
    least = _least_texts(entry, device)

    def per_input(inputs: Inputs) -> tuple[float, float]:
        tokens, seen, count = 0, 0.0, 0
        for shown, prompts in inputs.sampled():
            image = shown if sees else None
            count += len(prompts)
            shared = None
            if may_share and image is not None and len(prompts) > 1:
                shared = frozen.prepare_shared(image, prompts)
            if shared is not None and len(prompts) >= least(frozen.spared_flop(shared)):
                tokens += shared.prefix["input_ids"].shape[1] + sum(map(len, shared.rests))
                seen += patches(shared.prefix)
                continue
            for prompt in prompts:
                written = frozen.prepare([image], [prompt])
                tokens += written["input_ids"].shape[1]
                seen += patches(written)
        return tokens / count, seen / count

    def alone(inputs: Inputs) -> tuple[float, float, float]:
        found = []
        for image, prompts in inputs.sampled():
            for prompt in prompts:
                written = frozen.prepare([image], [prompt])
                end = int(frozen.image_tokens(written)[0].nonzero()[-1]) + 1
                found.append((end, written["input_ids"].shape[1] - end, patches(written)))
        before, behind, seen = (sum(parts) / len(found) for parts in zip(*found, strict=True))
        return before, behind, seen

    in_front = _parameters(model) - decoder - vocabulary
    tokens = words.weight.shape[0] if head is None else head.weight.shape[0]
    heads = sum(heads_by_block(frozen.decoder.config, frozen.n_layers)) / frozen.n_layers
    return ModelSize(frozen.n_layers, frozen.width, decoder, in_front, per_input, alone, True, tokens, heads)


def _least_texts(entry: Model, device: str) -> Callable[[float], int]:
    """From how many texts on they share a prefix that spares so many operations in a block."""
    return lambda spared_flop: 2 if entry.sharing == "always" else worth_from(spared_flop, device)


def _parameters(module: "torch.nn.Module") -> int:
    return sum(parameter.numel() for parameter in module.parameters())
