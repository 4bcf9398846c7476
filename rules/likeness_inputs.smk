# Inputs of the rule of what layers are like.
LIKENESS_CELLS = study.likeness_cells()
