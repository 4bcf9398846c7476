"""Attention probes: each label has a query that says which of a picture's tokens are read, in torch."""
