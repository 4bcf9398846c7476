"""Frozen models: described, loaded, and read through one interface."""
