# Inputs of the rule of what layers are like.
LIKENESS_CELLS = grid.likeness_cells()
