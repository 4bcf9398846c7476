"""What the two statements of a minimal pair differ in."""

from typing import TYPE_CHECKING

from layerwise.catalogue import Catalogue

if TYPE_CHECKING:
    from layerwise.stimuli.minimal_pairs.swap import Swap

# By the `mismatch` of a stimulus set of kind coco-entailment.
SWAPS: "Catalogue[Swap]" = Catalogue(
    "SWAP",
    {
        "attribute": "layerwise.stimuli.minimal_pairs.attribute",
        "adjective": "layerwise.stimuli.minimal_pairs.adjective",
        "relation": "layerwise.stimuli.minimal_pairs.relation",
        "number": "layerwise.stimuli.minimal_pairs.number",
        "noun": "layerwise.stimuli.minimal_pairs.noun",
    },
)
