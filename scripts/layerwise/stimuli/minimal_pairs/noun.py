"""``noun``: one noun is replaced by a likely one: "There is a dog and a couch." and "There is a cat and a couch." """

import numpy as np
import pandas as pd

from layerwise.datasets.annotated import AnnotatedPart
from layerwise.stimuli.minimal_pairs.known import Known
from layerwise.stimuli.minimal_pairs.swap import Claims, Contrast, Swap
from layerwise.stimuli.minimal_pairs.wording import one, there_is

CONTRAST = ("context", "low", "high")
# How many replacements of a noun are tried, the likeliest first. With one alone, few images find a partner, because the
# likeliest replacement of the one must also be that of the other.
REPLACEMENTS = 3


def claims(part: AnnotatedPart, known: Known, margin: float) -> Claims:
    """Images with two categories, of which one is replaced by another that is absent.

    The replacement is the one that shares most contexts with the replaced category: the cosine of how often the two
    occur beside each other category. A category is absent if it is not annotated, no caption has a word that may mean
    it, and nothing is there that it is mixed up with.
    """
    likeness = shared_contexts(known.count > 0)
    n = len(part.categories)
    rows = []
    for there in range(n):
        images = np.flatnonzero(known.visible[:, there])
        if not images.size:
            continue
        score = np.where(known.absent[images], likeness[there], -np.inf)
        likeliest = np.argsort(-score, axis=1, kind="stable")[:, :REPLACEMENTS]
        possible = np.isfinite(np.take_along_axis(score, likeliest, axis=1))
        for context in range(n):
            beside = known.visible[images, context] & ~known.mixed_up[there, context]
            for rank in range(likeliest.shape[1]):
                instead = likeliest[:, rank]
                chosen = beside & possible[:, rank] & ~known.mixed_up[instead, context]
                if chosen.any():
                    rows.append(_rows(images[chosen], there, instead[chosen], context, rank + 1))
    columns = ["image", "context", "low", "high", "side", "rank"]
    table = pd.DataFrame(np.concatenate(rows) if rows else np.empty((0, 6), dtype=np.int32), columns=columns)
    left_out = {"categories_that_captions_name_but_nobody_annotated": int((known.named & (known.count == 0)).sum())}

    def statements(contrast: Contrast) -> tuple[str, str]:
        context, low, high = (one(part.categories[int(place)]) for place in contrast)
        return there_is(low, context), there_is(high, context)

    return Claims(table, CONTRAST, statements, left_out)


def shared_contexts(present: np.ndarray) -> np.ndarray:
    """How alike the contexts of two categories are: the cosine of their rows of co-occurrence, without themselves.

    Args:
        present: of shape (images, categories).

    Returns:
        Shape (categories, categories), from 0 to 1; 0 where one occurs beside nothing.
    """
    together = (present.T.astype(np.float32) @ present.astype(np.float32)).astype(float)
    np.fill_diagonal(together, 0)
    dot = together @ together
    # Of two categories, how often they occur beside each other says nothing of what they share.
    squares = (together**2).sum(axis=1)
    norms = np.sqrt(np.maximum((squares[:, None] - together**2) * (squares[None] - together**2), 0))
    return np.divide(dot, norms, out=np.zeros_like(dot), where=norms > 0)


def _rows(images: np.ndarray, there: int, instead: np.ndarray, context: int, rank: int) -> np.ndarray:
    low, high = np.minimum(there, instead), np.maximum(there, instead)
    side = (there > instead).astype(int)
    columns = images, np.full(len(images), context), low, high, side, np.full(len(images), rank)
    return np.stack(columns, axis=1).astype(np.int32)


SWAP = Swap(
    claims,
    needs="objects of two categories that are not mixed up, and a category that is surely absent",
    text_length=20,
)
