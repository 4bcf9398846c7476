"""Kinds of decoder blocks, as configurations of transformers name them. Imports no torch: models are registered
without it."""

# Blocks without scores between tokens that could be masked: they carry states from token to token in another way, or
# beside the scores, or not at all.
WITHOUT_SCORES = ("linear_attention", "mamba", "conv", "moe", "mlp", "hybrid", "hybrid_sliding")
