"""Kinds of decoder blocks, as configurations of transformers name them. Imports no torch: models are registered
without it."""

# Blocks that first choose which groups of tokens each token sees. A token that is cut still has a say in the choice.
CHOOSING = ("minimax_m3_sparse",)
# Those that count the groups from the start of a row, so that padding before a text moves them.
COUNTING_PADDING = ("minimax_m3_sparse",)
# Blocks that carry states from token to token without scores that could be masked, or beside them.
WITHOUT_SCORES = ("linear_attention", "mamba", "conv", "moe", "hybrid", "hybrid_sliding", *CHOOSING)
