"""Kinds of decoder blocks, as configurations of transformers name them. Imports no torch: models are registered
without it."""

# Blocks that first choose which tokens, or groups of tokens, each token sees. A token that is cut still influences the
# choice. Padding changes it: groups are counted from the start of a row, and ties between tokens depend on its length.
CHOOSING = ("minimax_m3_sparse", "indexed_attention")
# Blocks without scores between tokens that could be masked: they carry states from token to token in another way, or
# beside the scores, or not at all.
WITHOUT_SCORES = ("linear_attention", "mamba", "conv", "moe", "mlp", "hybrid", "hybrid_sliding", *CHOOSING)
