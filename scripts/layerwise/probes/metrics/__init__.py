"""Scores of predictions: the catalogue of metrics, and one module for each."""
