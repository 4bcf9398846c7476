"""What the tables of shortcuts call their features and columns. Imports no library."""

FEATURES = ("words", "picture", "words + picture", "words x picture")
SCORE_COLUMNS = [
    *("features", "label", "split", "metric", "value", "low", "high", "n", "n_groups", "n_texts", "C", "at_boundary"),
]
