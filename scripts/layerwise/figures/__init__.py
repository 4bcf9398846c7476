"""Figures and tables: the last stage, which reads scores, predictions and descriptions and imports no model.

``inputs`` reads, ``headline`` picks the rows that matter, ``layers`` and ``training`` draw, ``comparison`` tests
layers against each other, ``overview`` describes the grid, ``tables`` writes.
"""
