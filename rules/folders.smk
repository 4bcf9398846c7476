# Default folders. A study may set its own under `pathvars`.


pathvars:
    benchmarks="logs/benchmarks",
    data="data",
    environments=".environments",
