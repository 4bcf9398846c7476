"""Frozen models: what a model family is to everything above it."""
