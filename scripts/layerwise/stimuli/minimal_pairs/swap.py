"""What a kind of minimal pair says: which of two statements is true of which image."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from layerwise.datasets.annotated import AnnotatedPart
from layerwise.stimuli.building import Stimuli
from layerwise.stimuli.minimal_pairs.known import Known
from layerwise.stimuli.minimal_pairs.pairing import build_pairs

Contrast = tuple[int | str, ...]


@dataclass(frozen=True)
class Claims:
    """Which statements can be made about the images of a part.

    Attributes:
        table: one row for each image and each contrast that it decides: ``image`` (its place in the part), the columns
            ``contrast``, and ``side``: 0 if the first statement is true of it and the second false, 1 if it is the
            other way round. An optional column ``rank`` says how likely the statements are; 1 goes first.
        contrast: the columns that name two statements.
        statements: puts the values of these columns into words, the first statement and the second.
        left_out: how many were left out, by reason.
    """

    table: pd.DataFrame
    contrast: tuple[str, ...]
    statements: Callable[[Contrast], tuple[str, str]]
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Swap:
    """An entry of :data:`layerwise.stimuli.minimal_pairs.catalogue.SWAPS`.

    Attributes:
        claims: what can be said about the images of a part. Its last argument is the margin of relations.
        needs: what an image must have, for the message when there are no pairs.
        text_length: characters of a statement besides its nouns, on average.
        nouns: of a statement.
    """

    claims: Callable[[AnnotatedPart, Known, float], Claims]
    needs: str
    text_length: int
    nouns: int = 2

    def build(
        self, parts: dict[str, AnnotatedPart], images: Mapping[str, int | str], margin: float, seed: int
    ) -> Stimuli:
        """Four items for each pair of images; see :func:`layerwise.stimuli.minimal_pairs.pairing.build_pairs`."""
        claims = {name: self.claims(parts[name], Known.of(parts[name]), margin) for name in images}
        return build_pairs(parts, claims, images, self.needs, seed)
