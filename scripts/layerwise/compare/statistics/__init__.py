"""The methods behind the tables of :mod:`layerwise.compare`: paired tests, corrections, intervals of means."""
