"""Is the smallest difference of two layers found in 80 % of studies, as Table 2 and the cost estimate say?"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from benchmarks.standard_errors import rate_errors

from layerwise.compare.statistics.gains import LabelItems, image_gains
from layerwise.compare.statistics.paired import paired_effect
from layerwise.compare.statistics.swaps import swap_test
from layerwise.probes.power import DISAGREE, IMAGE_ALIKE, HeldOutSize, planned_difference, smallest_difference

# Images, and items of each.
SIZES = [(40, 1), (100, 1), (400, 1), (60, 4), (200, 4)]


def study(rng: np.random.Generator, n_images: int, items: int, difference: float) -> LabelItems:
    """Two layers that differ on a share of the items, with a true difference of their accuracy.

    The difference of an item is 1, -1 or 0. Items of an image correlate as the plan assumes.
    """
    image, n = np.repeat(np.arange(n_images), items), n_images * items
    differ = max(DISAGREE, difference)

    def drawn(size: int) -> np.ndarray:
        return rng.choice([1, -1, 0], size, p=[(differ + difference) / 2, (differ - difference) / 2, 1 - differ])

    gain = np.where(rng.random(n) < np.sqrt(IMAGE_ALIKE) * (items > 1), drawn(n_images)[image], drawn(n))
    # Where the layers agree, both are right.
    y = rng.permutation(np.arange(n) % 2)
    margins = [(2 * y - 1) * np.where(gain == worse, -1, 1) for worse in (-1, 1)]
    return LabelItems(y, *(each[:, None].astype(float) for each in margins), image)


def power(n_images: int, items: int, studies: int, seed: int) -> dict[str, float]:
    """The planned difference, how often the swap test finds it, and what the studies themselves call the smallest."""
    rng, size = np.random.default_rng(seed), HeldOutSize.of(np.repeat(np.arange(n_images), items))
    planned, found, observed = planned_difference(size), 0, []
    for _ in range(studies):
        label = study(rng, n_images, items, planned)
        found += swap_test(image_gains("accuracy", [label], n_images, 2), 1999, rng).value <= 0.05
        frames = [
            pd.DataFrame({"label": "x", "item_id": range(len(label.y)), "group": label.images, "y": label.y}).assign(
                scores=list(margins)
            )
            for margins in (label.first, label.second)
        ]
        effect = paired_effect(*frames, "accuracy", 2, 200, rng)
        observed.append(smallest_difference(effect.error, effect.freedom))
    return {"planned": planned, "found": found / studies, "observed": float(np.nanmean(observed))}


def print_power(studies: int) -> None:
    """A table of :func:`power`."""
    print(f"\n**The smallest difference** of two layers that a test finds in 80 % of studies, in points of accuracy. "
          f"*planned*: from numbers alone, as in the cost estimate. *found*: in how many of {studies:,} studies with "
          f"this true difference the swap test finds it, in percent ({rate_errors(studies)}). *observed*: what Table 2 "
          "would call the smallest difference in these studies, on average.\n")  # fmt: skip
    print("| images x items | planned | found | observed |\n|---|---:|---:|---:|")
    for n_images, items in SIZES:
        row = power(n_images, items, studies, 0)
        print(f"| {n_images} x {items} | {100 * row['planned']:.1f} | {100 * row['found']:.1f} | "
              f"{100 * row['observed']:.1f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    print_power(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
