"""Where the queries of attention probes look in pictures that no probe was fitted to, for the score of localisation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

# Kinds of objects that are not in a picture, whose queries are asked there too, as a control.
ABSENT = 3


@dataclass
class Looks:
    """How much queries look at each token of some pictures, layer by layer. The attributes are those of
    :class:`layerwise.lens.maps.Maps`, so that the same code scores them.

    Attributes:
        image_id, places: of all kept pictures, see there.
        boxes: of a picture (a row of these) and the word for a kind of object, shape (boxes, 4).
        word, picture, present: of each pair that is asked about.
        layers: names of the layers that were looked at so far.
        none: why nothing can be asked; empty where something can.
    """

    image_id: list[str]
    places: np.ndarray
    boxes: Callable[[int, str], np.ndarray]
    word: list[str]
    picture: np.ndarray
    present: np.ndarray
    none: str = ""
    layers: list[str] = field(default_factory=list)
    _maps: list[np.ndarray] = field(default_factory=list)

    @property
    def pictures(self) -> np.ndarray:
        """All pictures that are asked about, ascending."""
        return np.unique(self.picture)

    def add(self, layer: str, words: Sequence[str], looked: np.ndarray) -> None:
        """What the queries of one more layer do.

        Args:
            layer: its name.
            words: of the queries.
            looked: at the tokens of :attr:`pictures`, shape (pictures, queries, tokens).
        """
        of_word = {word: place for place, word in enumerate(words)}
        queries = np.array([of_word[word] for word in self.word], dtype=int)
        self.layers.append(layer)
        self._maps.append(looked[np.searchsorted(self.pictures, self.picture), queries])

    def map(self, pair: int) -> np.ndarray:
        """Shape (layers, tokens)."""
        return np.stack([layer[pair] for layer in self._maps])


def pairs_to_ask(
    image_id: list[str],
    places: np.ndarray,
    boxes: Callable[[int, str], np.ndarray],
    pictures: np.ndarray,
    words: Sequence[str],
    seed: int,
) -> Looks:
    """Pairs of a picture and a word: of the objects in it that have boxes, and of some that are not there.

    Args:
        image_id, places, boxes: see :class:`Looks`.
        pictures: rows of the pictures to ask about: those of the test part.
        words: that have a query.
        seed: of the draw of what is not there.
    """
    rng = np.random.default_rng([seed, 23])
    found: list[tuple[int, str, bool]] = []
    there = {
        int(picture): [word for word in words if len(boxes(int(picture), word))] for picture in np.unique(pictures)
    }
    somewhere = [word for word in words if any(word in own for own in there.values())]
    for picture, own in there.items():
        if not np.isfinite(places[picture]).all(1).any():
            continue
        others = [word for word in somewhere if word not in own]
        drawn = rng.choice(len(others), min(ABSENT, len(others)), replace=False).tolist()
        found += [(picture, word, True) for word in own]
        found += [(picture, others[other], False) for other in sorted(drawn)]
    none = "" if any(present for *_, present in found) else "no test picture has a box of a labelled object"
    return Looks(
        image_id,
        places,
        boxes,
        [word for _, word, _ in found],
        np.array([picture for picture, _, _ in found], dtype=int),
        np.array([present for *_, present in found], dtype=bool),
        none,
    )
