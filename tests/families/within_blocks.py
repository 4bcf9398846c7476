"""Check states within blocks against plain hooks, which find the parts of a block by their classes and what runs."""

from functools import partial

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from layerwise.models.adapters.generic import GenericModel
from layerwise.models.site_names import SITES
from tests.families.comparing import (
    PROMPTS,
    Refusal,
    furthest,
    greatest,
    one_at_a_time,
    or_refusal,
    pictures,
    relative,
)

# What the names of the parts' classes hold.
ATTENTION = ("Attention", "Attn", "DeltaNet", "Mamba", "Mixer")
# In the place of attention, or behind it.
CONVOLUTION = ("Conv",)
MLP = ("MLP", "Mlp", "FeedForward", "FFN", "MoE", "Moe", "MOE", "Experts")


def sites(model: GenericModel) -> dict[str, float | Refusal]:
    """By site, the greatest difference of its states, or why they are not kept.

    It is that from plain hooks in a run of one input; and from one input at a time in a batch, and over a shared prefix
    where one is used.
    """
    return {site: or_refusal(partial(_site, model, site)) for site in SITES}


def _site(model: GenericModel, site: str) -> float:
    position, images, prompts = f"last-{site}", [*pictures(), pictures()[0]], PROMPTS[:3]
    alone = one_at_a_time(model, images, prompts, [position])
    states = alone[position]
    width = model.width if site != "heads" else states.shape[2]
    assert states.shape == (len(prompts), model.n_layers, width)
    assert site != "heads" or states.shape[2] % model.n_heads == 0
    exact = greatest(
        relative(states[:1], _hooked(model, images[0], prompts[0], site)),
        furthest(model.states(images, prompts, [position]), alone),
    )
    if model.shares_prefix:
        shared = model.states_shared(images[0], prompts[::2], [position])
        exact = greatest(exact, furthest(shared, {position: states[::2]}))
    return exact


def adds_up(model: GenericModel) -> float | Refusal:
    """How far a block's output is from the sum of its input, its attention and its MLP, at most."""
    return or_refusal(partial(_adds_up, model))


def _adds_up(model: GenericModel) -> float:
    states = model.states(pictures(1), PROMPTS[:1], ["last", "last-attention", "last-mlp"])
    added = states["last"][:, :-2] + states["last-attention"] + states["last-mlp"]
    return relative(added, states["last"][:, 1:-1])


def _hooked(model: GenericModel, image: Image.Image, prompt: str, site: str) -> Tensor:
    """A site's states at the last token of one input, shape (1, L, width)."""
    kept: list[dict[nn.Module, Tensor]] = [{} for _ in model.blocks]
    inputs = model.prepare([image], [prompt]).to(model.device, model.dtype)
    hooks = [hook for block, of_block in zip(model.blocks, kept, strict=True) for hook in _hooks(block, site, of_block)]
    with torch.inference_mode():
        model.forward(**inputs, use_cache=False)
    for hook in hooks:
        hook.remove()
    # A block may add several MLPs. Of the projections in its attention the output's runs last.
    states = [sum(ran.values()) if site == "mlp" else list(ran.values())[-1] for ran in kept]
    return torch.stack(states)[None]


def _hooks(block: nn.Module, site: str, kept: dict[nn.Module, Tensor]) -> list[RemovableHandle]:
    """Hooks that keep the last token's state of every part of a block that may be the site, in the order they run."""

    def after(module: nn.Module, _args: tuple, output: Tensor | tuple) -> None:
        hidden = output[0] if isinstance(output, tuple) else output
        kept[module] = hidden.flatten(0, -2)[-1]

    def before(module: nn.Module, args: tuple) -> None:
        kept.pop(module, None)
        kept[module] = args[0].flatten(0, -2)[-1]

    if site == "mlp":
        # All classes of a family may have "Moe" in their names.
        parts = [part for part in _named(block, MLP) if part not in _named(block, (*ATTENTION, "Norm"))]
        # OPT has no module for it: its last layer is the block's own.
        parts = parts or [child for child in block.children() if isinstance(child, nn.Linear)][-1:]
        return [part.register_forward_hook(after) for part in parts]
    attention = _named(block, ATTENTION) or _named(block, CONVOLUTION)
    if site == "attention":
        return [part.register_forward_hook(after) for part in attention]
    layers = [module for part in attention for module in part.modules() if isinstance(module, nn.Linear)]
    return [layer.register_forward_pre_hook(before) for layer in layers]


def _named(block: nn.Module, names: tuple[str, ...]) -> list[nn.Module]:
    def own(child: nn.Module) -> str:
        # Without the model's own name, which may hold one of these, as that of Qwen3_5MoeRMSNorm does.
        full, of_block = type(child).__name__, type(block).__name__
        return full[next((i for i, (a, b) in enumerate(zip(full, of_block, strict=False)) if a != b), 0) :]

    # What joins residual streams is not attention between tokens, even if it is called so.
    children = [child for child in block.children() if "Residual" not in own(child)]
    return [child for child in children if any(name in own(child) for name in names)]
