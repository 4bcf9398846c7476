"""Figures and tables: the last stage. It reads what :mod:`layerwise.compare` computed, and computes nothing itself.

``catalogue`` lists the figures and the tables, one module each. Importing such a module imports no library, because
the Snakefile does so whenever it plans; ``drawing`` and ``writing`` hold what the modules share.
"""
