# Where things go by default; config/config.yaml has the folder of results, and a study may have its own of each.


pathvars:
    benchmarks="logs/benchmarks",
    data="data",
    environments=".environments",
