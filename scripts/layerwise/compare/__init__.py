"""Tests and intervals over cells, computed once and kept as Parquet.

``catalogue`` lists the tables, one module each; ``inputs`` reads what they are made from, and later reads the tables
themselves; ``statistics`` holds the methods. Nothing here draws or words anything.
"""
