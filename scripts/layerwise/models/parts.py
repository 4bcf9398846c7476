"""Find the parts of a model that are read: its decoder, the final norm, and within a block attention, MLP and heads."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from layerwise.errors import InputError

# What families name the parts of a decoder and of its blocks.
BLOCKS = ("layers", "h", "blocks")
ATTENTION = ("self_attn", "attn", "attention", "self_attention")
OUTPUT_PROJECTION = ("o_proj", "out_proj", "dense", "c_proj")
FINAL_NORM = ("norm", "final_layer_norm", "final_layernorm", "layer_norm", "embedding_norm", "norm_f", "ln_f")
MLP = ("mlp", "ffn", "feed_forward", "block_sparse_moe", "fc2")


def find_decoder(model: nn.Module) -> nn.Module:
    """The text decoder of a model of transformers: the module that holds the blocks.

    Raises:
        AttributeError: when there is none.
        InputError: when an encoder reads the prompt before it.
    """
    config = model.config
    if config.is_encoder_decoder or config.get_text_config().is_encoder_decoder:
        raise InputError(
            f"a model of type {config.model_type} on {config.get_text_config().model_type} is an encoder and a "
            "decoder: the prompt's last token is in the one and what is written in the other, so that there is no "
            "decoder to read layer by layer"
        )
    module = model.get_decoder()
    # What a family calls its decoder may hold it.
    while _blocks_in(module) is None:
        module = _first(module, ("model", "decoder", "language_model", "text_model"), "a list of blocks")
    return module


def find_blocks(decoder: nn.Module) -> nn.ModuleList:
    """The blocks of a decoder, from the lowest on.

    Raises:
        AttributeError: when there are none.
    """
    if (blocks := _blocks_in(decoder)) is None:
        raise AttributeError(f"{type(decoder).__name__} holds no list of blocks: none of {', '.join(BLOCKS)}")
    return blocks


def find_final_norm(decoder: nn.Module) -> nn.Module:
    """The norm behind the last block.

    Raises:
        AttributeError: when there is none.
    """
    return _first(decoder, FINAL_NORM, "a final norm")


def heads_per_block(config: Any) -> int:
    """How many attention heads each block of a decoder has; 0 if blocks have different numbers of them.

    Args:
        config: the decoder's.
    """
    numbers = set(heads_by_block(config, 1))
    return numbers.pop() if len(numbers) == 1 else 0


def heads_by_block(config: Any, n_layers: int) -> list[int]:
    """How many attention heads each block of a decoder has; with grouped queries, how many ask.

    Args:
        config: the decoder's.
        n_layers: how many blocks it has.
    """
    of_blocks = config.per_layer_config if getattr(config, "is_heterogeneous", False) else [config] * n_layers
    return [of_block.num_attention_heads for of_block in of_blocks]


def site_module(block: nn.Module, site: str) -> nn.Module:
    """The part of a block whose output is a site's state, or for ``heads`` whose input is: all heads side by side.

    Raises:
        InputError: naming the family's block, when its parts have other names.
    """
    if site == "mlp":
        if isinstance(getattr(block, "experts", None), nn.Module):
            raise InputError(
                f"states.sites: mlp cannot be kept for this family: a {type(block).__name__} has experts beside its "
                "MLP, and adds both; leave mlp out, or leave the model out by states.sites_of"
            )
        return _part(block, MLP, block, site)
    attention = _part(block, ATTENTION, block, site)
    return attention if site == "attention" else _part(attention, OUTPUT_PROJECTION, block, site)


def _blocks_in(module: nn.Module) -> nn.ModuleList | None:
    lists = (getattr(module, name, None) for name in BLOCKS)
    return next((blocks for blocks in lists if isinstance(blocks, nn.ModuleList)), None)


def _part(module: nn.Module, names: tuple[str, ...], block: nn.Module, site: str) -> nn.Module:
    for name in names:
        if isinstance(part := getattr(module, name, None), nn.Module):
            return part
    raise InputError(
        f"states.sites: {site} cannot be kept for this family: a {type(block).__name__} has no part named "
        f"{' or '.join(names)}; leave {site} out, or leave the model out by states.sites_of"
    )


def _first(module: nn.Module, names: Sequence[str], what: str) -> nn.Module:
    for name in names:
        if isinstance(inner := getattr(module, name, None), nn.Module):
            return inner
    raise AttributeError(f"{type(module).__name__} holds neither {what} nor any of {', '.join(names)}")
