"""How often the test of a specification curve rejects, with and without an effect."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from benchmarks.standard_errors import rate_errors

from layerwise.compare.statistics.paired import paired_effect
from layerwise.compare.statistics.specification_curve import curve_table
from layerwise.compare.statistics.specification_effects import effect_row, unit_rows
from layerwise.probes.specifications import CHOICES

# Metrics, each under as many variants: margins that differ in part, as those of other penalties or prompts do.
CURVE_METRICS, VARIANTS = ("accuracy", "f1", "roc_auc"), 4
# Images, items of each, texts that images share (0: none), share of the images in each test set, effect on margins.
CURVES = [
    (150, 2, 0, 1.0, 0.0),
    (150, 2, 0, 0.6, 0.0),
    (60, 4, 0, 1.0, 0.0),
    (400, 2, 120, 1.0, 0.0),
    (150, 2, 0, 1.0, 0.2),
    (150, 2, 0, 0.6, 0.2),
    (400, 2, 120, 1.0, 0.2),
]


def simulated_curve(
    rng: np.random.Generator, n_images: int, items: int, texts: int, share: float, effect: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Effects of specifications and what units add to them; the layers are exchangeable where the effect is 0.

    Args:
        rng: source of all noise.
        n_images: of all test sets together.
        items: per image.
        texts: that images share; 0 for none.
        share: of the images in the test set of each variant.
        effect: on the first layer's margins, beside a separation of 1 and noise of variance 1.
    """
    image = np.repeat(np.arange(n_images), items)
    n = len(image)
    y, text = rng.permutation(np.arange(n) % 2), rng.integers(0, texts, n) if texts else np.arange(n)
    table = pd.DataFrame({"label": "x", "item_id": np.arange(n), "group": image.astype(str), "y": y, "text": text})

    def noise() -> np.ndarray:
        """Shared by an image, by a text, and an item's own."""
        of_image, of_text = rng.standard_normal(n_images)[image], rng.standard_normal(max(texts, n))[text]
        return np.sqrt(0.3) * of_image + np.sqrt(0.2) * of_text + np.sqrt(0.5) * rng.standard_normal(n)

    both, layers = noise(), [noise(), noise()]
    rows, units = [], []
    for variant in range(VARIANTS):
        chosen = np.isin(image, rng.permutation(n_images)[: round(share * n_images)])
        own = [np.sqrt(0.5) * both + np.sqrt(0.3) * layer + np.sqrt(0.2) * noise() for layer in layers]
        margins = [(0.8 + shift) * (2 * y - 1) + each for shift, each in zip((effect, 0), own, strict=True)]
        frames = [table.assign(scores=[[value] for value in each])[chosen].reset_index(drop=True) for each in margins]
        for metric in CURVE_METRICS:
            found, name = paired_effect(*frames, metric, 2, 100, rng), f"{metric} {variant}"
            choices = dict.fromkeys(CHOICES, "") | {"metric": metric, "split": str(variant)}
            rows.append({"specification": name} | choices | effect_row(found))
            units.append(unit_rows(found).assign(specification=name))
    return pd.DataFrame(rows), pd.concat(units, ignore_index=True)


def rejected(curve: tuple[int, int, int, float, float], studies: int, seed: int) -> dict[str, float]:
    """In how many studies the median, the share of significant effects, and single effects are significant at 5 %."""
    rng, found = np.random.default_rng(seed), []
    for study in range(studies):
        table = curve_table(*simulated_curve(rng, *curve), 999, study)
        first = table.iloc[0]
        found.append((first["p_median"] <= 0.05, first["p_share"] <= 0.05, (table["p_value"] <= 0.05).mean()))
    return dict(zip(("median", "share", "single"), np.mean(found, axis=0), strict=True))


def print_curves(studies: int) -> None:
    """A table of :func:`rejected`."""
    print(f"\n**Specification curves** of {len(CURVE_METRICS) * VARIANTS} specifications: in how many of {studies} "
          "studies the test of the whole curve rejects at 5 %, in percent, by its median and by its share of "
          f"significant effects ({rate_errors(studies)}). *effect*: added to the margins of one layer, whose noise has "
          "variance 1. *single*: specifications that are significant on their own.\n")  # fmt: skip
    print("| images x items | shared texts | images in each test set | effect | median | share | single |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for curve in CURVES:
        n_images, items, texts, share, effect = curve
        rates = " | ".join(f"{100 * rate:.1f}" for rate in rejected(curve, studies, 0).values())
        print(f"| {n_images} x {items} | {texts or '–'} | {100 * share:.0f} % | {effect:g} | {rates} |", flush=True)


if __name__ == "__main__":
    print_curves(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
