# Inputs of the rule of what layers are like.
# States that were deleted to save space are not made again for this, unless the study asks for it by name.
LIKENESS_CELLS = [
    cell for cell in grid.likeness_cells() if study.config.likeness.measured or not study.has_lost_states(cell)
]
