"""Kinds of decoder blocks, as configurations of transformers name them. Imports no torch: models are registered
without it."""

# Blocks that carry states from token to token without scores that could be masked, or beside them.
WITHOUT_SCORES = ("linear_attention", "mamba", "conv", "moe", "hybrid", "hybrid_sliding")
