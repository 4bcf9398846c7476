"""Attention probes: each label has a query that says which of a picture's tokens are read, in torch."""

# What a probe of image tokens reads: their mean, or what its query chooses.
MEAN, ATTENTION = "mean", "attention"
