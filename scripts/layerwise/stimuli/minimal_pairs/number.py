"""``number``: one more or one less, as in "There are exactly two dogs." and "There are exactly three dogs." """

import numpy as np
import pandas as pd

from layerwise.datasets.annotated import AnnotatedPart
from layerwise.stimuli.minimal_pairs.captions import SOME
from layerwise.stimuli.minimal_pairs.known import NEVER, Known
from layerwise.stimuli.minimal_pairs.nouns import NOUNS
from layerwise.stimuli.minimal_pairs.swap import Claims, Contrast, Swap
from layerwise.stimuli.minimal_pairs.wording import there_are

CONTRAST = ("category", "number")
# People see up to four things at a glance and count more of them (Kaufman et al. 1949); so do those who annotate.
MOST = 4


def claims(part: AnnotatedPart, known: Known, margin: float) -> Claims:
    """Images with one to four objects of a category, all annotated one by one and large enough to be counted.

    Left out are categories that people count in different ways, numbers that captions contradict, and categories in
    images that also have something that they are mixed up with.
    """
    countable = np.array([NOUNS[name].countable if name in NOUNS else True for name in part.categories], dtype=bool)
    there = (known.count > 0) & (known.count <= MOST) & countable
    also = ((known.count > 0).astype(np.float32) @ known.mixed_up.astype(np.float32)) > 1
    agreed = (known.number_said == NEVER) | (known.number_said == known.count)
    agreed |= (known.number_said == SOME) & (known.count > 1)
    left_out = {
        "numbers_of_crowds_or_tiny_objects": int((there & ~known.clear).sum()),
        "numbers_beside_what_is_mixed_up_with_them": int((there & known.clear & also).sum()),
        "numbers_that_captions_contradict": int((there & known.clear & ~also & ~agreed).sum()),
    }
    image, category = np.nonzero(there & known.clear & ~also & agreed)
    count = known.count[image, category].astype(int)
    either = pd.DataFrame({"image": image, "category": category})
    # Of n and n + 1, the image with n is on side 0.
    table = pd.concat([either.assign(number=count, side=0), either.assign(number=count - 1, side=1)], ignore_index=True)
    table = table[(table["number"] >= 1) & (table["number"] < MOST)]

    def statements(contrast: Contrast) -> tuple[str, str]:
        category, number = map(int, contrast)
        name = part.categories[category]
        return there_are(name, number), there_are(name, number + 1)

    return Claims(table, CONTRAST, statements, left_out)


SWAP = Swap(claims, needs=f"1 to {MOST} objects of a category, none of them in a crowd", text_length=22, nouns=1)
