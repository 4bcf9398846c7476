"""What the tables of shortcuts call their features and columns, and how many features there are. Imports no library."""

FEATURES = ("words", "picture", "words + picture", "words x picture")
# The most frequent words of the training texts.
MOST_WORDS = 2000
# Of each of text and picture; their products are the square of this.
MOST_COMPONENTS = 64
SCORE_COLUMNS = [
    *("features", "label", "split", "metric", "value", "low", "high", "n", "n_groups", "n_texts", "C", "at_boundary"),
]
