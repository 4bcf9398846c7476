"""What of an item is text of its own, and which prompts show it."""

import re

# Columns of an item that are none: ids and pictures, and the premise, which stands in place of the item's picture.
NO_TEXT = {"item_id", "image", "image_sha256", "premise"}
# The list of all categories is the same in every item.
SAME_IN_ALL = {"categories"}


def shows_text(wording: str) -> bool:
    """Whether a prompt of this wording shows some text of an item, so that it may read otherwise for another item."""
    return bool(set(re.findall(r"\{(\w+)\}", wording)) - NO_TEXT - SAME_IN_ALL)
