"""One picture under two names is still one picture: it must not be on both sides of a split."""

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from layerwise.stimuli.splits import OFFICIAL, SPLITS


def join_groups(items: pd.DataFrame, provenance: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Put groups that share an image's content into one group.

    Where official parts share a picture, the part nearer to the test keeps it and the other part's group goes, so that
    official test sets stay whole.

    Args:
        items: with ``item_id`` and ``image_sha256``.
        provenance: with ``item_id``, ``group`` and ``part``, in the same order.

    Returns:
        Items and provenance, without the items that went, with joined groups.
    """
    group, names = pd.factorize(provenance["group"])
    content, contents = pd.factorize(items["image_sha256"])
    links = coo_matrix((np.ones(len(items)), (group, len(names) + content)), shape=(len(names) + len(contents),) * 2)
    component = connected_components(links, directed=False)[1][group]

    rank = provenance["part"].map(lambda part: SPLITS.index(OFFICIAL[part]) if part in OFFICIAL else 0).to_numpy()
    keep = rank == pd.Series(rank).groupby(component).transform("max").to_numpy()
    joined = provenance["group"].groupby(component).transform("min")
    return (
        items[keep].reset_index(drop=True),
        provenance.assign(group=joined)[keep].reset_index(drop=True),
    )
