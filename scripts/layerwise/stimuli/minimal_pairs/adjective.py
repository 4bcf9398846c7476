"""``adjective``: an object has another attribute, as in "There is a red circle." and "There is a blue circle." """

import pandas as pd

from layerwise.datasets.annotated import AnnotatedPart
from layerwise.stimuli.minimal_pairs.attribute_values import is_near, single_values
from layerwise.stimuli.minimal_pairs.known import Known
from layerwise.stimuli.minimal_pairs.swap import Claims, Contrast, Swap
from layerwise.stimuli.minimal_pairs.wording import one, there_is

CONTRAST = ("category", "family", "low", "high")
# One caption that calls a cat black may have overlooked its white paws; two rarely agree on that (docs/method.md).
CAPTIONS = 2


def claims(part: AnnotatedPart, known: Known, margin: float) -> Claims:
    """Images with an object of one attribute, the only one of its category, and the other values that it may have."""
    values, exact, left_out = single_values(part, known, CAPTIONS)
    # Another value is one that the same category has elsewhere.
    others = values[["category", "family", "value"]].drop_duplicates()
    pairs = values.merge(others, on=["category", "family"], suffixes=("", "_instead"))
    pairs = pairs[pairs["value"] != pairs["value_instead"]]
    if not exact:
        pairs = pairs[~is_near(pairs["value"], pairs["value_instead"])]
    both = pairs[["value", "value_instead"]]
    table = pd.DataFrame(
        {
            "image": pairs["image"],
            "category": pairs["category"],
            "family": pairs["family"],
            "low": both.min(axis=1),
            "high": both.max(axis=1),
            "side": (pairs["value"] > pairs["value_instead"]).astype(int),
        }
    )

    def statements(contrast: Contrast) -> tuple[str, str]:
        name = part.categories[int(contrast[0])]
        low, high = (there_is(one(name, str(value))) for value in contrast[2:])
        return low, high

    return Claims(table, CONTRAST, statements, left_out)


SWAP = Swap(
    claims,
    needs="an object that is the only one of its category, and has an attribute that another such object has not "
    f"(annotated in `attributes`, or said in {CAPTIONS} captions, as in 'a red bus')",
    text_length=18,
    nouns=1,
)
