"""Kinds of probes: the catalogue, and one module for each."""
