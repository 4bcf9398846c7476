"""From what can be said about single images to pairs of images, and from pairs to items.

Each pair of images A and B has two statements, a (true of A, false of B) and b (the reverse), and four items: A with a,
A with b, B with a, B with b. So within every pair each image and each statement is a match once and a mismatch once:
whoever sees the text alone, or the picture alone, is right in exactly half of the items. And any score that is a sum of
one for the text and one for the picture has the same mean over matches as over mismatches.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from layerwise.datasets.annotated import AnnotatedPart
from layerwise.errors import InputError
from layerwise.stimuli.building import Stimuli

if TYPE_CHECKING:
    from layerwise.stimuli.minimal_pairs.swap import Claims


def build_pairs(
    parts: dict[str, AnnotatedPart],
    claims: Mapping[str, "Claims"],
    images: Mapping[str, int | str],
    needs: str,
    seed: int,
) -> Stimuli:
    """Pair the images of each part, and make four items of each pair.

    Each image is in one pair at most, and pairs never cross parts. Where fewer images are asked for than can be paired,
    the pairs are drawn in rounds, one of each contrast in each, so that as many different statements as possible
    remain.

    Args:
        parts: annotated images by official part.
        claims: what can be said about the images of each part.
        images: how many images to take from each part (an odd one is left out), or ``"all"``.
        needs: what an image must have, for messages.
        seed: seed of every choice.

    Raises:
        InputError: when no two images of a part can be paired.
    """
    shown, provenance = [], []
    counts = {"pairs": 0, "images_without_statement": 0, "images_without_partner": 0, "images_not_sampled": 0}
    left_out: dict[str, int] = {}
    for name, count in images.items():
        part, said = parts[name], claims[name]
        for reason, number in said.left_out.items():
            left_out[reason] = left_out.get(reason, 0) + number
        # One stream per part: adding a part changes nothing in the others.
        rng = np.random.default_rng([seed, *name.encode()])
        found = pair_off(said.table, list(said.contrast), len(part.images), rng)
        with_statement = said.table["image"].nunique()
        if found.empty:
            reasons = ", ".join(f"{reason.replace('_', ' ')}: {number}" for reason, number in said.left_out.items())
            source = part.annotations["file"].iloc[0] if len(part.annotations) else "stimuli"
            raise InputError(
                f"{source}: no two images of {name} make a pair: of {len(part.images)} images, {with_statement} have "
                f"{needs}, and no two of these differ in a statement that is true of one and false of the other "
                f"({reasons or 'nothing was left out'}); sample a larger part, or choose another `mismatch`"
            )
        kept = found if isinstance(count, str) else _in_rounds(found, count // 2, rng)
        counts["pairs"] += len(kept)
        counts["images_without_statement"] += len(part.images) - with_statement
        counts["images_without_partner"] += with_statement - 2 * len(found)
        counts["images_not_sampled"] += 2 * (len(found) - len(kept))
        ids, paths = part.images["image_id"].to_numpy(), part.images["image"].to_numpy()
        for pair in kept.sort_values("one").itertuples():
            group = f"{name}/{ids[pair.one]}+{ids[pair.other]}"
            texts = said.statements(tuple(getattr(pair, column) for column in said.contrast))
            for place, image in enumerate((pair.one, pair.other)):
                for which, text in enumerate(texts):
                    item_id = f"{name}/{ids[image]}/{('first', 'second')[which]}"
                    match = "match" if which == place else "mismatch"
                    shown.append((item_id, paths[image], text))
                    provenance.append((item_id, f"{name}/{ids[image]}", group, name, match))
    items = pd.DataFrame(shown, columns=["item_id", "image", "text"])
    return Stimuli(
        shown=items,
        provenance=pd.DataFrame(provenance, columns=["item_id", "image_id", "group", "part", "label:match"]),
        categories=[],
        notes=counts | {"statements": items["text"].nunique(), "left_out": left_out},
    )


def pair_off(claims: pd.DataFrame, contrast: list[str], n_images: int, rng: np.random.Generator) -> pd.DataFrame:
    """Pair images of which opposite statements are true, each image at most once.

    Images with the fewest possible partners choose first, and choose partners that have few: others find one elsewhere.
    Of contrasts with a ``rank``, those of the first rank are tried first, then those of the second too, and so on.

    Args:
        claims: see :class:`layerwise.stimuli.minimal_pairs.swap.Claims`.
        contrast: its columns that name two statements.
        n_images: in the part.
        rng: for every choice between equals.

    Returns:
        ``one`` and ``other`` (images of side 0 and 1) and the columns of the contrast; a row for each pair.
    """
    # Sorted before they are shuffled, so that the order in which they were found decides nothing.
    claims = claims.sort_values([*contrast, "image"], ignore_index=True)
    claims = claims.iloc[rng.permutation(len(claims))]
    names = claims[contrast].drop_duplicates().sort_values(contrast, ignore_index=True)
    code = claims.merge(names.reset_index(names="code"), on=contrast, how="left")["code"].to_numpy()
    image, claim = claims["image"].to_numpy(), 2 * code + claims["side"].to_numpy()
    rank = claims["rank"].to_numpy() if "rank" in claims else np.ones(len(claims), dtype=int)
    free = np.ones(n_images, dtype=bool)
    pairs = []
    for level in np.unique(rank):
        rows = (rank <= level) & free[image]
        pairs += list(_matched(image[rows], claim[rows], n_images))
        free[[place for pair in pairs for place in pair[:2]]] = False
    table = pd.DataFrame(pairs, columns=["one", "other", "code"])
    return table.join(names, on="code").drop(columns="code")


def _matched(image: np.ndarray, claim: np.ndarray, n_images: int) -> Iterator[tuple[int, int, int]]:
    """Pairs of images with opposite claims, and their contrast.

    Args:
        image: of each claim, in random order.
        claim: 2 x contrast + side.
        n_images: in the part.
    """
    sizes = np.bincount(claim, minlength=claim.max(initial=0) + 2)
    # A partner counts once for each contrast.
    partners = np.bincount(image, weights=sizes[claim ^ 1], minlength=n_images)
    order = np.argsort(partners[image], kind="stable")
    claims_of: dict[int, list[int]] = {}
    images_of: dict[int, list[int]] = {}
    for place, made in zip(image[order].tolist(), claim[order].tolist(), strict=True):
        claims_of.setdefault(place, []).append(made)
        images_of.setdefault(made, []).append(place)
    # The last of each list chooses first.
    for places in images_of.values():
        places.reverse()
    taken: set[int] = set()
    for place, made in claims_of.items():
        if place in taken:
            continue
        found = []
        for own in made:
            others = images_of.get(own ^ 1, [])
            while others and others[-1] in taken:
                others.pop()
            if others:
                found.append((partners[others[-1]], others[-1], own))
        if found:
            # The first of equals, in random order.
            _, other, own = min(found, key=lambda each: each[0])
            taken |= {place, other}
            yield (other, place, own // 2) if own % 2 else (place, other, own // 2)


def _in_rounds(pairs: pd.DataFrame, number: int, rng: np.random.Generator) -> pd.DataFrame:
    """So many pairs, the first of each contrast before the second of any."""
    shuffled = pairs.iloc[rng.permutation(len(pairs))]
    contrast = [column for column in pairs if column not in ("one", "other")]
    rounds = shuffled.groupby(contrast).cumcount()
    return shuffled.iloc[np.argsort(rounds, kind="stable")[:number]]
