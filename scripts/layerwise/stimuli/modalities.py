"""Is it the image or the text? The same items with another image, a blank one, or none."""

import numpy as np
import pandas as pd

# In place of a path: a plain grey picture.
BLANK = "<blank>"


def with_images(inputs: pd.DataFrame, image: str, seed: int) -> pd.DataFrame:
    """The items with the images that a prompt entry's ``image`` asks for; labels stay those of the items' own images.

    Args:
        inputs: ``image``, ``image_sha256`` and other columns.
        image: ``shown`` - their own; ``blank`` - all the same grey picture; ``shuffled`` - each image is replaced by
            another one of the set, in all its items, and each replaces one; ``none`` - no image at all.
        seed: of the shuffling.

    Returns:
        A copy; ``image`` is :data:`BLANK` for the grey picture and None for no image.

    Raises:
        ValueError: when there is no other image to take.
    """
    if image == "shown":
        return inputs.copy()
    if image == "shuffled":
        distinct = inputs.drop_duplicates("image_sha256")
        if len(distinct) < 2:
            raise ValueError("images cannot be shuffled: there is only one")
        # A cycle through all of them in random order: no image stays in its place.
        order = np.random.default_rng(seed).permutation(len(distinct))
        other = np.empty_like(order)
        other[order] = np.roll(order, 1)
        place = pd.Series(other, index=distinct["image_sha256"]).reindex(inputs["image_sha256"]).to_numpy()
        taken = distinct[["image", "image_sha256"]].iloc[place].set_axis(inputs.index)
        return inputs.assign(image=taken["image"], image_sha256=taken["image_sha256"])
    return inputs.assign(image=BLANK if image == "blank" else None, image_sha256=image)
