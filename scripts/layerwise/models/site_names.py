"""Names of the sites within a block at which states are read beside its output; no torch, for readers of states."""

SITES = ("attention", "mlp", "heads")
# Datasets of a states file, and positions that a model is read at: what a site has at the last token.
AT_SITE = {f"last-{site}": site for site in SITES}


def layers_at(position: str, layers: list[str]) -> list[str]:
    """Which of a model's layers have a state at a position: all, or at a site within blocks the blocks."""
    return layers[1:-1] if position in AT_SITE else layers
