# Inputs and params of the rules of regressions.
NUMBER_CELLS = grid.number_cells()
REGRESSION = "<results>/probes/{model}/{task}/{prompt}.regression.parquet"
ESTIMATES = "<results>/probes/{model}/{task}/{prompt}.estimates.parquet"
