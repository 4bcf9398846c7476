"""Findings of the small models of a study over their seeds: a table of numbers, and a document made from it."""
