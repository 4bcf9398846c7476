"""Where in a block states are read beside its output: at its attention, its MLP, and its single heads."""

from torch import nn

from layerwise.errors import InputError

# What families name the parts of a block.
ATTENTION = ("self_attn",)
OUTPUT_PROJECTION = ("o_proj", "out_proj", "dense")
MLP = ("mlp", "ffn", "block_sparse_moe", "fc2")


def site_module(block: nn.Module, site: str) -> nn.Module:
    """The part of a block whose output is a site's state, or for ``heads`` whose input is: all heads side by side.

    Raises:
        InputError: naming the family's block, when its parts have other names.
    """
    if site == "mlp":
        return _part(block, MLP, block, site)
    attention = _part(block, ATTENTION, block, site)
    return attention if site == "attention" else _part(attention, OUTPUT_PROJECTION, block, site)


def _part(module: nn.Module, names: tuple[str, ...], block: nn.Module, site: str) -> nn.Module:
    for name in names:
        if isinstance(part := getattr(module, name, None), nn.Module):
            return part
    raise InputError(
        f"states.sites: {site} cannot be kept of this family: a {type(block).__name__} has no part named "
        f"{' or '.join(names)}; leave {site} out, or leave the model out by states.sites_of"
    )
