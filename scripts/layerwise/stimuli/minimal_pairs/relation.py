"""``relation``: two objects change places: "A circle is left of a square." and "A square is left of a circle." """

import numpy as np
import pandas as pd

from layerwise.datasets.annotated import AnnotatedPart
from layerwise.stimuli.minimal_pairs.known import Known, places
from layerwise.stimuli.minimal_pairs.swap import Claims, Contrast, Swap
from layerwise.stimuli.minimal_pairs.wording import one, sentence
from layerwise.stimuli.relations import RELATIONS, related_pairs

CONTRAST = ("relation", "first", "second")
WORDS = {"left-right": "left of", "above-below": "above"}


def claims(part: AnnotatedPart, known: Known, margin: float) -> Claims:
    """Images in which one object is left of, or above, another, each the only one of its category.

    Raises:
        InputError: naming the record of an object without a usable box.
    """
    category = {name: i for i, name in enumerate(part.categories)}
    tables, left_out = [], {}
    for relation, (_, (lower, _)) in RELATIONS.items():
        pairs = related_pairs(part.annotations, relation, margin)
        image = places(part, pairs)
        first, second = (pairs[which].map(category).to_numpy(int) for which in ("first", "second"))
        alone = known.alone[image, first] & known.alone[image, second]
        mixed = known.mixed_up[first, second]
        left_out[f"{relation}_pairs_not_clearly_alone"] = int((~alone).sum())
        left_out[f"{relation}_pairs_that_are_mixed_up"] = int((alone & mixed).sum())
        table = pd.DataFrame(
            {
                "image": image,
                "relation": relation,
                "first": first,
                "second": second,
                "side": np.where(pairs["class"] == lower, 0, 1),
            }
        )
        tables.append(table[alone & ~mixed])

    def statements(contrast: Contrast) -> tuple[str, str]:
        relation, first, second = contrast
        one_thing, other = (one(part.categories[int(place)]) for place in (first, second))
        words = WORDS[str(relation)]
        return sentence(f"{one_thing} is {words} {other}"), sentence(f"{other} is {words} {one_thing}")

    return Claims(pd.concat(tables, ignore_index=True), CONTRAST, statements, left_out)


SWAP = Swap(
    claims,
    needs="two objects, each the only one of its category, whose centres are further apart than `margin`",
    text_length=16,
)
