"""What a states file holds, in words."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from layerwise.states.store import StatesFile

# Entries of the cell that have lines of their own, and those that only say which versions made the file.
OWN_LINES = ("model", "stimuli", "prompt", "prompt_entry", "positions", "shard", "dtype")
DIGESTS = ("model_digest", "stimuli_digest", "code")


def described(path: Path) -> Iterator[str]:
    """Lines about a states file, from its header alone: what made it, and which layers, positions and items it has.

    Raises:
        InputError: when the file is damaged, or no states file.
    """
    with StatesFile(path) as states:
        cell, (rows, width) = states.cell, states.shape(states.positions[0])
        shard = f", shard {states.shard[0]} of {states.shard[1]}" if states.shard[1] > 1 else ""
        yield f"{path}: hidden states{shard}, {path.stat().st_size / 1e6:.1f} MB"
        for name in ("model", "stimuli", "prompt"):
            yield f"  {name:<11}{cell.get(name)}"
        if "prompt_entry" in cell:
            yield f"  {'text':<11}{cell['prompt_entry'].get('text')}"
        yield f"  {'layers':<11}{len(states.layers)}: {', '.join(states.layers)}"
        yield f"  {'positions':<11}{', '.join(states.positions)}"
        if states.sites:
            heads = f" ({states.n_heads} heads a block)" if states.n_heads else ""
            yield f"  {'sites':<11}{', '.join(states.sites)}{heads}, at the last token"
        yield f"  {'items':<11}{len(states.item_ids)} in {rows} rows, one for each distinct input"
        yield f"  {'width':<11}{width}, {cell.get('dtype')}"
        for name in DIGESTS:
            yield f"  {name.removesuffix('_digest') + ' digest':<17}{cell.get(name)}"
        rest = {key: value for key, value in cell.items() if key not in (*OWN_LINES, *DIGESTS) and value is not None}
        yield f"  made with  {', '.join(f'{key} {value}' for key, value in sorted(rest.items()))}"


def norms(path: Path) -> Iterator[str]:
    """Lines with the norms of each layer's rows. This reads every byte of the states.

    Raises:
        InputError: when the file is damaged, with the layer.
    """
    with StatesFile(path) as states:
        for position in [*states.positions, *(f"last-{site}" for site in states.sites)]:
            for layer, name in enumerate(states.layers_at(position)):
                # Reading a chunk compares it with its checksum.
                found = np.linalg.norm(states.layer(position, layer), axis=1)
                yield f"  {position:>14} {name:>12}: norm {found.mean():10.3f} (largest {found.max():10.3f})"
    yield "  every chunk matches its checksum"
