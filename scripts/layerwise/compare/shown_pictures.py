"""What a prompt shows of items with several pictures: all of them in order, or others in their places, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

OWN = "all pictures in order"
TEXT_ALONE = "text alone"
# By `image` of a prompt that treats all pictures alike.
ALIKE = {
    "shown": OWN,
    "none": TEXT_ALONE,
    "blank": "all pictures blank",
    "shuffled": "another item's pictures",
    "random-order": "pictures in random order",
}
# By what stands in the place of a picture.
IN_PLACE = {"none": "left out", "blank": "blank", "shuffled": "of another item"}
RANK_ALIKE = {"shown": 0, "random-order": 2, "blank": 6, "shuffled": 7, "none": 8}
RANK_IN_PLACE = {"none": 3, "blank": 4, "shuffled": 5}


def is_own(prompt: Mapping[str, Any]) -> bool:
    """Whether a prompt of the grid shows an item's own pictures, all of them and in order."""
    return prompt.get("image", "shown") == "shown"


def in_words(prompt: Mapping[str, Any]) -> str:
    """What a prompt shows, as legends and tables write it, such as "picture 2 left out".

    Args:
        prompt: of the grid, see :func:`layerwise.compare.inputs.read_prompts`.
    """
    if "images" not in prompt:
        return ALIKE[prompt.get("image", "shown")]
    images = list(prompt["images"])
    own = [number for number in images if isinstance(number, int)]
    if images == list(range(1, len(images) + 1)):
        return OWN
    if sorted(own) == list(range(1, len(images) + 1)):
        if own == sorted(own, reverse=True):
            return "pictures swapped" if len(images) == 2 else "pictures in reverse order"
        return f"pictures in the order {_listed(own)}"
    if len(images) > 2 and len(own) == 1 and images[own[0] - 1] == own[0] and images.count("none") == len(images) - 1:
        return f"picture {own[0]} alone"
    moved = _moved(images)
    said = [f"picture {images[place]} in place of {place + 1}" for place in moved]
    # Where a picture has moved, its old place is not the picture.
    what = "place" if moved else "picture"
    for entry, words in IN_PLACE.items():
        places = [place + 1 for place, other in enumerate(images) if other == entry]
        if places:
            said.append(f"{what}{'s' if len(places) > 1 else ''} {_listed(places)} {words}")
    return ", ".join(said)


def rank(prompt: Mapping[str, Any]) -> tuple[int, str]:
    """The place of a prompt among those of the same words: first the same pictures in other orders, then one of them
    changed, then all of them, and the text alone."""
    if "images" not in prompt:
        return RANK_ALIKE[prompt.get("image", "shown")], ""
    changed = [place for entry, place in RANK_IN_PLACE.items() if entry in prompt["images"]]
    return min(changed, default=1), str(prompt["images"])


def _moved(images: Sequence[int | str]) -> list[int]:
    """The places, from 0, in which another of the item's own pictures stands."""
    return [place for place, entry in enumerate(images) if isinstance(entry, int) and entry != place + 1]


def _listed(numbers: Sequence[int]) -> str:
    """Numbers as a sentence lists them."""
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last
