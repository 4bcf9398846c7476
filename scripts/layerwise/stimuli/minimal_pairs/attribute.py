"""``attribute``: two objects exchange their attribute, as in "There is a red circle and a blue square."

Every word of either statement fits either image; only which attribute belongs to which object differs.
"""

import numpy as np

from layerwise.datasets.annotated import AnnotatedPart
from layerwise.stimuli.minimal_pairs.attribute_values import is_near, single_values
from layerwise.stimuli.minimal_pairs.known import Known
from layerwise.stimuli.minimal_pairs.swap import Claims, Contrast, Swap
from layerwise.stimuli.minimal_pairs.wording import one, there_is

CONTRAST = ("first", "second", "family", "low", "high")


def claims(part: AnnotatedPart, known: Known, margin: float) -> Claims:
    """Images with two objects of one attribute each, and different values of it.

    Each object is the only one of its category, so that the exchanged statement is false in both its halves.
    """
    of_objects, exact, left_out = single_values(part, known, captions=1)
    pairs = of_objects.merge(of_objects, on=["image", "family"], suffixes=("_first", "_second"))
    first, second = pairs["category_first"].to_numpy(int), pairs["category_second"].to_numpy(int)
    pairs = pairs[(first < second) & (pairs["value_first"] != pairs["value_second"]).to_numpy()]
    mixed = known.mixed_up[pairs["category_first"].to_numpy(int), pairs["category_second"].to_numpy(int)]
    left_out["pairs_that_are_mixed_up"] = int(mixed.sum())
    pairs = pairs[~mixed]
    near = is_near(pairs["value_first"], pairs["value_second"]) & (not exact)
    left_out["pairs_of_near_values"] = int(near.sum())
    pairs = pairs[~near]
    turned = (pairs["value_first"] > pairs["value_second"]).to_numpy()
    table = pairs.rename(columns={"category_first": "first", "category_second": "second"})[
        ["image", "first", "second", "family"]
    ].assign(
        low=np.where(turned, pairs["value_second"], pairs["value_first"]),
        high=np.where(turned, pairs["value_first"], pairs["value_second"]),
        side=turned.astype(int),
    )

    def statements(contrast: Contrast) -> tuple[str, str]:
        first, second = (part.categories[int(place)] for place in contrast[:2])
        low, high = map(str, contrast[3:])
        return there_is(one(first, low), one(second, high)), there_is(one(first, high), one(second, low))

    return Claims(table, CONTRAST, statements, left_out)


SWAP = Swap(
    claims,
    needs="two objects, each the only one of its category, with different values of one attribute (annotated in "
    "`attributes`, or said in captions, as in 'a red bus')",
    text_length=26,
)
