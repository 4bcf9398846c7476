"""Solvers of logistic regression: the catalogue, and one module for each."""
