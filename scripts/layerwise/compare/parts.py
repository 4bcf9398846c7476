"""Names of the parts of a test set that scores are shown for."""

from layerwise.tasks.unseen_texts import SEEN, UNSEEN

ALL = "all"
# By what the same model's probe says that reads the same words without the image.
WRONG, RIGHT = "text alone wrong", "text alone right"
PARTS = (ALL, SEEN, UNSEEN, WRONG, RIGHT)
